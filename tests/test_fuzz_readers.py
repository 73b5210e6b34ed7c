"""Files damaged at random, for everything that reads one: read, or refused in the words it has.

Each reader gets real files with bytes changed, cut out, doubled and put in. Whatever else it raises
is a traceback that a user would see.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from damaged_files import damaged
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from colorizer.config import FitConfig, load_config
from colorizer.images.provenance import Provenance, marked_png
from colorizer.images.reading import Photo, decode_photo
from colorizer.images.writing import encode_photo
from colorizer.inference import Colorizer
from colorizer.model_files import _read_json
from colorizer.shipped import read_manifest
from colorizer.shipped.signing import new_private_key, read_signed, sign
from colorizer.training.checkpoint import Progress, load_progress, save_checkpoint
from models_export.serving.text_protos import read_batching, read_metrics_path, read_models
from pipelines.dataset_names import parse_datasets
from pipelines.errors import ColorizerError, PhotoError, UsageError
from pipelines.lab_records import Summary, load_summary, save_summary
from pipelines.photo_files import inspect_encoded


def photos() -> list[bytes]:
    """A small photo in each format, with all the metadata that is looked at."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x0131] = 6, "Grandmother", "ScanTool"
    exif.get_ifd(0x8769)[0x9003] = "1968:05:04 12:00:00"
    exif.get_ifd(0x8825)[1] = "N"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    files = []
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"):
        more = {} if kind in ("GIF", "BMP") else {"exif": exif.tobytes(), "icc_profile": profile}
        if kind == "JPEG":
            more |= {"xmp": b"<x:xmpmeta/>", "comment": b"a", "dpi": (300, 300)}
        file = io.BytesIO()
        image.save(file, kind, **more)
        files.append(file.getvalue())
    for mode in ("CMYK", "L"):
        file = io.BytesIO()
        image.convert(mode).save(file, "JPEG", progressive=mode == "L")
        files.append(file.getvalue())
    file = io.BytesIO()
    image.convert("P").save(file, "TIFF", compression="tiff_lzw")
    files.append(file.getvalue())
    for name in (Path("a.png"), Path("a.jpg")):
        file = io.BytesIO()
        encode_photo(image, file, name, provenance=Provenance("lite"))
        files.append(file.getvalue())
    return files


PHOTOS = photos()
JPEGS = [content for content in PHOTOS if content.startswith(b"\xff\xd8")]


@given(damaged(PHOTOS))
def test_photos(content):
    try:
        photo = decode_photo(io.BytesIO(content), "photo")
    except PhotoError as error:
        assert error.reason
        return
    assert isinstance(photo, Photo) and photo.image.mode == "RGB"
    # What could be read can be written, with the metadata that was kept.
    for name in (Path("a.png"), Path("a.jpg")):
        file = io.BytesIO()
        encode_photo(photo.image, file, name, exif=photo.exif, resolution=photo.resolution)


@given(damaged(JPEGS))
def test_headers(content):
    try:
        assert inspect_encoded(Path("photo.jpg"), content).orientation in range(1, 9)
    except PhotoError as error:
        assert error.reason


@given(damaged([content for content in PHOTOS if content.startswith(b"\x89PNG")]))
def test_marking_a_damaged_png_loses_none_of_it(content):
    marked = marked_png(content, Provenance())
    assert len(marked) >= len(content) and marked.startswith(content[:33])


