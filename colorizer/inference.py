"""Trained colorizers in use: run folders and exports behind one interface."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf
from PIL import Image

from colorizer.colorizing.painting import lay_on
from colorizer.guidance.hints import Hint, points
from colorizer.guidance.networks import USUAL, Network, Wish
from colorizer.guidance.palette import Palette
from colorizer.guidance.propagation import MOST_HINTS, with_hints
from colorizer.images.conversion import to_srgb, upright
from colorizer.images.provenance import Provenance
from colorizer.model_files import TrainedModel, read_model, read_shipped
from colorizer.runtimes import Predict
from pipelines import color
from pipelines.decoding import resize_bilinear
from pipelines.errors import ColorizerError

# In pixels.
FILM_SIDE = 192

Picture = TypeVar("Picture", np.ndarray, Image.Image)


class Colorizer:
    """Colours photos of any size with a network that sees a fixed one.

    Args:
        predict: the network: lightness float32 (N, S, S, 1) in [-1, 1] to ab float32
            (N, S, S, 2) in [-1, 1].
        image_size: S, in pixels.
        statistics: what a run records about itself; "mean_ab" is needed.
        path: where it was loaded from.
        network: what else it can answer; left out: palettes alone.
        wish: which of its answers `predict` gives.
        provenance: what its pictures say of their colours.

    Raises:
        ColorizerError: `statistics` holds no sane "mean_ab".
    """

    def __init__(
        self,
        predict: Predict,
        image_size: int,
        statistics: Mapping[str, Any],
        path: Path | None = None,
        network: Network | None = None,
        wish: Wish = USUAL,
        provenance: Provenance | None = None,
    ) -> None:
        self.image_size = image_size
        self.statistics = dict(statistics)
        self.path = path
        self.mean_ab = _mean_ab(statistics, path)
        self.provenance = provenance or Provenance()
        self._predict = predict
        self._network = network or Network(predict, str(path or "this model"))
        self._wish = wish

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that it can be asked for; empty where it has one only."""
        return self._network.styles

    def styled(self, style: str | None) -> "Colorizer":
        """Gives the same colorizer with `style` for its own; None: as it is.

        Raises:
            UsageError: the model does not know both styles.
        """
        return self.guided(style=style)

    def guided(
        self,
        *,
        style: str | None = None,
        palette: Palette | None = None,
        seed: int | None = None,
    ) -> "Colorizer":
        """Gives the same colorizer with other colours for its own.

        Args:
            style: "faithful" or "vivid", for models that know both.
            palette: of a reference photo, whose colours are to be preferred.
            seed: of a sample: other colours, about as likely; for models that sample.

        Raises:
            UsageError: the model does not know both styles, or does not sample.
        """
        wish = Wish(style, palette, seed).over(self._wish)
        if wish == self._wish:
            return self
        predict = self._network.answering(wish)
        return Colorizer(
            predict,
            self.image_size,
            self.statistics,
            self.path,
            self._network,
            wish,
            self.provenance.with_settings(**wish.settings),
        )

    def predict_ab(self, lightness: np.ndarray) -> np.ndarray:
        """Predicts colour for lightness of any size.

        The network sees it resized to its own size (bilinear, antialiased where that shrinks
        it); its answer is resized back in the same way.

        Args:
            lightness: float (N, H, W, 1) in [-1, 1].

        Returns:
            ab, float32 (N, H, W, 2) in [-1, 1].

        Raises:
            ValueError: not such an array.
            ColorizerError: memory runs out, or the network gives no finite numbers.
        """
        lightness = np.asarray(lightness)
        if lightness.ndim != 4 or lightness.shape[-1] != 1 or 0 in lightness.shape:
            raise ValueError(f"expected lightness (N, H, W, 1), got shape {lightness.shape}")
        if not np.issubdtype(lightness.dtype, np.floating):
            raise ValueError(f"expected float lightness in [-1, 1], got {lightness.dtype}")
        if not np.abs(lightness).max() <= 1.001:
            raise ValueError("expected lightness in [-1, 1], got values outside or NaN")
        with _memory_named(f"predict {len(lightness)} pictures at once"):
            seen = _resized(lightness.astype(np.float32), (self.image_size, self.image_size))
            ab = self._checked(np.asarray(self._predict(seen), np.float32), len(lightness))
            return _resized(ab, lightness.shape[1:3])

    def predict_photos(self, photos: Sequence[np.ndarray]) -> np.ndarray:
        """Predicts colour for whole photos of any sizes, all in one go through the network.

        Each is squashed to the network's size as RGB, with its whole area whatever the training
        did, and converted to Lab then.

        Args:
            photos: uint8 (H, W, 3) each, sRGB.

        Returns:
            ab, float32 (N, S, S, 2) in [-1, 1], to be laid on with `paint`.

        Raises:
            ColorizerError: memory runs out, or the network gives no finite numbers.
        """
        with _memory_named(f"predict {len(photos)} photos at once"):
            return self._checked(
                np.asarray(self._predict(self._seen(photos)), np.float32), len(photos)
            )

    def with_hints(self, photo: np.ndarray, ab: np.ndarray, hints: Sequence[Hint]) -> np.ndarray:
        """Bends the colours predicted for a photo towards hints.

        See `colorizer.guidance.propagation`.

        Args:
            photo: uint8 (H, W, 3), sRGB.
            ab: float32 (S, S, 2) in [-1, 1], as from `predict_photos`.
            hints: on the photo; none leave `ab` as it is.

        Returns:
            ab, float32 (S, S, 2) in [-1, 1].

        Raises:
            ColorizerError: a hint lies outside the photo, there are more than `MOST_HINTS`, or
                memory runs out.
        """
        if not hints:
            return ab
        if len(hints) > MOST_HINTS:
            raise ColorizerError(f"{len(hints)} hints; at most {MOST_HINTS} for one photo")
        height, width = photo.shape[:2]
        placed = np.array(points(hints, width, height), np.float32)
        with _memory_named(f"spread {len(hints)} hints"):
            return with_hints(self._seen([photo])[0], ab, placed, width / height).numpy()

    def paint(self, photo: np.ndarray, ab: np.ndarray, *, saturation: float = 1.0) -> np.ndarray:
        """Lays colour on a photo, whose own lightness stays at full size.

        Args:
            photo: uint8 (H, W, 3), sRGB.
            ab: float32 (S, S, 2) in [-1, 1], as from `predict_photos`.
            saturation: factor on `ab`, 0 or more.

        Returns:
            uint8 (H, W, 3), sRGB.

        Raises:
            ValueError: `saturation` is negative or not finite.
            ColorizerError: memory runs out.
        """
        if not 0 <= saturation < math.inf:
            raise ValueError(f"saturation must be 0 or more, not {saturation}")
        height, width = photo.shape[:2]
        with _memory_named(f"colour {width} x {height} pixels"):
            return lay_on(photo, ab, saturation=saturation)

    def colorize(
        self,
        image: Picture,
        *,
        style: str | None = None,
        saturation: float = 1.0,
        hints: Sequence[Hint] = (),
        palette: np.ndarray | Image.Image | Palette | None = None,
        seed: int | None = None,
    ) -> Picture:
        """Colours one photo.

        Args:
            image: a NumPy array, uint8 sRGB of shape (H, W, 3), (H, W, 1) or (H, W); or a PIL
                image of any mode, which is turned upright, converted to sRGB and its
                transparent parts laid on white. What that changes comes as a `UserWarning`.
            style: "faithful" or "vivid", for models that know both.
            saturation: factor on the colours, 0 or more.
            hints: points whose colours are known or wished, on the upright photo.
            palette: a colour photo, whose colours are to be preferred.
            seed: of other colours, about as likely, for models that sample.

        Returns:
            An array uint8 (H, W, 3) for an array, a PIL image of mode "RGB" for a PIL image.

        Raises:
            ValueError: not such an array, or a bad `saturation`.
            UsageError: the model does not know both styles, or does not sample.
            ColorizerError: memory runs out, the network gives no finite numbers, the image's
                samples have 32 bits, a hint lies outside the photo, or the palette is gray.
        """
        if palette is not None and not isinstance(palette, Palette):
            palette = Palette.of(_as_photo(palette, "the palette"))
        painter = self.guided(style=style, palette=palette, seed=seed)
        photo = _as_photo(image, "the image")
        ab = painter.with_hints(photo, painter.predict_photos([photo])[0], hints)
        painted = painter.paint(photo, ab, saturation=saturation)
        return Image.fromarray(painted) if isinstance(image, Image.Image) else painted

    def _seen(self, photos: Sequence[np.ndarray]) -> np.ndarray:
        """Lightness of photos as the network sees them, float32 (N, S, S, 1) in [-1, 1]."""
        size = (self.image_size, self.image_size)
        small = np.stack([resize_bilinear(photo, size) for photo in photos])
        return np.asarray(color.rgb_to_lightness_ab(small / np.float32(255))[0])

    def _checked(self, ab: np.ndarray, count: int) -> np.ndarray:
        expected = (count, self.image_size, self.image_size, 2)
        if ab.shape != expected:
            raise ColorizerError(f"{self._name}: gives ab of shape {ab.shape}, not {expected}")
        if not np.isfinite(ab).all():
            raise ColorizerError(f"{self._name}: gives NaN or infinite colours: is it damaged?")
        return ab

    @property
    def _name(self) -> str:
        return str(self.path or "the network")


