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
from colorizer.models.lite_unet import LOGITS, LOGITS_STRIDE, up_to_logits
from colorizer.training.building import build_teachers

Tensor = Any
Teach = Callable[[Tensor], Tensor]


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

    Each looks once, at the size that it was trained at: the first at the picture, the second at
    its mirror image, and so on, so that they err differently. Their logits are averaged.

    Raises:
        ColorizerError: a teacher is missing, or another network.
    """
    teachers = [up_to_logits(teacher) for teacher in build_teachers(config)]
    if not teachers:
        return None

    def teach(lightness: Tensor) -> Tensor:
        side = lightness.shape[1] // LOGITS_STRIDE
        looks = [
            ops.image.resize(_look(teacher, lightness, mirrored=number % 2 == 1), (side, side))
            for number, teacher in enumerate(teachers)
        ]
        return sum(looks) / len(looks)

    return teach


def _look(teacher: keras.Model, lightness: Tensor, *, mirrored: bool) -> Tensor:
    image = ops.flip(lightness, axis=2) if mirrored else lightness
    image = ops.image.resize(image, teacher.input_shape[1:3], antialias=True)
    logits = teacher(image, training=False)
    return ops.flip(logits, axis=2) if mirrored else logits
