"""The report's bands of quality, as shares of images."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Bands:
    """Neighbouring bands of one metric, from its smallest values to its largest.

    Attributes:
        edges: the smallest value of each band but the first.
        labels: the bands in words of figures, one more than there are edges.
        meanings: what the report says of each band.
    """

    edges: tuple[float, ...]
    labels: tuple[str, ...]
    meanings: tuple[str, ...]

    def members(self, values: np.ndarray) -> np.ndarray:
        """Gives 1 for each of `values`, shape (N,), in its band, else 0: float64 (N, bands)."""
        return np.eye(len(self.labels))[np.digitize(values, self.edges)]

    def shares(self, values: np.ndarray) -> dict[str, float]:
        """Gives the share of `values`, shape (N,), in each band; together they are 1."""
        shares = self.members(values).mean(axis=0).tolist()
        return dict(zip(self.labels, shares, strict=True))


PSNR_BANDS = Bands(
    edges=(20.0, 30.0, 40.0),
    labels=("< 20", "20-30", "30-40", ">= 40"),
    meanings=(
        "not good enough",
        "visibly different but acceptable",
        "high quality, not told apart by eye",
        "almost identical",
    ),
)

# The first band holds its upper end: "<= 1, 1 < x < 2, 2 <= x < 5".
DELTA_E_BANDS = Bands(
    edges=(float(np.nextafter(1.0, 2.0)), 2.0, 5.0, 10.0),
    labels=("<= 1", "1-2", "2-5", "5-10", ">= 10"),
    meanings=(
        "almost identical",
        "very small difference",
        "different but acceptable",
        "clearly different, not good enough",
        "very different, not usable",
    ),
)

BANDS = {"psnr": PSNR_BANDS, "delta_e_76": DELTA_E_BANDS}
