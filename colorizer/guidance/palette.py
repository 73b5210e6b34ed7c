"""A reference photo's palette: which colours are likely, for the networks to prefer."""

from dataclasses import dataclass

import numpy as np

from colorizer.ab_classes import CENTERS, CLASSES, class_shares
from pipelines.color import AB_RANGE, rgb_to_lightness_ab
from pipelines.decoding import resize_bilinear
from pipelines.errors import ColorizerError
from pipelines.grayness import why_gray

# Side of the square that a reference is looked at in: its fine grain is no palette.
_SIZE = 128
# A colour of the reference vouches for those around it, in Lab units; without that, and without a
# little of every colour, a palette would forbid what it happens not to hold.
_SPREAD = 7.0
_EVERY_COLOUR = 0.01
# How far ab of networks without classes go from their own distribution to the reference's. All the
# way puts a photo's strongest colours where they cannot be. Both chosen on validation photos.
TRANSFER = 0.5
# Of ab scaled to [-1, 1], added to a gray prediction's variance: half a Lab unit.
_LEAST_VARIANCE = (0.5 / AB_RANGE) ** 2


@dataclass(frozen=True, eq=False)
class Palette:
    """The colours of a photo.

    Attributes:
        shares: of the classes of colours (`colorizer.ab_classes`), (CLASSES,), of sum 1.
        mean: of ab in [-1, 1], (2,).
        covariance: of ab, (2, 2).
    """

    shares: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, photo: np.ndarray, title: str = "the palette") -> "Palette":
        """Takes the palette of a photo, uint8 (H, W, 3), sRGB; `title` stands in errors.

        Raises:
            ColorizerError: it has no colours of its own: it is gray or toned.
        """
        small = resize_bilinear(photo, (_SIZE, _SIZE)).numpy() / np.float32(255)
        lightness, ab = (np.asarray(part)[None] for part in rgb_to_lightness_ab(small))
        (reason,) = why_gray(lightness, ab)
        if reason is not None:
            raise ColorizerError(f"{title}: is {reason} and has no colours to give")
        flat = ab.reshape(-1, 2).astype(np.float64)
        return cls(class_shares(flat), flat.mean(axis=0), np.cov(flat, rowvar=False))


def prior_swap(shares: np.ndarray, palette: Palette) -> list[float]:
    """Gives what to add to logits so that a palette takes the place of the training's colours.

    By Bayes' rule the probability of a class given a photo holds the class's share in the training
    photos as a factor; this divides by it and multiplies by its share in the palette.

    Args:
        shares: of the classes in the training photos, (CLASSES,), of sum 1.
        palette: of the reference.
    """
    swap: list[float] = (_smoothed_log(palette.shares) - _smoothed_log(shares)).tolist()
    return swap


def transferred(ab: np.ndarray, palette: Palette) -> np.ndarray:
    """Moves predicted colours towards those of a palette, each photo's for itself.

    The map is the linear one that gives ab the palette's mean and covariance with the least change
    (Monge-Kantorovich; Pitie and Kokaram, "The linear Monge-Kantorovitch linear colour mapping
    for example-based colour transfer", 2007), taken `TRANSFER` of the way.

    Args:
        ab: float32 (N, S, S, 2) in [-1, 1].
        palette: of the reference.

    Returns:
        float32 (N, S, S, 2) in [-1, 1].
    """
    return np.stack([_transferred(one, palette) for one in ab])


def _transferred(ab: np.ndarray, palette: Palette) -> np.ndarray:
    flat = ab.reshape(-1, 2).astype(np.float64)
    mean = flat.mean(axis=0)
    own = np.cov(flat, rowvar=False) + _LEAST_VARIANCE * np.eye(2)
    root, inverse = _power(own, 0.5), _power(own, -0.5)
    linear = inverse @ _power(root @ palette.covariance @ root, 0.5) @ inverse
    moved = (flat - mean) @ linear + palette.mean
    between = (1 - TRANSFER) * flat + TRANSFER * moved
    return np.clip(between, -1, 1).astype(np.float32).reshape(ab.shape)


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """A power of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    powers = np.maximum(values, 0.0) ** exponent
    return np.asarray((vectors * powers) @ vectors.T)


def _smoothed_log(shares: np.ndarray) -> np.ndarray:
    distances = AB_RANGE * np.linalg.norm(CENTERS[:, None] - CENTERS[None], axis=-1)
    near = np.exp(-np.square(distances / _SPREAD) / 2)
    spread = (near / near.sum(axis=0)) @ shares
    return np.asarray(np.log((1 - _EVERY_COLOUR) * spread + _EVERY_COLOUR / CLASSES))
