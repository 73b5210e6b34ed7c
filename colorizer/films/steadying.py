"""From small gray frames to steady colours: the network sees some frames, motion joins all."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from colorizer.films.smoothing import Motion, MotionFinder, steadied, warp
from colorizer.inference import Colorizer
from pipelines import color

# The network sees each eighth frame: as good, and an eighth of its time (benchmarks/RESULTS.md,
# "Films").
PREDICTED_EVERY = 8
# Motion is found, and colours are held, at this size at most, in pixels: the network that ships
# says colours half as fine, and the time goes with the pixels.
STEADIED_SIDE = 128
# It also sees each frame of which less than this part is recognised from the frame before.
ENOUGH_RECOGNISED = 0.9


@dataclass(frozen=True)
class State:
    """What the next frame goes on from.

    Attributes:
        gray: uint8 (s, s), where s is S, but `STEADIED_SIDE` at most.
        ab: float32 (s, s, 2) in [-1, 1], as painted.
        since: frames since the network saw one.
    """

    gray: np.ndarray
    ab: np.ndarray
    since: int


class Steadier:
    """Colours frames, a few at a time, in order.

    Args:
        colorizer: says the colours.
        batch_size: frames that go through the network at once.
        state: that of the frame before the first; None at the start of a film.
        every: the network sees each so many-th frame.
        smooth: False colours each frame for itself, for comparison.
    """

    def __init__(
        self,
        colorizer: Colorizer,
        batch_size: int,
        state: State | None = None,
        *,
        every: int = PREDICTED_EVERY,
        smooth: bool = True,
    ) -> None:
        self._colorizer, self._batch_size, self._state = colorizer, batch_size, state
        self._every, self._smooth = every, smooth
        self._finder = MotionFinder()
        gray = np.arange(256, dtype=np.float32) / 255
        lightness, _, _ = color.rgb_planes_to_lab(gray, gray, gray)
        self._lightness = np.asarray(lightness, np.float32) / color.LIGHTNESS_HALF_RANGE - 1

    def colour(self, grays: Sequence[np.ndarray]) -> list[State]:
        """Colours the next frames.

        Args:
            grays: uint8 (S, S) each.

        Returns:
            For each frame its colours, and what the next one would go on from.

        Raises:
            ColorizerError: memory runs out, or the network gives no finite numbers.
        """
        small = [_at_most(gray, STEADIED_SIDE) for gray in grays]
        motions = self._motions(small)
        since = self._state.since if self._state else 0
        seen = []
        for number, motion in enumerate(motions):
            since += 1
            if (
                motion is None
                or since >= self._every
                or motion.recognised_share < ENOUGH_RECOGNISED
            ):
                seen.append(number)
                since = 0
        guesses = dict(zip(seen, self._guesses([grays[number] for number in seen]), strict=True))
        states = []
        for number, (gray, motion) in enumerate(zip(small, motions, strict=True)):
            self._state = self._next(gray, motion, guesses.get(number))
            states.append(self._state)
        return states

    def _motions(self, grays: Sequence[np.ndarray]) -> list[Motion | None]:
        """The motion that leads to each frame; None where it goes on from nothing."""
        if not self._smooth:
            return [None] * len(grays)
        before = self._state.gray if self._state else None
        motions: list[Motion | None] = []
        for gray in grays:
            motion = None if before is None else self._finder.between(before, gray)
            motions.append(None if motion is None or motion.is_cut else motion)
            before = gray
        return motions

    def _guesses(self, grays: Sequence[np.ndarray]) -> list[np.ndarray]:
        guesses: list[np.ndarray] = []
        for first in range(0, len(grays), self._batch_size):
            batch = np.stack(grays[first : first + self._batch_size])
            predicted = self._colorizer.predict_ab(self._lightness[batch][..., None])
            guesses.extend(_at_most(ab, STEADIED_SIDE) for ab in predicted)
        return guesses

    def _next(self, gray: np.ndarray, motion: Motion | None, guess: np.ndarray | None) -> State:
        before = self._state
        if motion is None or before is None:
            if guess is None:
                raise AssertionError("a frame that goes on from nothing is always predicted")
            return State(gray, guess, 0)
        if guess is None:
            return State(gray, warp(before.ab, motion.sources), before.since + 1)
        return State(gray, steadied(guess, before.ab, motion), 0)


def _at_most(picture: np.ndarray, side: int) -> np.ndarray:
    """Shrinks a square picture that is larger, antialiased."""
    if len(picture) <= side:
        return picture
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
