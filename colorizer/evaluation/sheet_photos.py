"""The few photos that a contact sheet shows, picked while the batches pass by."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

EVENLY_SPACED = 6
EXTREMES = 3


@dataclass(frozen=True)
class SheetPhoto:
    """A picked photo.

    Attributes:
        index: its place among the evaluated photos.
        why: what it stands for: "evenly spaced", "best 1", "worst 2", ...
        pictures: uint8 RGB (H, W, 3) under "gray", "model", the other models' names and "truth",
            in this order.
    """

    index: int
    why: tuple[str, ...]
    pictures: Mapping[str, np.ndarray]


class SheetPicker:
    """Picks evenly spaced photos and the best and worst by PSNR, holding no others.

    Args:
        total: how many photos will pass by.
        evenly_spaced: how many of them to pick whatever their quality.
        extremes: how many of the best, and as many of the worst.
    """

    def __init__(
        self, total: int, evenly_spaced: int = EVENLY_SPACED, extremes: int = EXTREMES
    ) -> None:
        places = np.linspace(0, total - 1, min(evenly_spaced, total)).round().astype(int)
        self._spaced = dict.fromkeys(places.tolist(), True)
        self._extremes = extremes
        self._best: list[tuple[float, int]] = []
        self._worst: list[tuple[float, int]] = []
        self._pictures: dict[int, dict[str, np.ndarray]] = {}
        self._seen = 0

    def add(self, psnr: np.ndarray, pictures: Mapping[str, np.ndarray]) -> None:
        """Looks at the next batch: PSNR (N,), and uint8 RGB (N, H, W, 3) by name."""
        for row, value in enumerate(psnr.tolist()):
            index = self._seen + row
            self._best = sorted([*self._best, (-value, index)])[: self._extremes]
            self._worst = sorted([*self._worst, (value, index)])[: self._extremes]
            if index in self._wanted():
                self._pictures[index] = {name: rgb[row].copy() for name, rgb in pictures.items()}
        self._seen += len(psnr)
        wanted = self._wanted()
        self._pictures = {i: kept for i, kept in self._pictures.items() if i in wanted}

    def picked(self) -> tuple[SheetPhoto, ...]:
        """Gives the evenly spaced photos in order, then the best, then the worst; each once."""
        why: dict[int, list[str]] = {index: ["evenly spaced"] for index in self._spaced}
        for reason, ranked in (("best", self._best), ("worst", self._worst)):
            for rank, (_, index) in enumerate(ranked, start=1):
                why.setdefault(index, []).append(f"{reason} {rank}")
        return tuple(
            SheetPhoto(index, tuple(reasons), self._pictures[index])
            for index, reasons in why.items()
            if index in self._pictures
        )

    def _wanted(self) -> set[int]:
        return {*self._spaced, *(index for _, index in (*self._best, *self._worst))}
