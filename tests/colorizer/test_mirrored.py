"""MirroredStrategy over two logical devices: the same losses as one device, same global batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_adversarial import SIZE, UNET, build, photos

from colorizer import losses, models
from colorizer.training.building import build_strategy, prepare_norms
from colorizer.training.optimizer import build_optimizer, loss_scaled
from colorizer.training.precision import dtype_policy

BATCHES = 6


@pytest.fixture
def strategy():
    return build_strategy(2)


class Losses(keras.callbacks.Callback):
    """Keeps the figures of every step, which are means since the epoch began."""

    def on_train_begin(self, logs=None):
        self.rows = []

    def on_train_batch_end(self, batch, logs=None):
        self.rows.append({name: float(value) for name, value in logs.items()})


def trained(model: keras.Model) -> list[dict[str, float]]:
    data = tf.data.Dataset.from_tensor_slices(photos(8 * BATCHES)).batch(8)
    told = Losses()
    model.fit(data, callbacks=[told], verbose=0, shuffle=False)
    return told.rows


def supervised(precision: str) -> keras.Model:
    keras.utils.set_random_seed(3)
    with dtype_policy(precision):
        model = prepare_norms(models.build("unet", image_size=SIZE, **UNET))
        optimizer = build_optimizer(
            learning_rate=1e-3,
            schedule="constant",
            warmup_steps=0,
            total_steps=100,
            weight_decay=0.0,
        )
        model.compile(
            loss_scaled(optimizer, precision), loss=losses.by_name("huber"), jit_compile=False
        )
    return model


def adversarial(precision: str) -> keras.Model:
    return build(precision=precision, normalization="batch")


# The gradient's norm is that of each replica's own gradient, the spread that of its own photos.
SAME = {
    "loss",
    "reconstruction_loss",
    "generator_loss",
    "discriminator_loss",
    "accuracy_real",
    "accuracy_fake",
}


@pytest.mark.parametrize("make", [supervised, adversarial])
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_two_devices_give_the_losses_of_one(strategy, make, precision):
    alone = trained(make(precision))
    with strategy.scope():
        model = make(precision)
    together = trained(model)
    tolerance = 1e-3 if precision == "float32" else 2e-2
    for one, two in zip(alone, together, strict=True):
        for name in SAME & set(one):
            assert two[name] == pytest.approx(one[name], rel=tolerance, abs=1e-3), name


def test_an_overflow_on_one_replica_skips_the_step_on_all(strategy):
    with strategy.scope():
        weight = keras.Variable(np.ones(2, np.float32))
        optimizer = loss_scaled(keras.optimizers.SGD(1.0), "mixed_float16")
        optimizer.build([weight])

    @tf.function
    def step():
        def replica():
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            # The first replica, whose word Keras's own loss scaling takes for all, has none.
            gradient = tf.where(number == 1, float("inf"), 1.0) * tf.ones(2)
            optimizer.apply([gradient], [weight])

        strategy.run(replica)

    step()
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), 1.0)
    assert keras.ops.convert_to_numpy(optimizer.dynamic_scale) == 2.0**14
