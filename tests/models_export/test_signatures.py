import io
from typing import Any

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from skimage.color import lab2rgb, rgb2lab

from colorizer.guidance.hints import Hint, points
from colorizer.images.provenance import Provenance, xmp_packet
from colorizer.inference import Colorizer
from models_export.signatures import Signatures

# The oracle says when it clips; clipping is part of the right answer.
pytestmark = pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB:UserWarning")

SIZE = 32


def network(kernel: tuple[float, float], bias: tuple[float, float] = (0.0, 0.0)) -> keras.Model:
    """A network whose answer can be worked out by hand: ab = lightness * kernel + bias."""
    lightness = keras.Input((SIZE, SIZE, 1), name="lightness")
    layer = keras.layers.Conv2D(2, 1, name="ab")
    model = keras.Model(lightness, layer(lightness))
    layer.set_weights([np.reshape(kernel, (1, 1, 1, 2)), np.asarray(bias)])
    return model


@pytest.fixture(scope="module")
def echo() -> Signatures:
    return Signatures(network((1.0, -1.0)))


@pytest.fixture(scope="module")
def orange() -> Signatures:
    """Answers a = 20, b = 40 everywhere."""
    return Signatures(network((0.0, 0.0), (20 / 128, 40 / 128)))


def photo(height: int, width: int, channels: int = 3, dtype: str = "uint8") -> np.ndarray:
    random = np.random.default_rng(height * width)
    shape = (height, width, channels) if channels > 1 else (height, width)
    return random.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def encode(picture: np.ndarray, kind: str = "PNG", mode: str | None = None) -> bytes:
    buffer = io.BytesIO()
    image = PIL.Image.fromarray(picture)
    (image.convert(mode) if mode else image).save(buffer, kind)
    return buffer.getvalue()


def decode(encoded: bytes) -> np.ndarray:
    with PIL.Image.open(io.BytesIO(encoded)) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image)


def in_orange(rgb: np.ndarray) -> np.ndarray:
    """The right answer of the orange network, by scikit-image in float64."""
    lab = rgb2lab(rgb)
    lab[..., 1:] = 20, 40
    return np.rint(lab2rgb(lab) * 255).astype(np.uint8)


def apart(found: Any, expected: np.ndarray) -> int:
    return int(np.abs(np.asarray(found).astype(int) - expected.astype(int)).max())


def test_predict_ab_at_the_networks_size_is_the_network(echo: Signatures) -> None:
    lightness = np.random.default_rng(0).uniform(-1, 1, (3, SIZE, SIZE, 1)).astype("float32")
    ab = echo.predict_ab(tf.constant(lightness))["ab"]
    np.testing.assert_array_equal(ab, np.concatenate([lightness, -lightness], axis=-1))


@pytest.mark.parametrize("height, width", [(1, 1), (17, 90), (64, 20), (200, 133)])
def test_predict_ab_keeps_any_size_and_smooth_pictures(
    echo: Signatures, height: int, width: int
) -> None:
    row = np.linspace(-1, 1, width) if width > 1 else np.zeros(1)
    lightness = np.broadcast_to(row[None, None, :, None], (2, height, width, 1)).astype("float32")
    ab = echo.predict_ab(tf.constant(lightness))["ab"].numpy()
    assert ab.shape == (2, height, width, 2)
    # A ramp survives resizing but for the flattened ends.
    np.testing.assert_allclose(ab[..., :1], lightness, atol=0.05)
    np.testing.assert_allclose(ab[..., 1:], -lightness, atol=0.05)


def test_predict_ab_shrinks_with_antialiasing(echo: Signatures) -> None:
    board = np.indices((SIZE * 4, SIZE * 4)).sum(axis=0) % 2 * 2.0 - 1.0
    ab = echo.predict_ab(tf.constant(board[None, ..., None], tf.float32))["ab"]
    # Taking every fourth pixel of the checkerboard would give 1 or -1.
    assert np.abs(ab).max() < 0.05


@pytest.mark.parametrize("height, width", [(SIZE, SIZE), (13, 70)])
def test_colorize_rgb_keeps_lightness_and_lays_on_ab(
    orange: Signatures, height: int, width: int
) -> None:
    rgb = np.stack([photo(height, width), photo(height, width)[::-1]])
    colorized = orange.colorize_rgb(tf.constant(rgb))["colorized"]
    assert colorized.dtype == tf.uint8
    assert apart(colorized, in_orange(rgb)) <= 1


def test_colorize_rgb_looks_at_lightness_alone(echo: Signatures) -> None:
    gray = np.repeat(photo(40, 40, 1)[None, ..., None], 3, axis=-1)
    colorized = Signatures(network((0.0, 0.0))).colorize_rgb(tf.constant(gray))["colorized"]
    assert apart(colorized, gray) <= 1
    assert apart(echo.colorize_rgb(tf.constant(gray))["colorized"], gray) > 20


