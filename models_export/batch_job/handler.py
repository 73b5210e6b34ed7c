"""The colorizer as Beam's RunInference takes a model."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from apache_beam.ml.inference.base import ModelHandler

from colorizer.command import import_tensorflow
from colorizer.images.provenance import Provenance
from colorizer.images.reading import Photo
from pipelines.errors import ColorizerError

if TYPE_CHECKING:
    from colorizer.inference import Colorizer

# Decoded photos wait for their batch in memory: no more than this together, or one alone.
BATCH_PIXELS = 48_000_000


@dataclass(frozen=True)
class Opened:
    """A photo that has been read.

    Attributes:
        path: its file.
        target: the file to write, relative to the output.
        photo: upright sRGB.
    """

    path: str
    target: str
    photo: Photo

    @property
    def pixels(self) -> int:
        """How many it has."""
        return self.photo.image.width * self.photo.image.height


@dataclass(frozen=True)
class Coloured:
    """What became of a photo.

    Attributes:
        opened: the photo.
        rgb: uint8 (H, W, 3), sRGB; None where it failed.
        error: why it failed.
        provenance: where its colours come from.
    """

    opened: Opened
    rgb: np.ndarray | None
    error: str | None = None
    provenance: Provenance | None = None


@lru_cache(maxsize=1)
def load_colorizer(model: str | None, style: str | None) -> "Colorizer":
    """Loads a colorizer, once in a process.

    Raises:
        ColorizerError: there is no model, or it cannot be loaded.
        UsageError: it does not know the style.
    """
    import_tensorflow()
    from colorizer.inference import load

    return load(model).styled(style)


class ColorizerHandler(ModelHandler[Opened, Coloured, Any]):
    """Colours photos as `colorize` does, with the same code.

    Beam's own handler of TensorFlow models takes tensors of one shape and gives raw outputs: photos
    of any size are read, shrunk and painted by `Colorizer` here. A process holds one copy of the
    model. It is not shared across processes: its weights take 14 MB, and photos sent to another
    process and back would cost more than that.

    Args:
        model: a run or an export, see `colorizer.load`.
        style: for models that know both.
        saturation: factor on the colours.
        batch_size: photos that go through the network at once, at most.
    """

    def __init__(
        self, model: str | None, style: str | None, saturation: float, batch_size: int
    ) -> None:
        # A batch is bounded in pixels, and in number by the least that a photo counts. With one
        # size asked for Beam does not try others out.
        least = BATCH_PIXELS // batch_size
        super().__init__(
            min_batch_size=BATCH_PIXELS,
            max_batch_size=BATCH_PIXELS,
            element_size_fn=lambda opened: min(max(opened.pixels, least), BATCH_PIXELS),
        )
        self._model, self._style, self._saturation = model, style, saturation

    def set_environment_vars(self) -> None:
        """Has TensorFlow compute a batch on one core, before it is imported.

        Workers colour as many batches at once as they have cores, which is faster than that many
        cores at one batch: reading and writing photos has no use for the others.
        """
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

    def load_model(self) -> "Colorizer":
        """Loads the colorizer; see `load_colorizer`."""
        return load_colorizer(self._model, self._style)

    def run_inference(
        self,
        batch: Sequence[Opened],
        model: "Colorizer",
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[Coloured]:
        """Colours a batch; a photo that fails carries the reason."""
        photos = [np.asarray(opened.photo.image) for opened in batch]
        try:
            ab = model.predict_photos(photos)
        except ColorizerError as error:
            if len(batch) == 1:
                return [Coloured(batch[0], None, str(error))]
            # Too large together, or one is at fault: each alone.
            return [one for opened in batch for one in self.run_inference([opened], model)]
        return self._painted(model, batch, photos, ab)

    def _painted(
        self,
        model: "Colorizer",
        batch: Sequence[Opened],
        photos: Sequence[np.ndarray],
        ab: np.ndarray,
    ) -> Iterator[Coloured]:
        provenance = model.provenance.with_settings(saturation=f"{self._saturation:g}")
        for opened, photo, photo_ab in zip(batch, photos, ab, strict=True):
            try:
                rgb = model.paint(photo, photo_ab, saturation=self._saturation)
            except ColorizerError as error:
                yield Coloured(opened, None, str(error))
            else:
                yield Coloured(opened, rgb, provenance=provenance)

    def get_num_bytes(self, batch: Sequence[Opened]) -> int:
        """Bytes of a batch, for Beam's metrics; Beam's own answer would pickle it."""
        return sum(3 * opened.pixels for opened in batch)

    def get_metrics_namespace(self) -> str:
        """The name of Beam's metrics of batches and times."""
        return "colorizer"
