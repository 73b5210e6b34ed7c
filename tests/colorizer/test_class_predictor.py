"""Learning how likely colours are, from the truth and from teachers."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from colorizer import losses, models
from colorizer.ab_classes import CLASSES
from colorizer.config import FitConfig
from colorizer.models.lite_unet import LOGITS, up_to_logits
from colorizer.network_config import LiteConfig, TransferConfig
from colorizer.training.class_predictor import ClassPredictor, taught_by
from pipelines.errors import ColorizerError

SIZE = 64
LITE = LiteConfig(head="classes", decoder_filters=(8, 8, 8, 8))


def configured(folder: Path, **transfer: object) -> FitConfig:
    return FitConfig(
        data=folder / "photos",
        run_dir=folder / "run",
        model="lite",
        lite=LITE,
        image_size=SIZE,
        transfer=TransferConfig(**transfer),
    )


def logits_of(network: keras.Model, lightness: np.ndarray) -> np.ndarray:
    return np.asarray(up_to_logits(network)(lightness, training=False))


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    """Two networks that do not think all colours equally likely."""
    folder = tmp_path_factory.mktemp("teachers")
    for name, seed in (("one", 1), ("two", 2)):
        keras.utils.set_random_seed(seed)
        run = folder / name
        run.mkdir()
        network = models.build("lite", image_size=SIZE, **LITE.model_dump())
        bias = network.get_layer(LOGITS).bias
        bias.assign(2 * np.random.default_rng(seed).standard_normal(bias.shape))
        network.save(run / "model.keras")
    return [folder / "one", folder / "two"]


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    lightness = random.uniform(-1, 1, (2, SIZE, SIZE, 1)).astype(np.float32)
    return lightness, random.uniform(-0.3, 0.3, (2, SIZE, SIZE, 2)).astype(np.float32)


def test_each_teacher_looks_at_its_own_size_and_every_second_one_at_the_mirror_image(
    runs, batch, tmp_path
):
    lightness, _ = batch
    learned = keras.models.load_model(runs[1] / "model.keras", compile=False)
    small = models.build("lite", image_size=32, **LITE.model_dump())
    small.set_weights(learned.get_weights())
    (tmp_path / "small").mkdir()
    small.save(tmp_path / "small" / "model.keras")

    straight = logits_of(keras.models.load_model(runs[0] / "model.keras", compile=False), lightness)
    mirrored = np.asarray(ops.image.resize(lightness[:, :, ::-1], (32, 32), antialias=True))
    other = ops.image.resize(logits_of(small, mirrored)[:, :, ::-1], (16, 16))
    teach = taught_by(configured(tmp_path, teachers=(runs[0], tmp_path / "small")))
    np.testing.assert_allclose(teach(lightness), (straight + other) / 2, atol=1e-4)


def test_a_teacher_of_larger_pictures_looks_at_what_there_is(runs, batch, tmp_path):
    smaller = configured(tmp_path, teachers=tuple(runs[:1])).model_copy(update={"image_size": 32})
    assert taught_by(smaller)(batch[0][:, :32, :32]).shape == (2, 8, 8, CLASSES)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_while_training_the_loss_is_shared_between_truth_and_teachers(runs, batch, tmp_path, share):
    lightness, ab = batch
    network = keras.models.load_model(runs[0] / "model.keras", compile=False)
    teach = taught_by(configured(tmp_path, teachers=(runs[1],)))
    learner = ClassPredictor(network, teach, share)
    learner.compile(loss=losses.class_cross_entropy)
    logits = learner(lightness)
    truth = float(ops.mean(losses.class_cross_entropy(ab, logits)))
    taught = float(ops.mean(losses.taught_cross_entropy(teach(lightness), logits)))
    assert truth != pytest.approx(taught, rel=1e-3)
    training = learner.compute_loss(lightness, ab, logits, training=True)
    assert float(training) == pytest.approx(share * taught + (1 - share) * truth, rel=1e-5)
    measured = learner.compute_loss(lightness, ab, logits, training=False)
    assert float(measured) == pytest.approx(truth, rel=1e-5)


def test_only_the_learner_learns(runs, batch, tmp_path):
    network = models.build("lite", image_size=SIZE, **LITE.model_dump())
    teach = taught_by(configured(tmp_path, teachers=tuple(runs)))
    learner = ClassPredictor(network, teach, 1.0)
    assert len(learner.variables) == len(network.variables)
    learner.compile(optimizer=keras.optimizers.Adam(1e-2), loss=losses.class_cross_entropy)
    before = np.asarray(teach(batch[0]))
    history = learner.fit(*batch, batch_size=2, epochs=12, verbose=0).history["loss"]
    assert history[-1] < history[0] - 0.1
    np.testing.assert_array_equal(teach(batch[0]), before)


def test_what_a_teacher_says_costs_least_when_it_is_repeated():
    random = np.random.default_rng(0)
    teacher, other = random.normal(size=(2, 3, 4, 4, 7)).astype(np.float32)
    repeated = losses.taught_cross_entropy(teacher, teacher)
    np.testing.assert_array_less(repeated, losses.taught_cross_entropy(teacher, other))
    exponentials = np.exp(teacher)
    shares = exponentials / exponentials.sum(-1, keepdims=True)
    entropy = -(shares * np.log(shares)).sum(-1).mean((1, 2))
    np.testing.assert_allclose(repeated, entropy, rtol=1e-5)


def test_a_teacher_that_is_not_there_or_another_network_is_named(runs, tmp_path):
    with pytest.raises(ColorizerError, match="absent: holds no trained network"):
        taught_by(configured(tmp_path, teachers=(tmp_path / "absent",)))
    with pytest.raises(ColorizerError, match="shipped: is another network"):
        taught_by(configured(tmp_path, teachers=(Path("shipped"),)))


def test_a_regression_is_not_taught(tmp_path):
    given = configured(tmp_path, teachers=(Path("shipped"),)).model_dump()
    with pytest.raises(ValueError, match=r"--transfer\.teachers: only"):
        FitConfig(**{**given, "lite": LiteConfig()})
