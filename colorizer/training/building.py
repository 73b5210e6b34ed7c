"""Building what is trained: the network, its start, the devices it lies on."""

from functools import cache
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from colorizer import models
from colorizer.command import note
from colorizer.config import FitConfig
from colorizer.models.lite_unet import freeze_encoder, is_of_encoder
from colorizer.pretrained.folding import load_folded_imagenet_weights
from colorizer.shipped import load_shipped
from colorizer.training.fused_norms import with_fused_norms
from pipelines.errors import ColorizerError

# What --init-from calls the weights that ship with the package.
SHIPPED = Path("shipped")


def build_network(config: FitConfig) -> keras.Model:
    """Builds the colorizing network, with the weights of `--init-from` if it is given.

    Of several runs it takes the mean ("model soup", Wortsman et al. 2022).

    Raises:
        ColorizerError: there is no such run, or its network is another one; or the ImageNet
            weights are not installed.
    """
    network = prepare_norms(models.build(config.model, **config.network_arguments()))
    if config.model == "lite" and config.transfer.frozen_blocks:
        freeze_encoder(network, config.transfer.frozen_blocks)
    if not config.init_from:
        if config.model == "lite" and config.transfer.imagenet:
            load_folded_imagenet_weights(network, config.lite.variant)
        return network
    started = [_weights_for(network, _start(run), run, config.model) for run in config.init_from]
    network.set_weights([np.mean(same, axis=0) for same in zip(*started, strict=True)])
    return network


def build_teachers(config: FitConfig) -> list[keras.Model]:
    """Builds the networks that `config.transfer.teachers` names, in their order.

    Each takes pictures of the size that it was trained at, at most `config.image_size`.

    Raises:
        ColorizerError: there is no such run, or its network is another one.
    """
    return [_build_teacher(config, run) for run in config.transfer.teachers]


def _build_teacher(config: FitConfig, run: Path) -> keras.Model:
    stored = _start(run)
    size = min(stored.input_shape[1], config.image_size)
    teacher = models.build(config.model, **{**config.network_arguments(), "image_size": size})
    teacher.set_weights(_weights_for(teacher, stored, run, config.model))
    # Lest a step records what its gradient does not need.
    teacher.trainable = False
    return teacher


def _weights_for(
    network: keras.Model, stored: keras.Model, run: Path, model: str
) -> list[np.ndarray]:
    if [w.shape for w in stored.weights] != [w.shape for w in network.weights]:
        raise ColorizerError(f"{run}: is another network than --model {model} as configured here")
    weights: list[np.ndarray] = stored.get_weights()
    return weights


def _start(run: Path) -> keras.Model:
    path = run / "model.keras"
    if path.is_file():
        return keras.models.load_model(path, compile=False, safe_mode=True)
    if run == SHIPPED:
        return load_shipped()[0]
    raise ColorizerError(f"{run}: holds no trained network (no {path.name})")


def rate_factors(config: FitConfig, network: keras.Model) -> list[float] | None:
    """Gives the factor on the learning rate of each trainable variable, None where all are 1."""
    rate = config.transfer.encoder_rate
    if config.model != "lite" or rate == 1.0:
        return None
    slow = {
        variable.path
        for layer in network.layers
        if is_of_encoder(layer)
        for variable in layer.trainable_variables
    }
    return [rate if v.path in slow else 1.0 for v in network.trainable_variables]


def prepare_norms(network: keras.Model) -> keras.Model:
    """Gives the network with batch normalization as training wants it.

    On one device that is the fast one. On several it takes its statistics over all of them, so
    that many devices compute what one would with the same batch.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return with_fused_norms(network)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
    return network


def uses_xla(choice: str) -> bool:
    """Whether "auto", "on" or "off" means XLA on this machine.

    XLA trains convolutions 2 to 10 times slower on a CPU.
    """
    return choice == "on" or (choice == "auto" and bool(tf.config.list_physical_devices("GPU")))


def build_strategy(devices: int) -> tf.distribute.Strategy:
    """Gives the strategy that trains on `devices` GPUs, or on parts of the CPU where none is.

    Raises:
        ColorizerError: the machine has GPUs, but fewer; or TensorFlow has begun already with
            another number of parts.
    """
    if devices == 1:
        return tf.distribute.get_strategy()
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        if len(gpus) < devices:
            raise ColorizerError(f"--devices {devices}: this machine has {len(gpus)} GPUs")
        return _mirrored("GPU", devices)
    note(f"no GPU: training on {devices} parts of the CPU, which is slower than --devices 1")
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = tf.config.get_logical_device_configuration(cpu) or []
    if len(parts) < devices:
        try:
            wanted = [tf.config.LogicalDeviceConfiguration()] * devices
            tf.config.set_logical_device_configuration(cpu, wanted)
        except RuntimeError as error:
            raise ColorizerError(f"--devices {devices}: {error}") from error
    return _mirrored("CPU", devices)


@cache
def _mirrored(kind: str, devices: int) -> tf.distribute.Strategy:
    # One for the whole process: the collective operations of a second one would get the numbers of
    # the first's, and TensorFlow would mix them up.
    return tf.distribute.MirroredStrategy([f"{kind}:{number}" for number in range(devices)])