def load(path: str | Path | None = None) -> Colorizer:
    """Loads a trained colorizer.

    Args:
        path: a run folder (holds model.keras), a version folder of an export (saved_model.pb,
            model.tflite or model.onnx), or an export's base BASE/NAME, of which the highest
            version is taken. Left out: the weights that ship with the package.

    Raises:
        ColorizerError: there is no model at `path`, it cannot be loaded, or the runtime of its
            format is not installed.
    """
    return _colorizer(read_model(path))


def load_for_films() -> Colorizer:
    """Loads the weights that ship, to colour films with.

    The network sees frames at `FILM_SIDE`: as good, and in half the time (benchmarks/RESULTS.md,
    "Films").

    Raises:
        ColorizerError: the weights are damaged.
    """
    return _colorizer(read_shipped(FILM_SIDE))


def _colorizer(model: TrainedModel) -> Colorizer:
    predict = model.network.answering(USUAL)
    return Colorizer(
        predict,
        model.image_size,
        model.statistics,
        model.path,
        model.network,
        provenance=model.provenance,
    )


def _mean_ab(statistics: Mapping[str, Any], path: Path | None) -> tuple[float, float]:
    stated = statistics.get("mean_ab")
    if isinstance(stated, list | tuple) and len(stated) == 2:
        numbers = all(isinstance(value, int | float) and abs(value) <= 1 for value in stated)
        if numbers:
            return float(stated[0]), float(stated[1])
    raise ColorizerError(
        f'{path or "statistics"}: "mean_ab" must be two numbers in [-1, 1], not {stated}'
    )


