"""What `--data tfds:...` says: which datasets and splits, how often an epoch shows them."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.errors import UsageError

BuilderName = Literal["imagenet_mini", "sports100", "celeba_hq_256", "photo_folder"]
"""The datasets of `pipelines.datasets`."""

_PREFIX = "tfds:"
_FORM = re.compile(r"tfds:(?P<name>\w+(/[\w.-]+)?)(:(?P<split>\w+))?(\*(?P<weight>[\d.]+))?", re.A)


@dataclass(frozen=True)
class DatasetName:
    """One dataset of `--data`.

    Attributes:
        name: as tfds calls it, with its config where one is named: photo_folder/holidays.
        split: the split, or None where that is left to the use.
        weight: how many times an epoch shows each of its photos, on average.
    """

    name: str
    split: str | None = None
    weight: float = 1.0


def is_dataset(data: Path) -> bool:
    """Whether `--data` names datasets rather than a folder."""
    return str(data).startswith(_PREFIX)


def parse_datasets(data: Path) -> tuple[DatasetName, ...]:
    """Parses `tfds:NAME[/CONFIG][:SPLIT][*WEIGHT]`, several of them with commas between.

    Raises:
        UsageError: it is of another form.
    """
    parsed = []
    for part in str(data).split(","):
        match = _FORM.fullmatch(part)
        weight = _number(match["weight"] or "1") if match else None
        if match is None or weight is None:
            raise UsageError(f"{part}: expected tfds:NAME[/CONFIG][:SPLIT][*WEIGHT]")
        parsed.append(DatasetName(match["name"], match["split"], weight))
    return tuple(parsed)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < math.inf else None
