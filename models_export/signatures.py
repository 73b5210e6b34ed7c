"""What an exported colorizer answers to: the signatures of its SavedModel.

    serving_default, colorize_bytes  image_bytes string [N] -> colorized_bytes string [N]
    predict_ab                       lightness float32 [N,H,W,1] -> ab float32 [N,H,W,2]
    colorize_rgb                     rgb uint8 [N,H,W,3] -> colorized uint8 [N,H,W,3]
    colorize_hinted                  image_bytes, hints float32 [N,K,5] -> colorized_bytes

The first two are one function under two names. Everything is made of TensorFlow's own operations,
so that any TensorFlow loads it, TensorFlow Serving too, without Keras or this package.
"""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from colorizer.guidance.propagation import with_hints
from colorizer.images.provenance import PNG_HEADER_BYTES, Provenance, encoded_png_chunks
from colorizer.models import network_size
from pipelines import color
from pipelines.decoding import resize_bilinear

Tensor = Any

# Pictures in work at once. Each takes some 60 bytes a pixel for its full-size Lab.
PARALLEL_PICTURES = 2
# A third of the time of zlib's default of 6, for files of about the same size.
PNG_COMPRESSION = 3


class Signatures:
    """The functions behind the signatures, around one network of fixed input size.

    Args:
        model: the network.
        provenance: what the PNG files that it gives say of their colours.

    Attributes:
        image_size: side of the square that the network sees, in pixels.

    Raises:
        ValueError: `model` does not map [N, S, S, 1] to [N, S, S, 2] with a fixed S.
    """

    def __init__(self, model: keras.Model, provenance: Provenance | None = None) -> None:
        self.image_size = network_size(model)
        self._remarks = encoded_png_chunks(provenance or Provenance())

        # A function of its own: the signatures share one copy of the network in the graph.
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, self.image_size, self.image_size, 1], tf.float32)
            ],
            autograph=False,
        )
        def network(lightness: Tensor) -> Tensor:
            return tf.cast(model(lightness, training=False), tf.float32)

        self._network = network

    def predict_ab(self, lightness: Tensor) -> dict[str, Tensor]:
        """Predicts colour for `lightness`, float32 [N, H, W, 1] in [-1, 1], of any size.

        The network sees it resized to its own size (antialiased where that shrinks it); its
        answer is resized back, bilinearly.

        Returns:
            `ab`: float32 [N, H, W, 2] in [-1, 1].
        """
        ab = self._network(self._to_square(lightness))
        return {"ab": resize_bilinear(ab, tf.shape(lightness)[1:3])}

    def colorize_rgb(self, rgb: Tensor) -> dict[str, Tensor]:
        """Colours `rgb`, uint8 [N, H, W, 3], of any size. Its colours are not looked at.

        Returns:
            `colorized`: uint8 [N, H, W, 3] with the lightness of `rgb`.
        """
        ab = self._ab_of_small(self._to_square(rgb))
        return {"colorized": _lay_on(rgb, ab)}

    def colorize_bytes(self, image_bytes: Tensor) -> dict[str, Tensor]:
        """Colours `image_bytes`, string [N]: encoded JPEG or PNG files of any sizes.

        Decodes what TensorFlow decodes: EXIF orientation and colour profiles are passed over,
        alpha is dropped, 16 bits become 8, gray and CMYK become RGB. Whoever needs more settles
        it before. One file that is damaged fails the whole batch (`InvalidArgumentError`).

        Returns:
            `colorized_bytes`: string [N], 8-bit RGB PNG of the original sizes and lightness. They
            say that their colours are invented (`colorizer.images.provenance`).
        """
        small, pixels = self._decoded(image_bytes)
        return {"colorized_bytes": self._painted(pixels, self._ab_of_small(small))}

    def colorize_hinted(self, image_bytes: Tensor, hints: Tensor) -> dict[str, Tensor]:
        """Colours `image_bytes` as `colorize_bytes` does, and bends the colours towards `hints`.

        See `colorizer.guidance.propagation`.

        Args:
            image_bytes: string [N].
            hints: float32 [N, K, 5], at most 500 for a photo: x and y as shares of width and
                height, and sRGB in [0, 255]. Rows with a negative x count for nothing.

        Returns:
            `colorized_bytes`: string [N], as those of `colorize_bytes`.
        """
        size = self.image_size
        small, pixels = self._decoded(image_bytes)
        lightness, _ = color.rgb_to_lightness_ab(small / 255.0)

        def bend(photo: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
            pixels, lightness, ab, points = photo
            height, width = tf.unstack(tf.cast(tf.shape(_parsed(pixels))[:2], tf.float32))
            return with_hints(lightness, ab, points, width / height)

        bent = tf.map_fn(
            bend,
            (pixels, lightness, self._network(lightness), hints),
            parallel_iterations=PARALLEL_PICTURES,
            fn_output_signature=tf.TensorSpec([None, None, 2], tf.float32),
        )
        return {
            "colorized_bytes": self._painted(pixels, tf.ensure_shape(bent, [None, size, size, 2]))
        }

    def _decoded(self, image_bytes: Tensor) -> tuple[Tensor, Tensor]:
        """Decodes files [N].

        Returns:
            Them as the network sees them, float32 [N, S, S, 3] in [0, 255], and as they are.
            Sizes differ: as strings [N] the decoded pictures fit one tensor all the same.
        """
        size = self.image_size

        def prepare(encoded: Tensor) -> tuple[Tensor, Tensor]:
            # decode_jpeg takes PNG as well, and only it lets one choose the accurate DCT.
            rgb = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
            return self._to_square(rgb[None])[0], tf.io.serialize_tensor(rgb)

        small, pixels = tf.map_fn(
            prepare,
            image_bytes,
            parallel_iterations=PARALLEL_PICTURES,
            fn_output_signature=(
                tf.TensorSpec([size, size, 3], tf.float32),
                tf.TensorSpec([], tf.string),
            ),
        )
        return small, pixels

    def _painted(self, pixels: Tensor, ab: Tensor) -> Tensor:
        """Lays ab [N, S, S, 2] on pictures as `_decoded` gives them; gives PNG files [N]."""

        def finish(pixels_and_ab: tuple[Tensor, Tensor]) -> Tensor:
            pixels, ab = pixels_and_ab
            colorized = _lay_on(_parsed(pixels)[None], ab[None])[0]
            return self._marked(tf.io.encode_png(colorized, compression=PNG_COMPRESSION))

        return tf.map_fn(
            finish,
            (pixels, ab),
            parallel_iterations=PARALLEL_PICTURES,
            fn_output_signature=tf.TensorSpec([], tf.string),
        )

    def _marked(self, png: Tensor) -> Tensor:
        """Puts what the picture says of itself behind its header."""
        head = tf.strings.substr(png, 0, PNG_HEADER_BYTES)
        rest = tf.strings.substr(png, PNG_HEADER_BYTES, tf.int32.max)
        return tf.strings.join([head, tf.constant(self._remarks), rest])

    def _ab_of_small(self, rgb: Tensor) -> Tensor:
        """Predicts ab [N, S, S, 2] for RGB [N, S, S, 3] in [0, 255], of the network's size."""
        lightness, _ = color.rgb_to_lightness_ab(rgb / 255.0)
        return self._network(lightness)

    def _to_square(self, pictures: Tensor) -> Tensor:
        """Resizes [N, H, W, C] to the network's size, float32 [N, S, S, C]."""
        size = self.image_size
        return tf.ensure_shape(resize_bilinear(pictures, (size, size)), [None, size, size, None])


def write_saved_model(
    model: keras.Model, folder: Path, provenance: Provenance | None = None
) -> None:
    """Writes `model` with all signatures as a SavedModel into `folder`.

    Args:
        model: the network.
        folder: where to.
        provenance: see `Signatures`.

    Raises:
        ValueError: `model` does not map [N, S, S, 1] to [N, S, S, 2] with a fixed S.
    """
    functions = Signatures(model, provenance)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "predict_ab",
        functions.predict_ab,
        [tf.TensorSpec([None, None, None, 1], tf.float32, name="lightness")],
    )
    archive.add_endpoint(
        "colorize_rgb",
        functions.colorize_rgb,
        [tf.TensorSpec([None, None, None, 3], tf.uint8, name="rgb")],
    )
    for name in ("colorize_bytes", "serving_default"):
        archive.add_endpoint(
            name,
            functions.colorize_bytes,
            [tf.TensorSpec([None], tf.string, name="image_bytes")],
        )
    archive.add_endpoint(
        "colorize_hinted",
        functions.colorize_hinted,
        [
            tf.TensorSpec([None], tf.string, name="image_bytes"),
            tf.TensorSpec([None, None, 5], tf.float32, name="hints"),
        ],
    )
    archive.write_out(str(folder), verbose=False)


def _parsed(pixels: Tensor) -> Tensor:
    return tf.ensure_shape(tf.io.parse_tensor(pixels, tf.uint8), [None, None, 3])


def _lay_on(rgb: Tensor, ab: Tensor) -> Tensor:
    """Gives uint8 pictures [N, H, W, 3] the colour `ab` [N, S, S, 2] and keeps their lightness."""
    # In planes: what is not used of the photo's own colours is never computed.
    lightness, _, _ = color.rgb_planes_to_lab(
        *tf.unstack(tf.cast(rgb, tf.float32) / 255.0, axis=-1)
    )
    enlarged = color.AB_RANGE * resize_bilinear(ab, tf.shape(rgb)[1:3])
    planes = color.lab_planes_to_rgb(lightness, *tf.unstack(enlarged, axis=-1))
    return tf.cast(tf.round(255.0 * tf.stack(planes, axis=-1)), tf.uint8)
