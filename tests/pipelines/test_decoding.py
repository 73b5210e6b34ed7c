import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from pipelines.decoding import decode_jpeg, resize_bilinear, resize_square, upright


def picture(height: int = 24, width: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_decodes_to_the_pixels_of_pillow(sample_photos):
    path = sample_photos / "train" / "skimage_astronaut.jpg"
    decoded = decode_jpeg(tf.io.read_file(str(path)), tf.constant(1))
    np.testing.assert_array_equal(decoded, np.asarray(Image.open(path)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_as_pillow_does(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(picture())
    buffer = io.BytesIO()
    stored.save(buffer, "PNG", exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(buffer)))
    turned = tf.function(upright)(tf.constant(picture()), tf.constant(orientation))
    np.testing.assert_array_equal(turned, expected)


def test_damaged_bytes_raise():
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, "JPEG")
    cut = buffer.getvalue()[: len(buffer.getvalue()) // 2]
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_jpeg(tf.constant(cut), tf.constant(1))


def test_squash_resizes_both_sides():
    resized = resize_square(tf.constant(picture()), 16, "squash")
    assert resized.shape == (16, 16, 3) and resized.dtype == tf.float32
    assert np.min(resized) >= 0 and 1 < np.max(resized) <= 255


def test_crop_takes_the_middle():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    np.testing.assert_array_equal(resize_square(tf.constant(wide), 10, "crop"), 255.0)


def test_right_size_is_left_alone():
    square = picture(16, 16)
    np.testing.assert_array_equal(resize_square(tf.constant(square), 16, "squash"), square)


def test_shrinking_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    np.testing.assert_allclose(resize_square(tf.constant(stripes), 8, "squash"), 127, atol=15)


def test_unknown_resize_is_refused():
    with pytest.raises(ValueError, match="stretch"):
        resize_square(tf.constant(picture()), 16, "stretch")


@pytest.mark.parametrize("way", [lambda f: f, tf.function], ids=["eager", "graph"])
@pytest.mark.parametrize(
    "size", [(24, 40), (7, 50), (60, 9), (24, 9), (7, 40), (24, 50), (60, 50), (7, 9)]
)
def test_resizes_one_picture_as_it_does_a_batch(way, size):
    pictures = tf.constant(np.stack([picture(), picture()[::-1]]))
    resized = way(resize_bilinear)(pictures, size)
    assert resized.dtype == tf.float32 and resized.shape == (2, *size, 3)
    expected = tf.image.resize(pictures, size, antialias=True)
    np.testing.assert_allclose(resized, expected, atol=5e-3)
    np.testing.assert_array_equal(resized[0], way(resize_bilinear)(pictures[0], size))


def test_a_picture_of_the_right_size_keeps_its_values():
    np.testing.assert_array_equal(resize_bilinear(picture(), (24, 40)), picture())