def seeds(folder: Path) -> dict[str, tuple[Callable[[Path], object], list[bytes]]]:
    """Each reader of a path, and real files for it."""
    import keras

    checkpoint = folder / "seed.npz"
    variables = {"model": [keras.Variable(np.ones((2, 3), "f4"))]}
    save_checkpoint(checkpoint, variables, Progress(epoch=2, history=[{"loss": 1.0}]))
    config = FitConfig(data=Path("photos"), run_dir=folder).model_dump_json().encode()
    statistics = json.dumps({"mean_ab": [0.1, -0.2], "image_size": 32}).encode()
    records = folder / "records"
    records.mkdir()
    save_summary(records, Summary({0: "gray"}, {1: (0.1, 0.2)}), "print")
    summary = (records / "summary.json").read_bytes()
    models = (
        b'model_config_list { config { name: "a" base_path: "/b" model_platform: "tensorflow"'
        b" model_version_policy { specific { versions: 3 } }"
        b' version_labels { key: "k" value: 3 } } }'
    )
    batching = b"max_batch_size { value: 16 } batch_timeout_micros { value: 0 }"
    monitoring = b'prometheus_config { enable: true path: "/metrics" }'
    return {
        "checkpoint.npz": (load_progress, [checkpoint.read_bytes()]),
        "config.json": (load_config, [config]),
        "statistics.json": (_statistics, [statistics]),
        "export.json": (_provenance, [json.dumps(Provenance("a").as_json()).encode()]),
        "summary.json": (lambda path: load_summary(path.parent, 4, "print"), [summary]),
        "models.txt": (read_models, [models]),
        "batching.txt": (read_batching, [batching]),
        "monitoring.txt": (read_metrics_path, [monitoring]),
    }


def _statistics(path: Path) -> Colorizer:
    return Colorizer(lambda lightness: lightness, 32, _read_json(path), path)


def _provenance(path: Path) -> Provenance:
    return Provenance.of_json(_read_json(path), str(path))


@pytest.mark.parametrize(
    "name",
    [
        *("checkpoint.npz", "config.json", "statistics.json", "export.json"),
        *("summary.json", "models.txt", "batching.txt", "monitoring.txt"),
    ],
)
def test_files(name, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    read, files = seeds(folder)[name]
    path = folder / name

    @given(damaged(files))
    def run(content):
        path.write_bytes(content)
        try:
            read(path)
        except ColorizerError as error:
            assert str(error).startswith(str(path.parent))

    run()


@pytest.mark.parametrize("rejected", [[], "gray", 3, None])
def test_a_summary_of_another_form_counts_as_none(tmp_path, rejected):
    save_summary(tmp_path, Summary({}, {}), "print")
    path = tmp_path / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "rejected": rejected}))
    assert load_summary(tmp_path, 4, "print") is None


@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.sig", "key.pem"])
def test_nothing_signed_is_taken_once_it_is_damaged(name, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    manifest = folder / "manifest.json"
    stated = {"sha256": "0" * 64, "model": "cnn", "arguments": {}, "statistics": {}}
    manifest.write_text(json.dumps(stated))
    sign(manifest, new_private_key())
    whole = (folder / name).read_bytes()
    assert read_manifest(folder) == stated

    @given(damaged([whole]))
    def run(content):
        (folder / name).write_bytes(content)
        try:
            assert read_signed(manifest) == json.dumps(stated).encode()
        except ColorizerError as error:
            assert str(error).startswith(str(folder))
        else:
            # PEM allows for other line ends and for words around it, but not for another key.
            assert content == whole or name == "key.pem"

    run()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(
    JSON | st.fixed_dictionaries({}, optional={"network": JSON, "sha256": JSON, "settings": JSON})
)
def test_stated_provenances(stated):
    try:
        told = Provenance.of_json(stated, "export.json")
    except ColorizerError:
        return
    assert told.remark.isascii()


@given(JSON)
def test_stated_mean_ab(stated):
    try:
        colorizer = Colorizer(lambda lightness: lightness, 8, {"mean_ab": stated})
    except ColorizerError:
        return
    assert all(abs(value) <= 1 for value in colorizer.mean_ab)


@given(st.text() | st.from_regex(r"tfds:[\w/.:*,-]*", fullmatch=True))
def test_names_of_datasets(text):
    try:
        datasets = parse_datasets(Path(text))
    except UsageError:
        return
    assert all(0 < one.weight < float("inf") for one in datasets)