def _resized(pictures: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    # The usual case is seen here: TensorFlow takes 0.3 ms to find that there is nothing to do.
    if pictures.shape[1:3] == size:
        return pictures
    return np.asarray(resize_bilinear(pictures, size))


def _as_photo(image: np.ndarray | Image.Image, title: str) -> np.ndarray:
    """Gives an image as uint8 (H, W, 3), upright, in sRGB."""
    if not isinstance(image, Image.Image):
        return _as_rgb(image)
    notes: list[str] = []
    photo = np.asarray(upright(to_srgb(image, notes), image, notes))
    for note in notes:
        # Of whoever called `colorize`.
        warnings.warn(f"{title}: {note}", UserWarning, stacklevel=3)
    return photo


def _as_rgb(image: np.ndarray) -> np.ndarray:
    if image.dtype != np.uint8:
        raise ValueError(f"expected an array of uint8, got {image.dtype}")
    gray = image[..., None] if image.ndim == 2 else image
    if gray.ndim != 3 or gray.shape[-1] not in (1, 3) or gray.size == 0:
        raise ValueError(f"expected shape (H, W, 3), (H, W, 1) or (H, W), got {image.shape}")
    return np.repeat(gray, 3, axis=-1) if gray.shape[-1] == 1 else gray


@contextmanager
def _memory_named(what: str) -> Iterator[None]:
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise ColorizerError(f"not enough memory to {what}") from error
