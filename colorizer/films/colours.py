"""The network's small ab as chroma planes, beside the film's own luma.

Films come as luma and chroma (ITU-T H.273), with chroma at half the size in both directions.
Painting at that size takes a quarter of the colour maths and no conversion of whole frames: the
exact colour of each chroma sample is computed from the L of its luma and its ab. Its luma is a
little below that of a gray of the same L; that difference, enlarged, is taken off the film's luma,
so that L stays.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import tensorflow as tf

from pipelines import color

Tensor = Any

# Red's and blue's share in luma, by the number of the matrix in H.273.
WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
# As in `colorizing.painting`: a fixed number, so that XLA compiles once.
STRIP_PIXELS = 1 << 17


@dataclass(frozen=True)
class Colours:
    """How a film's luma and chroma are meant, by the numbers of H.273.

    Attributes:
        matrix: of luma and chroma, one of `WEIGHTS`.
        full_range: luma from 0 to 255, not from 16 to 235.
        primaries: of red, green and blue; told on, not computed with: ab are of sRGB's.
        transfer: as primaries.
    """

    matrix: int
    full_range: bool
    primaries: int
    transfer: int

    @cached_property
    def levels(self) -> np.ndarray:
        """The gray levels, uint8 (256,), of all lumas."""
        low, span = self._luma_range
        gray = (np.arange(256) - low) * (255 / span)
        return np.clip(np.round(gray), 0, 255).astype(np.uint8)

    @cached_property
    def tables(self) -> np.ndarray:
        """Of all lumas the gray in [0, 1] and its L in [0, 100]: float32 (2, 256)."""
        low, span = self._luma_range
        gray = np.clip((np.arange(256, dtype=np.float32) - low) / span, 0, 1)
        lightness, _, _ = color.rgb_planes_to_lab(gray, gray, gray)
        return np.stack([gray, np.asarray(lightness, np.float32)])

    @cached_property
    def scales(self) -> np.ndarray:
        """What the painting computes with: float32 (4,)."""
        return np.array(
            [*WEIGHTS[self.matrix], self._luma_range[1], 255 if self.full_range else 224],
            np.float32,
        )

    @property
    def _luma_range(self) -> tuple[int, int]:
        return (0, 255) if self.full_range else (16, 219)


class Painter:
    """Lays colour on luma planes, in one thread at a time.

    Args:
        colours: how luma and chroma are meant.
        saturation: factor on ab.
    """

    def __init__(self, colours: Colours, saturation: float) -> None:
        self._saturation = np.float32(saturation * color.AB_RANGE)
        self._tables = tf.constant(colours.tables)
        self._scales = tf.constant(colours.scales)
        # Kept from frame to frame: fresh memory of that size costs more than what is done in it.
        self._enlarged: np.ndarray | None = None
        self._drop: np.ndarray | None = None

    def paint(
        self, luma: np.ndarray, small: np.ndarray, ab: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Gives the planes of a coloured frame.

        Args:
            luma: uint8 (H, W).
            small: the same at the size of the chroma planes, uint8 (h, w).
            ab: float32 (S, S, 2) in [-1, 1].

        Returns:
            luma uint8 (H, W), Cb and Cr uint8 (h, w).
        """
        height, width = small.shape
        shrinking = width < ab.shape[1] or height < ab.shape[0]
        self._enlarged = enlarged = cv2.resize(
            ab * self._saturation,
            (width, height),
            self._enlarged,
            interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR,
        )
        drop, cb, cr = self._chroma(small.reshape(-1), enlarged.reshape(-1, 2))
        drop = drop.reshape(height, width)
        if drop.shape != luma.shape:
            self._drop = drop = cv2.resize(
                drop, luma.shape[::-1], self._drop, interpolation=cv2.INTER_LINEAR
            )
        return cv2.subtract(luma, drop), cb.reshape(height, width), cr.reshape(height, width)

    def _chroma(self, luma: np.ndarray, ab: np.ndarray) -> list[np.ndarray]:
        count = len(luma)
        planes = np.empty((3, count), np.uint8)
        for first in range(0, count, STRIP_PIXELS):
            last = min(first + STRIP_PIXELS, count)
            missing = first + STRIP_PIXELS - last
            strip, colour = luma[first:last], ab[first:last]
            if missing:
                strip, colour = np.pad(strip, (0, missing)), np.pad(colour, ((0, missing), (0, 0)))
            packed = _paint_strip(strip, colour, self._tables, self._scales).numpy()
            planes[:, first:last] = packed.view(np.uint8).reshape(-1, 4)[: last - first, :3].T
        return list(planes)


@tf.function(
    jit_compile=True,
    autograph=False,
    input_signature=[
        tf.TensorSpec([STRIP_PIXELS], tf.uint8),
        tf.TensorSpec([STRIP_PIXELS, 2], tf.float32),
        tf.TensorSpec([2, 256], tf.float32),
        tf.TensorSpec([4], tf.float32),
    ],
)
def _paint_strip(luma: Tensor, ab: Tensor, tables: Tensor, scales: Tensor) -> Tensor:
    """Computes how far luma drops, Cb and Cr, packed as drop + 256 Cb + 65536 Cr, uint32."""
    red_share, blue_share, luma_span, chroma_span = tf.unstack(scales)
    plain, light = (tf.gather(table, tf.cast(luma, tf.int32)) for table in tf.unstack(tables))
    red, green, blue = color.lab_planes_to_rgb(light, ab[:, 0], ab[:, 1])
    own = red_share * red + (1.0 - red_share - blue_share) * green + blue_share * blue
    drop = luma_span * (plain - own)
    cb = 128.0 + chroma_span * (blue - own) / (2.0 * (1.0 - blue_share))
    cr = 128.0 + chroma_span * (red - own) / (2.0 * (1.0 - red_share))
    drop, cb, cr = (
        tf.cast(tf.clip_by_value(tf.round(plane), 0.0, 255.0), tf.uint32)
        for plane in (drop, cb, cr)
    )
    return drop + 256 * cb + 65536 * cr
