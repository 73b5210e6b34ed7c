"""Adversarial losses by name, from logits, and feature matching.

A discriminator's logit is higher the more likely it takes a picture for real: D = sigmoid(logit)
= P(real). Every loss takes logits of any shape (N, ...), works in float32 and gives one value a
photo, the mean over its logits, of shape (N,).

The report's losses. L_D = -E[log D(x_real)] - E[log(1 - D(x_fake))] is the discriminator's side
of both `non_saturating` and `minimax`. The generator's is printed as

    L_G = -alpha L1 - beta E[log(1 - D(x_fake))]

with D worded as the probability that a picture is *generated*. The minus before alpha is a slip:
minimised, it would reward error. Worded with D = P(real), 1 - D(x_fake) becomes D(x_fake), and
what is meant is

    L_G = alpha L1 - beta E[log D(x_fake)]         `non_saturating`, Goodfellow's advice, default
    L_G = alpha L1 + beta E[log(1 - D(x_fake))]    `minimax`, the original game

Both push D(x_fake) up. They differ where the discriminator is sure that a picture is generated:
there the gradient of the first is largest and that of the second is almost 0. Whoever combines
the losses holds alpha and beta; here is what stands behind beta.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from keras import ops

Tensor = Any


class DiscriminatorLoss(Protocol):
    """Loss of the discriminator, (N,), from the logits of real and of generated photos."""

    def __call__(
        self, real_logits: Tensor, fake_logits: Tensor, label_smoothing: float = 0.0
    ) -> Tensor:
        """Gives the loss; `label_smoothing` s makes the real label 1 - s, in [0, 1)."""
        ...


@dataclass(frozen=True)
class AdversarialLoss:
    """The two sides of a game.

    Attributes:
        name: its name in `ADVERSARIAL_LOSSES`.
        discriminator: from (real_logits, fake_logits, label_smoothing=0.0) to (N,). Smoothing is
            one-sided (Salimans et al. 2016): only the real label moves. It raises ValueError
            outside [0, 1), and for a loss without labels unless it is 0.
        generator: from fake_logits to (N,).
        uses_labels: whether the discriminator's labels can be smoothed.
    """

    name: str
    discriminator: DiscriminatorLoss
    generator: Callable[[Tensor], Tensor]
    uses_labels: bool


def cross_entropy_discriminator(
    real_logits: Tensor, fake_logits: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Gives -log D(real) - log(1 - D(fake)) (Goodfellow et al. 2014), the report's L_D."""
    real, fake = _float32(real_logits), _float32(fake_logits)
    # Cross entropy to the label 1 - s: (1 - s) softplus(-x) + s softplus(x).
    pull = ops.softplus(-real) + _checked_smoothing(label_smoothing) * real
    return _per_photo(pull) + _per_photo(ops.softplus(fake))


def non_saturating_generator(fake_logits: Tensor) -> Tensor:
    """Gives -log D(fake)."""
    return _per_photo(ops.softplus(-_float32(fake_logits)))


def minimax_generator(fake_logits: Tensor) -> Tensor:
    """Gives log(1 - D(fake)); its gradient vanishes where D(fake) is near 0."""
    return _per_photo(-ops.softplus(_float32(fake_logits)))


