"""Gray photos into colour photos: models, training, evaluation and use.

>>> import colorizer
>>> model = colorizer.load("runs/first")
>>> model.colorize(PIL.Image.open("old.jpg")).save("old_in_colour.png")
"""

from pathlib import Path
from typing import TYPE_CHECKING

from colorizer.guidance.hints import Hint

if TYPE_CHECKING:
    from colorizer.inference import Colorizer

__all__ = ["Hint", "load"]


def load(path: str | Path | None = None) -> "Colorizer":
    """Loads a run folder or an exported SavedModel as a `colorizer.inference.Colorizer`.

    TensorFlow is imported here and not with the package, so that `--help` stays fast.
    """
    from colorizer.inference import load as load_colorizer

    return load_colorizer(path)
