"""The adversarial trainer, on networks that take seconds."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from colorizer import adversarial_losses, losses, models
from colorizer.training.adversarial import AdversarialModel, Objective
from colorizer.training.building import prepare_norms
from colorizer.training.optimizer import build_optimizer, loss_scaled
from colorizer.training.precision import dtype_policy

SIZE = 32
UNET = {
    "pool": 1,
    "filters": (4, 8, 8),
    "blocks": (0, 1, 0),
    "decoder_filters": (8, 4),
    "norm_momentum": 0.9,
}
GAMES = ("non_saturating", "minimax", "hinge", "least_squares", "wasserstein")


def photos(count: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Smooth random pictures whose ab follows from their lightness."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(-1, 1, (count, 4, 4, 1))
    lightness = np.asarray(tf.image.resize(coarse, (SIZE, SIZE)), np.float32)
    return lightness, np.concatenate([0.4 * lightness, -0.3 * lightness], axis=-1)


def build(
    game: str = "non_saturating",
    *,
    generator: str = "unet",
    normalization: str = "none",
    precision: str = "float32",
    objective: dict | None = None,
    accumulation: int = 1,
    learning_rate: float = 1e-3,
    **compiled,
) -> AdversarialModel:
    keras.utils.set_random_seed(3)
    with dtype_policy(precision):
        if generator == "unet":
            network = models.build("unet", image_size=SIZE, **UNET)
        else:
            network = models.build("dcgan", image_size=SIZE, filters=(16, 8, 8))
        discriminator = models.build_discriminator(
            "patch", image_size=SIZE, filters=(4, 8, 8), normalization=normalization
        )
        model = AdversarialModel(prepare_norms(network), prepare_norms(discriminator), seed=1)
        both = [
            loss_scaled(
                build_optimizer(
                    learning_rate=learning_rate,
                    schedule="constant",
                    warmup_steps=0,
                    total_steps=100,
                    weight_decay=0.0,
                    beta_1=0.5,
                    accumulation=accumulation,
                ),
                precision,
            )
            for _ in range(2)
        ]
        model.compile(
            generator_optimizer=both[0],
            discriminator_optimizer=both[1],
            objective=Objective(
                adversarial_losses.by_name(game),
                losses.by_name("l1"),
                gradient_penalty=10.0 if game == "wasserstein" else 0.0,
                **(objective or {}),
            ),
            jit_compile=compiled.pop("jit_compile", False),
            **compiled,
        )
    return model


def step(model: AdversarialModel, times: int = 1) -> dict[str, float]:
    for _ in range(times):
        logs = model.train_on_batch(*photos(), return_dict=True)
    return {name: float(value) for name, value in logs.items()}


def lower_scales(model: AdversarialModel) -> None:
    """Starts float16 where the first steps do not overflow, to compare step by step."""
    for optimizer in (model.optimizer, model.discriminator_optimizer):
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            optimizer.dynamic_scale.assign(128.0)


def test_a_step_changes_both_networks_and_tells_all_figures():
    model = build(metrics=["mae"])
    before = {part: getattr(model, part).get_weights() for part in ("generator", "discriminator")}
    logs = step(model)
    assert set(logs) == {*model.means, "loss", "mae"}
    assert all(np.isfinite(value) for value in logs.values())
    assert logs["loss"] == pytest.approx(logs["reconstruction_loss"] + logs["generator_loss"])
    for part, old in before.items():
        network = getattr(model, part)
        changed = [
            not np.array_equal(one, two)
            for one, two in zip(old, network.get_weights(), strict=True)
        ]
        assert all(changed), f"{part}: {changed}"


def test_evaluation_changes_nothing_and_tells_what_training_tells():
    model = build(generator="dcgan", metrics=["mae"])
    step(model)
    before = [*model.get_weights()]
    logs = model.test_on_batch(*photos(), return_dict=True)
    assert set(logs) == {*model.means, "loss", "mae"} - {
        "generator_gradient",
        "discriminator_gradient",
    }
    assert float(logs["noise_diversity"]) > 0
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_generator_without_noise_has_no_diversity():
    assert "noise_diversity" not in build().means


@pytest.mark.parametrize("game", GAMES)
def test_every_game_trains_the_colours(game):
    model = build(game, normalization="instance", learning_rate=3e-3)
    first = step(model)
    last = step(model, 40)
    assert last["reconstruction_loss"] < first["reconstruction_loss"]
    assert all(np.isfinite(value) for value in last.values())


def test_the_generator_s_loss_is_the_weighted_sum_of_its_parts():
    weights = {"alpha": 2.0, "beta": 0.5, "feature_matching": 3.0}
    model = build(objective=weights)
    lightness, ab = photos()
    fake_ab = model.generator(lightness, training=False)
    fake = model.discriminator({"lightness": tf.constant(lightness), "ab": fake_ab})
    real = model.discriminator({"lightness": tf.constant(lightness), "ab": tf.constant(ab)})
    parts = model.objective.for_generator(ab, fake_ab, fake, real)
    matching = adversarial_losses.feature_matching(
        adversarial_losses.features_of(real), adversarial_losses.features_of(fake)
    )
    expected = (
        2.0 * np.mean(losses.l1(ab, fake_ab))
        + 0.5 * np.mean(np.log1p(np.exp(-fake["logits"].numpy())))
        + 3.0 * np.mean(matching)
    )
    assert float(parts["loss"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("steps", [1, 3])
def test_discriminator_steps_are_updates_of_the_discriminator(steps):
    model = build(discriminator_steps=steps)
    step(model, 2)
    assert int(model.optimizer.iterations) == 2
    assert int(model.discriminator_optimizer.iterations) == 2 * steps


def test_r1_smooths_the_discriminator():
    def slope(r1: float) -> float:
        model = build(objective={"r1": r1}, learning_rate=1e-2)
        step(model, 20)
        lightness, ab = (tf.constant(x) for x in photos())
        with tf.GradientTape() as tape:
            tape.watch(ab)
            score = model.discriminator({"lightness": lightness, "ab": ab})["logits"]
        return float(tf.norm(tape.gradient(score, ab)))

    assert slope(100.0) < 0.5 * slope(0.0)


def test_instance_noise_falls_to_zero():
    model = build(instance_noise=12.8, total_steps=4)
    levels = []
    for _ in range(5):
        levels.append(float(model._instance_noise()))
        step(model)
    np.testing.assert_allclose(levels, [0.1, 0.075, 0.05, 0.025, 0.0], atol=1e-6)


def test_instance_noise_is_seen_by_the_discriminator():
    model = build(instance_noise=64.0)
    lightness, ab = (tf.constant(x) for x in photos())
    once, twice = (model._judged(lightness, ab)["logits"] for _ in range(2))
    calm = model._judged(lightness, ab, training=False)["logits"]
    assert not np.allclose(once, twice) and not np.allclose(once, calm)


def test_accumulated_steps_update_once():
    model = build(accumulation=3)
    before = model.generator.get_weights(), model.discriminator.trainable_weights[0].numpy()
    step(model, 2)
    np.testing.assert_array_equal(before[1], model.discriminator.trainable_weights[0].numpy())
    step(model)
    assert not np.array_equal(before[1], model.discriminator.trainable_weights[0].numpy())
    assert int(model.optimizer.iterations) == 1


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_stays_close_to_float32_for_50_steps(precision):
    curves = {}
    for policy in ("float32", precision):
        model = build(precision=policy)
        lower_scales(model)
        rows = [step(model) for _ in range(50)]
        assert all(np.isfinite(list(row.values())).all() for row in rows)
        curves[policy] = np.array([[row["loss"], row["discriminator_loss"]] for row in rows])
        assert {weight.dtype for weight in model.weights} == {"float32"}
    close, true = curves[precision], curves["float32"]
    np.testing.assert_allclose(close[:10], true[:10], rtol=0.005)
    # Later the game itself spreads the roundings: seen were 2% and 10%.
    np.testing.assert_allclose(close[:, 0], true[:, 0], rtol=0.05)
    np.testing.assert_allclose(close[:, 1], true[:, 1], rtol=0.2)


def test_float16_scales_both_losses_and_skips_overflows():
    model = build(precision="mixed_float16")
    step(model)
    for optimizer in (model.optimizer, model.discriminator_optimizer):
        optimizer.dynamic_scale.assign(2.0**120)
    before = model.discriminator.get_weights()
    done = int(model.discriminator_optimizer.inner_optimizer.iterations)
    logs = step(model)
    for optimizer in (model.optimizer, model.discriminator_optimizer):
        assert float(optimizer.dynamic_scale) == 2.0**119
    assert int(model.discriminator_optimizer.inner_optimizer.iterations) == done
    for one, two in zip(before, model.discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert np.isfinite(logs["discriminator_gradient"])


def test_gradient_norms_do_not_hold_the_loss_scale():
    logs = {}
    for policy in ("float32", "mixed_float16"):
        model = build(precision=policy)
        lower_scales(model)
        logs[policy] = step(model)
    for name in ("generator_gradient", "discriminator_gradient"):
        assert logs["mixed_float16"][name] == pytest.approx(logs["float32"][name], rel=0.05)


@pytest.mark.parametrize("objective", [{}, {"feature_matching": 1.0, "r1": 1.0}])
def test_xla_computes_the_same(objective):
    plain = step(build(objective=objective), 3)
    compiled = step(build(objective=objective, jit_compile=True), 3)
    for name, value in plain.items():
        assert compiled[name] == pytest.approx(value, rel=2e-3, abs=1e-4), name