def hinge_discriminator(
    real_logits: Tensor, fake_logits: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Gives max(0, 1 - real) + max(0, 1 + fake) (Lim and Ye 2017)."""
    _refuse_smoothing("hinge", label_smoothing)
    real, fake = ops.relu(1.0 - _float32(real_logits)), ops.relu(1.0 + _float32(fake_logits))
    return _per_photo(real) + _per_photo(fake)


def least_squares_discriminator(
    real_logits: Tensor, fake_logits: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Gives ((real - 1)^2 + fake^2) / 2 (Mao et al. 2017): the logit itself meets the label."""
    error = _float32(real_logits) - (1.0 - _checked_smoothing(label_smoothing))
    return 0.5 * (_per_photo(ops.square(error)) + _per_photo(ops.square(_float32(fake_logits))))


def least_squares_generator(fake_logits: Tensor) -> Tensor:
    """Gives (fake - 1)^2 / 2."""
    return 0.5 * _per_photo(ops.square(_float32(fake_logits) - 1.0))


def wasserstein_discriminator(
    real_logits: Tensor, fake_logits: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Gives fake - real (Arjovsky et al. 2017).

    It needs a bounded slope: add `gradient_penalty` (WGAN-GP, Gulrajani et al. 2017).
    """
    _refuse_smoothing("wasserstein", label_smoothing)
    return _per_photo(_float32(fake_logits)) - _per_photo(_float32(real_logits))


def raising_generator(fake_logits: Tensor) -> Tensor:
    """Gives -fake, the generator's side of `hinge` and `wasserstein`."""
    return -_per_photo(_float32(fake_logits))


ADVERSARIAL_LOSSES: dict[str, AdversarialLoss] = {
    loss.name: loss
    for loss in (
        AdversarialLoss(
            "non_saturating", cross_entropy_discriminator, non_saturating_generator, True
        ),
        AdversarialLoss("minimax", cross_entropy_discriminator, minimax_generator, True),
        AdversarialLoss("hinge", hinge_discriminator, raising_generator, False),
        AdversarialLoss(
            "least_squares", least_squares_discriminator, least_squares_generator, True
        ),
        AdversarialLoss("wasserstein", wasserstein_discriminator, raising_generator, False),
    )
}


def by_name(name: str) -> AdversarialLoss:
    """Looks an adversarial loss up.

    Raises:
        ValueError: no adversarial loss has that name.
    """
    if name not in ADVERSARIAL_LOSSES:
        raise ValueError(f"no adversarial loss {name!r}; there are {', '.join(ADVERSARIAL_LOSSES)}")
    return ADVERSARIAL_LOSSES[name]


def features_of(outputs: Mapping[str, Tensor]) -> list[Tensor]:
    """Lists a discriminator's `feature_1`, `feature_2`, ..., first block first."""
    numbers = sorted(int(key[8:]) for key in outputs if re.fullmatch(r"feature_\d+", key))
    return [outputs[f"feature_{number}"] for number in numbers]


def feature_matching(real_features: Sequence[Tensor], fake_features: Sequence[Tensor]) -> Tensor:
    """Gives how far a discriminator's features of generated photos lie from the real ones', (N,).

    Each generated photo is held against its own original (Wang et al. 2018, pix2pixHD; Salimans
    et al. 2016 match means over the batch): the mean absolute difference of each block's features,
    averaged over the blocks. No gradient flows into the real side.

    Args:
        real_features: features (N, ...) of the originals, one tensor a block.
        fake_features: the same of the generated photos.

    Raises:
        ValueError: there are no features, or not the same number of both.
    """
    if not real_features or len(real_features) != len(fake_features):
        raise ValueError(
            f"needs the features of the same blocks, not {len(real_features)} real ones and "
            f"{len(fake_features)} generated ones"
        )
    distances = [
        _per_photo(ops.abs(ops.stop_gradient(_float32(real)) - _float32(fake)))
        for real, fake in zip(real_features, fake_features, strict=True)
    ]
    return ops.mean(ops.stack(distances), axis=0)


def _float32(values: Tensor) -> Tensor:
    return ops.cast(values, "float32")


def _per_photo(values: Tensor) -> Tensor:
    return ops.mean(ops.reshape(values, (ops.shape(values)[0], -1)), axis=1)


def _checked_smoothing(label_smoothing: float) -> float:
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing must be in [0, 1), not {label_smoothing}")
    return label_smoothing


def _refuse_smoothing(name: str, label_smoothing: float) -> None:
    if label_smoothing != 0.0:
        raise ValueError(f"the {name} loss has no labels to smooth by {label_smoothing}")
