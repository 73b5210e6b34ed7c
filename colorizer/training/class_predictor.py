"""Learning how likely each colour is: from the truth, and from teachers (Hinton et al. 2015).

A photo shows one of the colours that a car may have; which one is noise to whoever shall learn how
likely each is. Trained networks give the likelihoods themselves, and several looks of several
networks together are nearer to the truth than any one of them.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from colorizer import losses
from colorizer.config import FitConfig
from colorizer.models.lite_unet import LOGITS, up_to_logits
from colorizer.training.building import build_teachers

Tensor = Any
Teach = Callable[[Tensor], Tensor]

_STRIDE = 32


class ClassPredictor(keras.Model):
    """The part of a network of classes up to its logits, as a model that learns from (L, ab).

    Compiled with `losses.class_cross_entropy`; validation measures that alone.

    Args:
        network: from `lightness` to `ab`, with a layer named `LOGITS`.
        teach: gives the teachers' logits of `lightness`, or None.
        share: the teachers' share of the training loss.
    """

    def __init__(self, network: keras.Model, teach: Teach | None, share: float) -> None:
        super().__init__(network.input, network.get_layer(LOGITS).output, name="class_predictor")
        self._teach, self._share = teach, share

    def compute_loss(
        self,
        x: Tensor = None,
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """Gives the loss against the truth, and while training against the teachers too."""
        truth = super().compute_loss(x, y, y_pred, sample_weight, training)
        if self._teach is None or not training:
            return truth
        taught = ops.mean(losses.taught_cross_entropy(self._teach(x), y_pred))
        return (1.0 - self._share) * truth + self._share * taught


def taught_by(config: FitConfig) -> Teach | None:
    """Gives what the teachers of `config.transfer` say together, None if there are none.

    Each looks twice: at the picture, and at its mirror image at three quarters of the size. Their
    logits are averaged.

    Raises:
        ColorizerError: a teacher is missing, or another network.
    """
    if not config.transfer.teachers:
        return None
    size = config.image_size
    smaller = max(_STRIDE, size * 3 // 4 // _STRIDE * _STRIDE)
    whole, mirrored = (
        [up_to_logits(teacher) for teacher in teachers]
        for teachers in build_teachers(config, size, smaller)
    )

    def teach(lightness: Tensor) -> Tensor:
        image = ops.image.resize(ops.flip(lightness, axis=2), (smaller, smaller), antialias=True)
        straight = sum(look(lightness, training=False) for look in whole)
        other = sum(look(image, training=False) for look in mirrored)
        other = ops.image.resize(ops.flip(other, axis=2), straight.shape[1:3])
        return (straight + other) / (2 * len(whole))

    return teach
