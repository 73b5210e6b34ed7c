"""Photos of any kind and size through reading and writing."""

import io
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageOps
from skimage.color import rgb2lab

from colorizer.colorizing.painting import lay_on
from colorizer.images.provenance import Provenance, marked_png
from colorizer.images.reading import Photo, decode_photo
from colorizer.images.writing import encode_photo
from models_export.serving.images import settled_photo

SIDE = st.integers(1, 40)
# What each format keeps exactly.
EXACT = {
    "PNG": ("1", "L", "LA", "RGB", "RGBA", "P", "I;16"),
    "TIFF": ("1", "L", "LA", "RGB", "RGBA", "P", "CMYK", "I;16"),
    "BMP": ("1", "L", "RGB", "P"),
    "GIF": ("1", "L", "P"),
    "WEBP": ("RGB", "RGBA"),
}
KINDS = [(kind, mode) for kind, modes in EXACT.items() for mode in modes]


@st.composite
def pictures(draw, mode: str) -> Image.Image:
    height, width = draw(SIDE), draw(SIDE)
    if mode == "I;16":
        return Image.fromarray(draw(arrays(np.uint16, (height, width))))
    channels = Image.getmodebands(mode)
    shape = (height, width) if channels == 1 else (height, width, channels)
    values = draw(arrays(np.uint8, shape))
    if mode in ("1", "P"):
        return Image.fromarray(values).convert(mode)
    return Image.frombytes(mode, (width, height), values.tobytes())


def as_seen(image: Image.Image) -> np.ndarray:
    """What a viewer shows on white, by Pillow alone."""
    if image.mode == "I;16":
        values = (np.asarray(image).astype(np.int64) * 255 + 32767) // 65535
        image = Image.fromarray(values.astype(np.uint8))
    if image.mode in ("LA", "RGBA"):
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def read(content: bytes) -> Photo:
    return decode_photo(io.BytesIO(content), "photo")


@given(st.sampled_from(KINDS), st.data(), st.integers(1, 8))
def test_any_kind_is_read_upright_as_it_is_seen(of, data, orientation):
    kind, mode = of
    image = data.draw(pictures(mode))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    turns = kind in ("PNG", "TIFF", "WEBP")
    if turns:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif.tobytes()
    file = io.BytesIO()
    image.save(file, kind, **options)
    expected = Image.fromarray(as_seen(image))
    if turns:
        expected.getexif()[0x0112] = orientation
        expected = ImageOps.exif_transpose(expected)
    photo = read(file.getvalue())
    assert (photo.image.mode, photo.image.size) == ("RGB", expected.size)
    apart = np.abs(np.asarray(photo.image).astype(int) - np.asarray(expected))
    # Blending with white rounds in other places.
    assert apart.max() <= (1 if mode in ("LA", "RGBA") else 0)
    # What the server gives its graph are the same pixels.
    with Image.open(io.BytesIO(settled_photo(file.getvalue()))) as settled:
        np.testing.assert_array_equal(np.asarray(settled.convert("RGB")), np.asarray(photo.image))


@given(pictures("RGB"), st.sampled_from([None, 2.0, 72.0, 300.0, 65535.0]))
def test_what_is_written_is_read_again(image, resolution):
    provenance = Provenance("lite", "ab" * 32, {"saturation": "1"})
    for name in (Path("a.png"), Path("a.jpg")):
        file = io.BytesIO()
        encode_photo(image, file, name, resolution=resolution, provenance=provenance)
        photo = read(file.getvalue())
        assert photo.image.size == image.size
        assert photo.notes == ("says that a model has made its colours already",)
        if resolution is not None:
            assert abs(photo.resolution - resolution) <= 0.02
        apart = np.abs(np.asarray(photo.image).astype(int) - np.asarray(image))
        # Of JPEG even noise keeps its mean.
        assert apart.max() == 0 if name.suffix == ".png" else apart.mean() < 12
        again = io.BytesIO()
        encode_photo(image, again, name, resolution=resolution, provenance=provenance)
        assert again.getvalue() == file.getvalue()


@given(pictures("RGB"), st.text(), st.text(), st.dictionaries(st.text(), st.text()))
def test_any_words_make_a_whole_file(image, network, sha256, settings):
    plain = io.BytesIO()
    image.save(plain, "PNG")
    provenance = Provenance(network, sha256, settings)
    marked = marked_png(plain.getvalue(), provenance)
    np.testing.assert_array_equal(np.asarray(read(marked).image), np.asarray(image))
    file = io.BytesIO()
    encode_photo(image, file, Path("a.jpg"), provenance=provenance)
    assert read(file.getvalue()).notes


@given(pictures("RGB"), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(0, 2))
def test_paint_keeps_the_lightness(image, a, b, saturation):
    rgb = np.asarray(image)
    ab = np.broadcast_to(np.float32([a, b]), (16, 16, 2))
    painted = lay_on(rgb, ab, saturation=saturation)
    assert painted.shape == rgb.shape and painted.dtype == np.uint8
    if saturation == 0:
        assert (painted.max(axis=-1) - painted.min(axis=-1)).max() <= 1
    # Colours outside sRGB are clipped; the others keep L but for rounding to 8 bits.
    inside = ((painted > 0) & (painted < 255)).all(axis=-1)
    before, after = rgb2lab(rgb)[..., 0], rgb2lab(painted)[..., 0]
    assert np.abs(after - before)[inside].max(initial=0) < 1