def test_colorize_bytes_takes_sizes_and_kinds_mixed(orange: Signatures) -> None:
    pictures = [photo(30, 50), photo(61, 20), photo(5, 7), photo(SIZE, SIZE)]
    answers = orange.colorize_bytes(tf.constant([encode(p) for p in pictures]))["colorized_bytes"]
    for picture, answer in zip(pictures, answers.numpy(), strict=True):
        assert apart(decode(answer), in_orange(picture)) <= 1


def test_colorize_bytes_says_that_the_colours_are_invented() -> None:
    provenance = Provenance("orange", "ab" * 32, {"style": "vivid"})
    signatures = Signatures(network((0.0, 0.0), (20 / 128, 40 / 128)), provenance)
    (answer,) = signatures.colorize_bytes(tf.constant([encode(photo(20, 30))]))["colorized_bytes"]
    with PIL.Image.open(io.BytesIO(answer.numpy())) as image:
        assert image.info["Comment"] == provenance.remark
        assert image.info["xmp"] == xmp_packet(provenance)
    assert apart(decode(answer.numpy()), in_orange(photo(20, 30))) <= 1


def test_colorize_bytes_decodes_jpeg_as_pillow_does(orange: Signatures) -> None:
    encoded = encode(photo(30, 50), "JPEG")
    with PIL.Image.open(io.BytesIO(encoded)) as image:
        expected = in_orange(np.asarray(image))
    (answer,) = orange.colorize_bytes(tf.constant([encoded]))["colorized_bytes"].numpy()
    assert apart(decode(answer), expected) <= 1


@pytest.mark.parametrize(
    "encoded, rgb",
    [
        (encode(photo(20, 30, 1)), photo(20, 30, 1)[..., None]),
        (encode(photo(20, 30, 1), "JPEG"), None),
        (encode(photo(20, 30, 2)), photo(20, 30, 2)[..., :1]),
        (encode(photo(20, 30, 4)), photo(20, 30, 4)[..., :3]),
        (encode(photo(20, 30, 1, "uint16")), photo(20, 30, 1, "uint16")[..., None] // 256),
        (encode(photo(20, 30), mode="1"), None),
        (encode(photo(20, 30), mode="P"), None),
        (encode(photo(20, 30), "JPEG", mode="CMYK"), None),
    ],
    ids=["gray", "gray JPEG", "gray+alpha", "RGBA", "16 bits", "1 bit", "palette", "CMYK JPEG"],
)
def test_colorize_bytes_takes_other_kinds(
    orange: Signatures, encoded: bytes, rgb: np.ndarray | None
) -> None:
    (answer,) = orange.colorize_bytes(tf.constant([encoded]))["colorized_bytes"].numpy()
    assert decode(answer).shape == (20, 30, 3)
    if rgb is not None:
        expected = in_orange(np.broadcast_to(rgb, (20, 30, 3)).astype(np.uint8))
        assert apart(decode(answer), expected) <= 2


def test_colorize_bytes_refuses_what_is_no_picture(orange: Signatures) -> None:
    good = encode(photo(8, 8))
    for bad in (b"no picture", good[: len(good) // 2]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            orange.colorize_bytes(tf.constant([good, bad]))


def test_colorize_hinted_does_what_colorize_does_with_hints() -> None:
    def answer(lightness: np.ndarray) -> np.ndarray:
        return np.concatenate([0.2 * lightness, -0.1 * lightness], axis=-1)

    model = Colorizer(answer, SIZE, {"mean_ab": [0, 0]})
    signatures = Signatures(network((0.2, -0.1)))
    pictures = [photo(30, 50), photo(61, 20), photo(40, 40)]
    hints = [
        [Hint(x="20%", y="50%", colour="#c83c3c"), Hint(x="90%", y="10%", colour="#3c3cc8")],
        [Hint(x="50%", y="50%", colour="#3cc83c")],
        [],
    ]
    rows = np.full((3, 2, 5), -1, np.float32)
    for number, (picture, own) in enumerate(zip(pictures, hints, strict=True)):
        placed = points(own, picture.shape[1], picture.shape[0])
        rows[number, : len(own)] = np.reshape(placed, (-1, 5))
    files = tf.constant([encode(picture) for picture in pictures])
    answers = signatures.colorize_hinted(files, tf.constant(rows))["colorized_bytes"].numpy()
    plain = signatures.colorize_bytes(files)["colorized_bytes"].numpy()
    for picture, own, hinted, unhinted in zip(pictures, hints, answers, plain, strict=True):
        assert apart(decode(hinted), model.colorize(picture, hints=own)) <= 1
        assert (apart(decode(hinted), decode(unhinted)) > 20) == bool(own)
    none = signatures.colorize_hinted(files, tf.zeros((3, 0, 5)))["colorized_bytes"].numpy()
    assert list(none) == list(plain)


def test_colorize_hinted_refuses_too_many_hints(orange: Signatures) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 500 hints"):
        orange.colorize_hinted(tf.constant([encode(photo(8, 8))]), tf.zeros((1, 501, 5)))
