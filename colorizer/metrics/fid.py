"""FID, the Frechet inception distance, over the features of Keras's InceptionV3."""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from colorizer.training.precision import dtype_policy
from pipelines.decoding import resize_bilinear
from pipelines.errors import ColorizerError, UsageError

Tensor = Any

WEIGHTS_NAME = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGE_SIZE = 299
DIMENSIONS = 2048


def fid(real: np.ndarray, fake: np.ndarray) -> float:
    """Gives the Frechet distance between normal distributions fitted to two sets of features.

    Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash
    equilibrium" (2017): `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`, with the unbiased
    covariances C. It is biased upwards, the more so the fewer the photos: with far fewer than
    10,000 it ranks models on one and the same set of photos and says nothing beside figures from
    elsewhere, and KID is the one to trust. Lower is better.

    The trace of (C1 C2)^(1/2) is taken as the sum of the singular values of A B^T, with
    C1 = A^T A and C2 = B^T B. That needs no square root of a matrix, and is exact where there are
    fewer photos than features and the covariances are singular.

    Args:
        real: features of the originals, (N, d), N at least 2.
        fake: features of the pictures to judge, (M, d), M at least 2.

    Raises:
        ValueError: not two such sets, or a feature that is not finite.
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(f"expected features (N, d) and (M, d), got {real.shape}, {fake.shape}")
    if min(len(real), len(fake)) < 2:
        raise ValueError(f"FID needs at least 2 photos, got {len(real)} and {len(fake)}")
    if not (np.isfinite(real).all() and np.isfinite(fake).all()):
        raise ValueError("features that are not finite")
    shift = real.mean(axis=0) - fake.mean(axis=0)
    root_real, root_fake = _covariance_root(real), _covariance_root(fake)
    covered = np.linalg.norm(root_real @ root_fake.T, "nuc")
    traces = (root_real**2).sum() + (root_fake**2).sum()
    return float(shift @ shift + traces - 2.0 * covered)


def _covariance_root(features: np.ndarray) -> np.ndarray:
    """Gives A, of min(N, d) rows, with A^T A the unbiased covariance of `features` (N, d)."""
    centred = (features - features.mean(axis=0)) / np.sqrt(len(features) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r"))


def inception_weights_path() -> Path:
    """Gives the place where Keras keeps InceptionV3's weights once it has them.

    That is in the folder named by the environment variable KERAS_HOME, else in `~/.keras`.
    """
    home = os.environ.get("KERAS_HOME") or Path("~/.keras")
    return Path(home).expanduser() / "models" / WEIGHTS_NAME


class InceptionFeatures:
    """The 2048 pooled features that Keras's InceptionV3, trained on ImageNet, gives a picture.

    Pictures are squashed to 299x299 (bilinear, antialiased where they shrink, not rounded) and
    scaled to [-1, 1]. The network is the one of `keras.applications`; FID over other ports of
    Inception gives other figures. Nothing is ever downloaded.

    Args:
        path: the weights without top, `WEIGHTS_NAME`; left out: where Keras keeps them.
        batch_size: how many pictures go through the network at once.

    Raises:
        UsageError: the file is not there.
        ColorizerError: it does not hold these weights.
    """

    name = "InceptionV3"
    dimensions = DIMENSIONS

    def __init__(self, path: Path | None = None, batch_size: int = 32) -> None:
        self.batch_size = batch_size
        network = _network(inception_weights_path() if path is None else path)

        def pooled(rgb: Tensor) -> Tensor:
            resized = resize_bilinear(rgb, (IMAGE_SIZE, IMAGE_SIZE))
            resized = tf.ensure_shape(resized, (None, IMAGE_SIZE, IMAGE_SIZE, 3))
            return network(resized / 127.5 - 1.0, training=False)

        signature = [tf.TensorSpec((None, None, None, 3), tf.uint8)]
        self._features = tf.function(pooled, input_signature=signature)

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """Gives float32 features (N, 2048) of 8-bit sRGB pictures, uint8 (N, H, W, 3)."""
        starts = range(0, len(rgb), self.batch_size)
        parts = [self._features(rgb[start : start + self.batch_size]).numpy() for start in starts]
        return np.concatenate(parts)


def _network(path: Path) -> keras.Model:
    if not path.is_file():
        raise UsageError(
            f"{path}: no such file: FID needs Keras's InceptionV3 weights without top there, "
            "and downloads nothing"
        )
    with dtype_policy("float32"):
        network = keras.applications.InceptionV3(
            include_top=False,
            weights=None,
            pooling="avg",
            input_shape=(IMAGE_SIZE, IMAGE_SIZE, 3),
        )
    try:
        network.load_weights(path)
    # h5py and Keras raise their own kinds for a file of another sort.
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ColorizerError(
            f"{path}: does not hold InceptionV3's weights without top: {first}"
        ) from error
    return network
