"""Colorizers in use: loading, sizes, strips, and what happens when something is wrong."""

import json
import shutil
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import ExifTags, Image
from skimage.color import lab2rgb, rgb2lab

import colorizer
from colorizer.ab_classes import CLASSES
from colorizer.colorizing.painting import lay_on
from colorizer.inference import Colorizer, load
from colorizer.models.lite_unet import LOGITS, build_lite_unet, with_annealed_mean
from colorizer.styles import STYLES
from models_export.signatures import write_saved_model
from pipelines.decoding import resize_square
from pipelines.errors import ColorizerError, UsageError

SIZE = 16
STATISTICS = {"mean_ab": [0.1, -0.2]}


def _tinting(ab: tuple[float, float] = (0.2, 0.3)) -> Colorizer:
    """A colorizer that gives every pixel the same ab."""
    return Colorizer(
        lambda lightness: np.broadcast_to(np.float32(ab), (*lightness.shape[:3], 2)),
        SIZE,
        STATISTICS,
    )


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module")
def tiny(tiny_run: Path) -> Colorizer:
    return load(tiny_run)


@pytest.fixture(scope="module")
def tiny_export(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BASE/NAME with versions 2 and 10, and what is none."""
    base = tmp_path_factory.mktemp("export") / "colorizer"
    model = keras.models.load_model(tiny_run / "model.keras", compile=False)
    write_saved_model(model, base / "10")
    (base / "10" / "assets.extra").mkdir()
    shutil.copy(tiny_run / "statistics.json", base / "10" / "assets.extra")
    shutil.copytree(base / "10", base / "2")
    (base / "11").mkdir()
    (base / "notes").mkdir()
    return base


def test_lightness_stays_and_ab_is_laid_on() -> None:
    gray = np.linspace(40, 220, 30 * 50).reshape(30, 50).astype(np.uint8)
    lab = rgb2lab(_tinting((0.1, 0.15)).colorize(gray))
    lightness = rgb2lab(np.repeat(gray[..., None], 3, axis=-1))[..., 0]
    assert np.abs(lab[..., 0] - lightness).max() < 0.5
    assert lab[..., 1:].mean(axis=(0, 1)) == pytest.approx([12.8, 19.2], abs=0.3)


def test_colours_of_the_original_do_not_matter_but_its_lightness() -> None:
    photo = _noise(20, 30, 3)
    expected = rgb2lab(photo)
    expected[..., 1:] = 128 * 0.1, 128 * 0.15
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # scikit-image counts clipped colours
        expected_rgb = np.rint(lab2rgb(expected) * 255)
    painted = _tinting((0.1, 0.15)).colorize(photo)
    assert np.abs(painted - expected_rgb).max() <= 1


def test_saturation() -> None:
    photo = np.full((8, 8, 3), 128, np.uint8)
    assert (_tinting().colorize(photo, saturation=0) == 128).all()
    half = _tinting((0.2, 0.3)).colorize(photo, saturation=0.5)
    assert (half == _tinting((0.1, 0.15)).colorize(photo)).all()
    for wrong in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="saturation"):
            _tinting().colorize(photo, saturation=wrong)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 1), (7, 90), (33, 65)])
@pytest.mark.parametrize("strip_pixels", [64, 1000, 1 << 15])
def test_strips_equal_the_whole(height: int, width: int, strip_pixels: int) -> None:
    ab = np.random.default_rng(0).uniform(-0.3, 0.3, (SIZE, SIZE, 2)).astype(np.float32)
    photo = _noise(height, width, 3)
    lab = rgb2lab(photo)
    lab[..., 1:] = tf.image.resize(ab, (height, width), antialias=True).numpy() * 128
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        whole = np.rint(lab2rgb(lab) * 255)
    assert np.abs(lay_on(photo, ab, strip_pixels=strip_pixels) - whole).max() <= 1


def test_where_strips_end_changes_nothing() -> None:
    ab = np.random.default_rng(0).uniform(-0.3, 0.3, (SIZE, SIZE, 2)).astype(np.float32)
    photo = _noise(45, 37, 3)
    whole = lay_on(photo, ab, strip_pixels=45 * 37)
    assert (lay_on(photo, ab, strip_pixels=101) == whole).all()


def test_the_network_sees_what_training_shows_it() -> None:
    seen: list[np.ndarray] = []

    def predict(lightness: np.ndarray) -> np.ndarray:
        seen.append(lightness)
        return np.zeros((*lightness.shape[:3], 2), np.float32)

    photo = _noise(50, 90, 3)
    Colorizer(predict, SIZE, STATISTICS).colorize(photo)
    training = rgb2lab(resize_square(tf.constant(photo), SIZE, "squash").numpy() / 255)
    assert seen[0].shape == (1, SIZE, SIZE, 1)
    assert seen[0].dtype == np.float32
    assert seen[0][0, ..., 0] == pytest.approx(training[..., 0] / 50 - 1, abs=1e-4)


def test_photos_go_through_the_network_together(tiny: Colorizer) -> None:
    photos = [_noise(30, 40, 3), _noise(1, 200, 3), _noise(64, 64, 3)]
    together = tiny.predict_photos(photos)
    assert together.shape == (3, 64, 64, 2)
    for photo, ab in zip(photos, together, strict=True):
        assert ab == pytest.approx(tiny.predict_photos([photo])[0], abs=1e-5)


def test_same_kind_comes_back(tiny: Colorizer) -> None:
    photo = _noise(30, 40, 3)
    painted = tiny.colorize(photo)
    assert painted.dtype == np.uint8
    assert painted.shape == photo.shape
    gray = photo[..., :1]
    assert (tiny.colorize(gray) == tiny.colorize(gray[..., 0])).all()
    picture = tiny.colorize(Image.fromarray(photo))
    assert picture.mode == "RGB"
    assert (np.asarray(picture) == painted).all()


def test_pil_images_are_settled_first(tiny: Colorizer) -> None:
    photo = _noise(30, 40, 3)
    turned = Image.fromarray(photo)
    turned.getexif()[ExifTags.Base.Orientation] = 6
    clockwise = np.ascontiguousarray(np.rot90(photo, -1))
    assert (np.asarray(tiny.colorize(turned)) == tiny.colorize(clockwise)).all()
    assert turned.size == (40, 30)
    with pytest.warns(UserWarning, match="laid on white"):
        clear = tiny.colorize(Image.new("RGBA", (4, 4), (0, 0, 0, 0)))
    assert (np.asarray(clear) == tiny.colorize(np.full((4, 4, 3), 255, np.uint8))).all()


@pytest.mark.parametrize("size", [(64, 64), (20, 200), (1, 1)])
def test_predict_ab_takes_any_size(tiny: Colorizer, size: tuple[int, int]) -> None:
    lightness = np.random.default_rng(0).uniform(-1, 1, (2, *size, 1)).astype(np.float32)
    ab = tiny.predict_ab(lightness)
    assert ab.shape == (2, *size, 2)
    assert ab.dtype == np.float32


def test_wrong_arrays_are_refused(tiny: Colorizer) -> None:
    for wrong, words in [
        (np.zeros((4, 4, 3)), "uint8"),
        (np.zeros((4, 4, 4), np.uint8), "shape"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
        (np.zeros(4, np.uint8), "shape"),
    ]:
        with pytest.raises(ValueError, match=words):
            tiny.colorize(wrong)
    for wrong, words in [
        (np.zeros((4, 4, 1), np.float32), "shape"),
        (np.zeros((1, 4, 4, 1), np.uint8), "uint8"),
        (np.full((1, 4, 4, 1), 60, np.float32), "outside"),
        (np.full((1, 4, 4, 1), np.nan, np.float32), "NaN"),
    ]:
        with pytest.raises(ValueError, match=words):
            tiny.predict_ab(wrong)


def test_run_and_export_agree(tiny: Colorizer, tiny_export: Path) -> None:
    exported = load(tiny_export)
    assert exported.path == tiny_export / "10"
    assert load(tiny_export / "2").path == tiny_export / "2"
    assert exported.image_size == tiny.image_size == 64
    assert exported.mean_ab == tiny.mean_ab == (0.03, 0.06)
    lightness = np.random.default_rng(0).uniform(-1, 1, (2, 30, 99, 1)).astype(np.float32)
    assert exported.predict_ab(lightness) == pytest.approx(tiny.predict_ab(lightness), abs=1e-5)


def test_colorize_equals_the_exported_signature(tiny: Colorizer, tiny_export: Path) -> None:
    signature = tf.saved_model.load(str(tiny_export / "10"))
    for photo in (_noise(90, 130, 3), _noise(10, 300, 3)):
        served = signature.signatures["colorize_rgb"](rgb=tf.constant(photo[None]))["colorized"]
        assert np.abs(tiny.colorize(photo).astype(int) - served[0].numpy()).max() <= 1


def test_load_from_the_package(tiny_run: Path) -> None:
    assert colorizer.load(str(tiny_run)).path == tiny_run


def test_no_model_is_a_clear_error(tmp_path: Path) -> None:
    for path, words in [
        (tmp_path / "none", "no such folder"),
        (tmp_path, "holds no model"),
    ]:
        with pytest.raises(ColorizerError, match=words):
            load(path)


def _broken_copy(tiny_run: Path, folder: Path, name: str, content: str | None) -> Path:
    shutil.copytree(tiny_run, folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.keras", "no zip", "cannot be loaded"),
        ("statistics.json", None, "cannot be read"),
        ("statistics.json", "{", "not JSON"),
        ("statistics.json", "[]", "no JSON object"),
        ("statistics.json", "{}", "mean_ab"),
        ("statistics.json", '{"mean_ab": [1, 20]}', "mean_ab"),
    ],
)
def test_damaged_runs_are_clear_errors(
    tiny_run: Path, tmp_path: Path, name: str, content: str | None, words: str
) -> None:
    run = _broken_copy(tiny_run, tmp_path / "run", name, content)
    with pytest.raises(ColorizerError, match=words) as caught:
        load(run)
    assert str(run) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_networks_are_refused(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    inputs = keras.Input((8, 8, 3))
    keras.Model(inputs, keras.layers.Conv2D(2, 1)(inputs)).save(tmp_path / "run" / "model.keras")
    with pytest.raises(ColorizerError, match="maps"):
        load(tmp_path / "run")


def test_damaged_exports_are_clear_errors(tiny_export: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_export / "2", tmp_path / "a")
    (tmp_path / "a" / "saved_model.pb").write_bytes(b"\xff nonsense")
    with pytest.raises(ColorizerError, match="cannot be loaded"):
        load(tmp_path / "a")
    statistics = tmp_path / "a" / "assets.extra" / "statistics.json"
    statistics.write_text(json.dumps({"mean_ab": [0, 0]}))
    with pytest.raises(ColorizerError, match="image_size"):
        load(tmp_path / "a")


def test_styles_are_for_models_that_know_both(tiny: Colorizer) -> None:
    assert tiny.styled(None) is tiny and tiny.styles == ()
    with pytest.raises(UsageError, match="--style vivid"):
        tiny.styled("vivid")
    with pytest.raises(UsageError, match="--style faithful"):
        tiny.colorize(_noise(4, 4, 3), style="faithful")


def test_a_network_of_classes_knows_both_styles(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    network = build_lite_unet(32, decoder_filters=(8, 8, 8, 8), head="classes")
    # To a fresh network all classes are equally likely: make it lean to one.
    network.get_layer(LOGITS).bias.assign(3.0 * (np.arange(CLASSES) == 7))
    network.save(tmp_path / "model.keras")
    shares = np.full(CLASSES, 1 / CLASSES).tolist()
    statistics = {**STATISTICS, "class_shares": shares}
    (tmp_path / "statistics.json").write_text(json.dumps(statistics))
    loaded = load(tmp_path)
    assert loaded.styles == ("faithful", "vivid")
    lightness = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 1)).astype(np.float32)
    faithful, vivid = (loaded.styled(name).predict_ab(lightness) for name in loaded.styles)
    np.testing.assert_array_equal(loaded.predict_ab(lightness), faithful)
    read = with_annealed_mean(network, STYLES["faithful"].temperature)
    np.testing.assert_allclose(faithful, read.predict_on_batch(lightness), atol=1e-6)
    assert np.abs(vivid).mean() > 1.2 * np.abs(faithful).mean()
    picture = _noise(40, 30, 3)
    assert (loaded.colorize(picture, style="vivid") != loaded.colorize(picture)).any()


@pytest.mark.parametrize(
    "error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM")]
)
def test_out_of_memory_is_an_error_and_no_gray_picture(error: Exception) -> None:
    def predict(lightness: np.ndarray) -> np.ndarray:
        raise error

    exhausted = Colorizer(predict, SIZE, STATISTICS)
    with pytest.raises(ColorizerError, match="not enough memory"):
        exhausted.colorize(_noise(4, 4, 3))
    with pytest.raises(ColorizerError, match="not enough memory"):
        exhausted.predict_ab(np.zeros((1, 4, 4, 1), np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_network_that_gives_no_numbers(value: float) -> None:
    with pytest.raises(ColorizerError, match="NaN or infinite"):
        _tinting((value, 0)).colorize(_noise(4, 4, 3))


def test_a_network_that_gives_the_wrong_shape() -> None:
    wrong = Colorizer(lambda lightness: lightness, SIZE, STATISTICS)
    with pytest.raises(ColorizerError, match=r"shape \(1, 16, 16, 1\)"):
        wrong.colorize(_noise(4, 4, 3))


def test_many_colorizers_in_one_process_are_no_retracing(tiny_run, caplog):
    lightness = np.zeros((1, 64, 64, 1), np.float32)
    for _ in range(7):
        load(tiny_run).predict_ab(lightness)
    assert "retracing" not in caplog.text
