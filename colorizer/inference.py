"""Trained colorizers in use: run folders and exports behind one interface."""

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from colorizer.colorizing.painting import lay_on
from colorizer.files import sha256_of
from colorizer.images.conversion import to_srgb, upright
from colorizer.images.provenance import Provenance
from colorizer.models import network_size
from colorizer.runtimes import NETWORK_FILES, Predict, compile_network, format_of, load_network
from colorizer.shipped import load_shipped, shipped_provenance
from colorizer.styles import DEFAULT_STYLE, in_styles, one_style_only
from pipelines import color
from pipelines.decoding import resize_bilinear
from pipelines.errors import ColorizerError

Picture = TypeVar("Picture", np.ndarray, Image.Image)


class Colorizer:
    """Colours photos of any size with a network that sees a fixed one.

    Args:
        predict: the network: lightness float32 (N, S, S, 1) in [-1, 1] to ab float32
            (N, S, S, 2) in [-1, 1].
        image_size: S, in pixels.
        statistics: what a run records about itself; "mean_ab" is needed.
        path: where it was loaded from.
        styles: for a network that knows several, `predict` in each of them.
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
        styles: Mapping[str, Predict] | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        self.image_size = image_size
        self.statistics = dict(statistics)
        self.path = path
        self.mean_ab = _mean_ab(statistics, path)
        self.provenance = provenance or Provenance()
        self._predict = predict
        self._styles = dict(styles or {})

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that it can be asked for; empty where it has one only."""
        return tuple(self._styles)

    def styled(self, style: str | None) -> "Colorizer":
        """Gives the same colorizer with `style` for its own; None: as it is.

        Raises:
            UsageError: the model does not know both styles.
        """
        if style is None:
            return self
        if style not in self._styles:
            raise one_style_only(style, str(self.path or "this model"))
        return Colorizer(
            self._styles[style],
            self.image_size,
            self.statistics,
            self.path,
            self._styles,
            self.provenance.with_settings(style=style),
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
        size = (self.image_size, self.image_size)
        with _memory_named(f"predict {len(photos)} photos at once"):
            small = np.stack([resize_bilinear(photo, size) for photo in photos])
            lightness, _ = color.rgb_to_lightness_ab(small / np.float32(255))
            return self._checked(
                np.asarray(self._predict(np.asarray(lightness)), np.float32), len(photos)
            )

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
        self, image: Picture, *, style: str | None = None, saturation: float = 1.0
    ) -> Picture:
        """Colours one photo.

        Args:
            image: a NumPy array, uint8 sRGB of shape (H, W, 3), (H, W, 1) or (H, W); or a PIL
                image of any mode, which is turned upright, converted to sRGB and its
                transparent parts laid on white. What that changes comes as a `UserWarning`.
            style: "faithful" or "vivid", for models that know both.
            saturation: factor on the colours, 0 or more.

        Returns:
            An array uint8 (H, W, 3) for an array, a PIL image of mode "RGB" for a PIL image.

        Raises:
            ValueError: not such an array, or a bad `saturation`.
            UsageError: the model does not know both styles.
            ColorizerError: memory runs out, the network gives no finite numbers, or the image's
                samples have 32 bits.
        """
        painter = self.styled(style)
        if isinstance(image, Image.Image):
            notes: list[str] = []
            photo = np.asarray(upright(to_srgb(image, notes), image, notes))
            for note in notes:
                warnings.warn(f"the image: {note}", UserWarning, stacklevel=2)
            return Image.fromarray(painter._colorize_array(photo, saturation))
        return painter._colorize_array(_as_rgb(image), saturation)

    def _colorize_array(self, photo: np.ndarray, saturation: float) -> np.ndarray:
        ab = self.predict_photos([photo])
        return self.paint(photo, ab[0], saturation=saturation)

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
    if path is None:
        return _of_network(*load_shipped(), None, shipped_provenance())
    folder = Path(path)
    if not folder.is_dir():
        raise ColorizerError(f"{folder}: no such folder; a model is a run or an export")
    if (folder / "model.keras").is_file():
        return _load_run(folder)
    version = folder if format_of(folder) else _highest_version(folder)
    if version is None:
        raise ColorizerError(
            f"{folder}: holds no model: neither a run (model.keras), nor an export "
            f"({', '.join(NETWORK_FILES.values())}), nor numbered versions of one"
        )
    return _load_export(version)


def _load_run(folder: Path) -> Colorizer:
    statistics = _read_json(folder / "statistics.json")
    model_path = folder / "model.keras"
    with _loading(model_path):
        model = keras.models.load_model(model_path, compile=False, safe_mode=True)
    return _of_network(model, statistics, folder, Provenance(model.name, sha256_of(model_path)))


def _of_network(
    model: keras.Model,
    statistics: Mapping[str, Any],
    folder: Path | None,
    provenance: Provenance,
) -> Colorizer:
    try:
        size = network_size(model)
    except ValueError as error:
        raise ColorizerError(f"{folder or 'the shipped weights'}: {error}") from error
    styles = {
        name: compile_network(styled, size) for name, styled in in_styles(model, statistics).items()
    }
    predict = styles.get(DEFAULT_STYLE) or compile_network(model, size)
    if styles:
        provenance = provenance.with_settings(style=DEFAULT_STYLE)
    return Colorizer(predict, size, statistics, folder, styles, provenance)


def _load_export(folder: Path) -> Colorizer:
    extra = folder / "assets.extra"
    statistics_path = extra / "statistics.json"
    statistics = _read_json(statistics_path)
    size = statistics.get("image_size")
    if not isinstance(size, int) or size < 1:
        raise ColorizerError(f'{statistics_path}: "image_size" must be a whole number, not {size}')
    with _loading(folder):
        predict = load_network(folder, size)
    return Colorizer(predict, size, statistics, folder, provenance=_provenance(extra))


def _provenance(extra: Path) -> Provenance:
    # Exports of earlier versions say nothing of it.
    path = extra / "export.json"
    stated = _read_json(path).get("provenance") if path.is_file() else None
    return Provenance.of_json(stated, str(path))


def _highest_version(folder: Path) -> Path | None:
    versions = [entry for entry in folder.iterdir() if entry.name.isdecimal() and format_of(entry)]
    return max(versions, key=lambda entry: int(entry.name), default=None)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ColorizerError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ColorizerError(f"{path}: is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ColorizerError(f"{path}: holds no JSON object")
    return content


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


def _as_rgb(image: np.ndarray) -> np.ndarray:
    if image.dtype != np.uint8:
        raise ValueError(f"expected an array of uint8, got {image.dtype}")
    gray = image[..., None] if image.ndim == 2 else image
    if gray.ndim != 3 or gray.shape[-1] not in (1, 3) or gray.size == 0:
        raise ValueError(f"expected shape (H, W, 3), (H, W, 1) or (H, W), got {image.shape}")
    return np.repeat(gray, 3, axis=-1) if gray.shape[-1] == 1 else gray


@contextmanager
def _loading(path: Path) -> Iterator[None]:
    # Keras, zipfile, h5py, TensorFlow and the runtimes each raise their own kinds for a damaged
    # model.
    try:
        yield
    except ColorizerError:
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ColorizerError(f"{path}: cannot be loaded: {first}") from error


@contextmanager
def _memory_named(what: str) -> Iterator[None]:
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise ColorizerError(f"not enough memory to {what}") from error
