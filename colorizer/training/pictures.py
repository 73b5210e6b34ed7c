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


# Panels of the learning curve: what stands on the axis, and which figures are drawn.
_PANELS: dict[str, tuple[str, ...]] = {
    "loss": ("loss", "val_loss"),
    "score (lower is better)": ("val_score",),
    "adversarial losses": ("generator_loss", "discriminator_loss"),
    "discriminator's accuracy": ("accuracy_real", "accuracy_fake"),
    "spread of mean ab": ("spread_real", "spread_fake"),
    "norm of gradients": ("generator_gradient", "discriminator_gradient"),
}


def save_learning_curve(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Plots over the epochs what the run has of losses and of the measures of collapse.

    The learning rate is dotted into the first panel.
    """
    panels = {title: names for title, names in _PANELS.items() if names[0] in history[0]}
    figure = Figure(figsize=(7, 4 if len(panels) == 1 else 2.2 * len(panels)), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for place, (title, names) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(len(panels), 1, place)
        for name in names:
            axes.plot(epochs, [row[name] for row in history], "o-", label=name)
        axes.set(xlabel="epoch", ylabel=title)
        axes.legend()
        if place == 1:
            rate = axes.twinx()
            rate.plot(epochs, [row["learning_rate"] for row in history], ":", color="gray")
            rate.set_ylabel("learning rate (dotted)")
    with replacing(path) as beside:
        figure.savefig(beside, dpi=120)
