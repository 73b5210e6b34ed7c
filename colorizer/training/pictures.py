"""The pictures of a run: the fixed grid of samples and the learning curve."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from colorizer.files import replacing
from pipelines.color import lightness_ab_to_rgb


def sample_grid(lightness: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Lays out photos as rows of gray | predicted | true.

    Args:
        lightness: (N, S, S, 1) in [-1, 1].
        predicted: ab (N, S, S, 2) in [-1, 1].
        true: ab (N, S, S, 2) in [-1, 1].

    Returns:
        uint8 RGB, shape (N * S, 3 * S, 3).
    """
    columns = [
        np.asarray(lightness_ab_to_rgb(lightness, ab))
        for ab in (np.zeros_like(true), predicted, true)
    ]
    rows = np.concatenate(columns, axis=2)
    return np.rint(255 * np.concatenate(list(rows), axis=0)).astype(np.uint8)


def save_picture(path: Path, picture: np.ndarray) -> None:
    """Writes a uint8 RGB picture, whole or not at all."""
    with replacing(path) as beside:
        Image.fromarray(picture).save(beside)


def save_learning_curve(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Plots training and validation loss, and the learning rate, over the epochs."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    epochs = [row["epoch"] for row in history]
    axes.plot(epochs, [row["loss"] for row in history], "o-", label="training")
    axes.plot(epochs, [row["val_loss"] for row in history], "o-", label="validation")
    axes.set(xlabel="epoch", ylabel="loss")
    axes.legend()
    rate = axes.twinx()
    rate.plot(epochs, [row["learning_rate"] for row in history], ":", color="gray")
    rate.set_ylabel("learning rate (dotted)")
    with replacing(path) as beside:
        figure.savefig(beside, dpi=120)
