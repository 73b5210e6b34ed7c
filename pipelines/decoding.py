"""From the bytes of a JPEG to a square, upright RGB picture, in TensorFlow graph operations."""

from typing import Any, Literal, get_args

import tensorflow as tf

Tensor = Any
Resize = Literal["squash", "crop"]


def decode_jpeg(encoded: Tensor, orientation: Tensor) -> Tensor:
    """Decodes one JPEG to an upright uint8 RGB picture, shape (height, width, 3).

    The accurate integer DCT makes the pixels equal to those of Pillow and OpenCV. Gray and CMYK
    files come as RGB.

    Args:
        encoded: scalar string.
        orientation: scalar int32, EXIF orientation 1 to 8.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are damaged or cut off.
    """
    picture = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    return upright(picture, orientation)


def upright(picture: Tensor, orientation: Tensor) -> Tensor:
    """Turns a picture (height, width, channels) as its EXIF orientation, 1 to 8, asks for."""
    turns = [
        lambda: picture,
        lambda: picture[:, ::-1],
        lambda: picture[::-1, ::-1],
        lambda: picture[::-1],
        lambda: tf.transpose(picture, (1, 0, 2)),
        lambda: tf.transpose(picture, (1, 0, 2))[:, ::-1],
        lambda: tf.transpose(picture[::-1, ::-1], (1, 0, 2)),
        lambda: tf.transpose(picture, (1, 0, 2))[::-1],
    ]
    return tf.switch_case(orientation - 1, turns)


def resize_square(picture: Tensor, image_size: int, resize: Resize) -> Tensor:
    """Resizes (height, width, 3) uint8 to (image_size, image_size, 3) float32 RGB in [0, 255].

    Bilinear, antialiased where it shrinks. `squash` changes the aspect ratio, as the report
    does; `crop` keeps it and cuts out the middle.

    Raises:
        ValueError: `resize` is neither "squash" nor "crop".
    """
    if resize not in get_args(Resize):
        raise ValueError(f"resize must be one of {get_args(Resize)}, not {resize!r}")
    if resize == "crop":
        picture = _central_square(picture)
    resized = resize_bilinear(picture, (image_size, image_size))
    return tf.ensure_shape(resized, (image_size, image_size, 3))


def resize_bilinear(pictures: Tensor, size: Tensor) -> Tensor:
    """Resizes pictures of any number type, (H, W, C) or (N, H, W, C), to float32.

    Bilinear, antialiased where it shrinks: the one resampling of training, inference and export.
    Pictures that have the size already are most of a prepared folder; they are left as they are.

    Args:
        pictures: what to resize, values kept as they are.
        size: the new (height, width).
    """
    pictures = tf.convert_to_tensor(pictures)
    shape = tf.shape(pictures)[-3:-1]
    resized = tf.cond(
        tf.reduce_any(tf.less(size, shape)),
        lambda: _antialiased(pictures, size),
        # Where neither side shrinks there is nothing to smooth: the plain operation is faster.
        lambda: _enlarged(pictures, size),
    )
    return tf.ensure_shape(resized, [*pictures.shape[:-3], None, None, pictures.shape[-1]])


def _enlarged(pictures: Tensor, size: Tensor) -> Tensor:
    return tf.cond(
        tf.reduce_all(tf.equal(tf.shape(pictures)[-3:-1], size)),
        lambda: tf.cast(pictures, tf.float32),
        lambda: tf.image.resize(pictures, size),
    )


def _antialiased(pictures: Tensor, size: Tensor) -> Tensor:
    """The height first, then the width as the height of the turned picture.

    TensorFlow's operation spends most of its time on the width, pixel by pixel, even where it
    keeps it; along the height it adds whole rows.
    """
    swapped = [*range(len(pictures.shape) - 3), -2, -3, -1]
    axes = [axis % len(pictures.shape) for axis in swapped]
    resized = _antialiased_height(pictures, size[0])
    return tf.cond(
        tf.equal(tf.shape(pictures)[-2], size[1]),
        lambda: resized,
        lambda: tf.transpose(_antialiased_height(tf.transpose(resized, axes), size[1]), axes),
    )


def _antialiased_height(pictures: Tensor, height: Tensor) -> Tensor:
    shape = tf.shape(pictures)
    rows = tf.reshape(pictures, (-1, shape[-3], 1, shape[-2] * shape[-1]))
    resized = tf.cond(
        tf.equal(shape[-3], height),
        lambda: tf.cast(rows, tf.float32),
        lambda: tf.image.resize(rows, (height, 1), antialias=True),
    )
    return tf.reshape(resized, tf.concat([shape[:-3], [height], shape[-2:]], axis=0))


def _central_square(picture: Tensor) -> Tensor:
    shape = tf.shape(picture)
    side = tf.minimum(shape[0], shape[1])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    return picture[top : top + side, left : left + side]
