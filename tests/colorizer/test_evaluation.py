import json

import numpy as np
import pytest
from PIL import Image, ImageFont
from skimage import color, metrics

from colorizer.evaluation import contact_sheet
from colorizer.evaluation.bands import PSNR_BANDS
from colorizer.evaluation.contact_sheet import draw_contact_sheet, write_contact_sheet
from colorizer.evaluation.evaluation import (
    METRICS,
    PREDICTORS,
    Evaluation,
    evaluate,
    evaluate_batches,
)
from colorizer.evaluation.predictions import rgb8
from colorizer.evaluation.results import Setting, results_json, results_markdown
from colorizer.metrics.encoded_pictures import encode
from colorizer.metrics.fid import fid
from colorizer.metrics.kid import kid
from pipelines.batches import evaluation_batches
from pipelines.errors import ColorizerError
from pipelines.photo_files import Rejection
from pipelines.preparation import PreparedPhotos, prepare_photos

SIZE = 32
MEAN_AB = (0.03, 0.07)


@pytest.fixture(scope="module")
def prepared(sample_photos) -> PreparedPhotos:
    return prepare_photos(sample_photos, image_size=SIZE, limit=9)


@pytest.fixture(scope="module")
def evaluation(prepared) -> Evaluation:
    return evaluate(sepia, prepared, 4, mean_ab=MEAN_AB)


@pytest.fixture
def setting(prepared, sample_photos) -> Setting:
    skipped = (Rejection(sample_photos / "broken.jpg", "empty file"),)
    return Setting("runs/sepia", sample_photos, SIZE, "squash", skipped, "thumbnails")


def sepia(lightness: np.ndarray) -> np.ndarray:
    """A colorizer of its own kind: brownish, the more so the darker."""
    return np.concatenate([0.05 - 0.05 * lightness, 0.1 - 0.05 * lightness], axis=-1)


def rusty(lightness: np.ndarray) -> np.ndarray:
    """Another one, ever redder."""
    return np.concatenate([0.2 - 0.05 * lightness, 0.1 + 0.0 * lightness], axis=-1)


def thumbnails(rgb: np.ndarray) -> np.ndarray:
    """Features that a test can afford: 4x4 thumbnails."""
    tiles = rgb.reshape(len(rgb), 4, SIZE // 4, 4, SIZE // 4, 3)
    return (tiles.mean(axis=(2, 4)).reshape(len(rgb), -1) / 64).astype("float32")


@pytest.fixture(scope="module")
def comparison(prepared) -> Evaluation:
    """Sepia beside rusty and itself, with KID and FID."""
    return evaluate(
        sepia,
        prepared,
        4,
        mean_ab=MEAN_AB,
        against={"rusty": rusty, "again": sepia},
        features=thumbnails,
        fid_features=thumbnails,
    )


def whole_set(prepared: PreparedPhotos) -> tuple[np.ndarray, np.ndarray]:
    return next(evaluation_batches(prepared, len(prepared)).as_numpy_iterator())


def test_every_value_is_there_once_per_photo(evaluation, prepared):
    assert evaluation.photos == prepared.photos
    assert tuple(evaluation.values) == PREDICTORS
    for values in evaluation.values.values():
        assert tuple(values) == METRICS
        for per_image in values.values():
            assert per_image.shape == (len(prepared),)
            assert np.isfinite(per_image).all()


def test_values_equal_scikit_image(evaluation, prepared):
    lightness, ab = whole_set(prepared)
    predictions = {
        "model": sepia(lightness),
        "gray": np.zeros_like(ab),
        "mean_ab": np.ones_like(ab) * MEAN_AB,
    }

    def lab_and_rgb(index: int, ab: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        planes = [50 * (lightness[index] + 1), 128 * ab[index]]
        lab = np.concatenate(planes, axis=-1).astype("float64")
        fy, fz = (lab[..., 0] + 16) / 116, lab[..., 2] / 200
        assert (fy >= fz).all(), "scikit-image would warn of a negative Z"
        return lab, np.round(255 * color.lab2rgb(lab)).astype("uint8")

    for index in (0, len(prepared) - 1):
        lab_true, rgb_true = lab_and_rgb(index, ab)
        for name, predicted in predictions.items():
            lab, rgb = lab_and_rgb(index, predicted)
            values = {metric: evaluation.values[name][metric][index] for metric in METRICS}
            assert values["delta_e_76"] == pytest.approx(
                color.deltaE_cie76(lab_true, lab).mean(), rel=1e-4
            )
            assert values["delta_e_2000"] == pytest.approx(
                color.deltaE_ciede2000(lab_true, lab).mean(), rel=1e-4
            )
            # A level may round to the other side between the two conversions.
            assert values["psnr"] == pytest.approx(
                metrics.peak_signal_noise_ratio(rgb_true, rgb), abs=0.02
            )


def test_batch_size_does_not_change_the_result(evaluation, prepared):
    other = evaluate(sepia, prepared, 100, mean_ab=MEAN_AB)
    for name in PREDICTORS:
        for metric in METRICS:
            np.testing.assert_allclose(
                other.values[name][metric], evaluation.values[name][metric], rtol=1e-5, atol=1e-6
            )


def test_progress_counts_all_photos(prepared):
    seen: list[int] = []
    evaluate(sepia, prepared, 4, mean_ab=MEAN_AB, progress=seen.append)
    assert seen == [4, 4, len(prepared) - 8]


def test_truth_is_perfect_and_baselines_equal_themselves(prepared):
    lightness, ab = whole_set(prepared)

    def scored(prediction: np.ndarray) -> Evaluation:
        return evaluate_batches(lambda _: prediction, [(lightness, ab)], prepared.photos, MEAN_AB)

    perfect = scored(ab)
    np.testing.assert_allclose(perfect.values["model"]["psnr"], 100.0)
    np.testing.assert_allclose(perfect.values["model"]["delta_e_76"], 0.0)
    np.testing.assert_allclose(perfect.values["model"]["delta_e_2000"], 0.0)
    np.testing.assert_allclose(perfect.values["model"]["ssim"], 1.0, atol=1e-6)
    np.testing.assert_array_equal(
        perfect.values["model"]["colourfulness"], perfect.colourfulness_truth
    )
    assert perfect.intervals("gray")["psnr"].low > 0
    assert perfect.intervals("mean_ab")["delta_e_76"].high < 0
    for name, prediction in (("gray", 0 * ab), ("mean_ab", 0 * ab + np.float32(MEAN_AB))):
        same = scored(prediction)
        for metric in METRICS:
            np.testing.assert_array_equal(same.values["model"][metric], same.values[name][metric])
            assert same.intervals(name)[metric].low == same.intervals(name)[metric].high == 0


def test_bad_predictions_are_errors(prepared):
    calls = 0

    def breaks_down(lightness: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        ab = sepia(lightness)
        if calls == 2:
            ab[1, 3, 3, 0] = np.nan
        return ab

    with pytest.raises(ColorizerError, match=f"{prepared.photos[5].name}.*not finite"):
        evaluate(breaks_down, prepared, 4, mean_ab=MEAN_AB)
    with pytest.raises(ColorizerError, match=r"ab of shape \(4, 32, 32, 1\), expected"):
        evaluate(lambda lightness: lightness, prepared, 4, mean_ab=MEAN_AB)


def test_photos_and_pictures_must_belong_together(prepared):
    batches = evaluation_batches(prepared, 4).take(1).as_numpy_iterator()
    with pytest.raises(ValueError, match="4 pictures came for 9 photos"):
        evaluate_batches(sepia, batches, prepared.photos, MEAN_AB)


def test_others_are_measured_on_the_same_pictures(comparison, evaluation, prepared):
    assert comparison.against == ("rusty", "again")
    alone = evaluate(rusty, prepared, 4, mean_ab=MEAN_AB, features=thumbnails)
    for metric in METRICS:
        np.testing.assert_array_equal(
            comparison.values["rusty"][metric], alone.values["model"][metric]
        )
        np.testing.assert_array_equal(
            comparison.values["model"][metric], evaluation.values["model"][metric]
        )
    assert comparison.kid["rusty"].kid == pytest.approx(alone.kid["model"].kid, rel=1e-9)
    for interval in comparison.intervals("again").values():
        assert interval.low == interval.mean == interval.high == 0
    difference = comparison.intervals("rusty")["kid"]
    assert difference.mean == comparison.kid["model"].kid - comparison.kid["rusty"].kid
    assert difference.low < difference.mean < difference.high
    assert evaluation.kid == evaluation.fid == {}
    assert "kid" not in evaluation.intervals("gray")


def test_kid_and_fid_are_over_the_features_of_all_photos(comparison, prepared):
    lightness, ab = whole_set(prepared)
    real, fake = (thumbnails(rgb8(encode(lightness, x)).numpy()) for x in (ab, rusty(lightness)))
    assert comparison.kid["rusty"].kid == pytest.approx(kid(real, fake), rel=1e-5)
    assert comparison.fid["rusty"] == pytest.approx(fid(real, fake), rel=1e-5)
    assert set(comparison.kid) == set(comparison.fid) == {"rusty", "again", *PREDICTORS}


def test_models_and_photos_that_cannot_be_compared(prepared, sample_photos):
    with pytest.raises(ValueError, match="cannot be named 'gray'"):
        evaluate(sepia, prepared, mean_ab=MEAN_AB, against={"gray": rusty})
    one = prepare_photos(sample_photos, image_size=SIZE, limit=1)
    with pytest.raises(ValueError, match="at least 2 photos, got 1"):
        evaluate(sepia, one, mean_ab=MEAN_AB, features=thumbnails)


def test_json_has_the_keys_of_the_contract(evaluation, setting):
    results = json.loads(json.dumps(results_json(evaluation, setting)))
    for name in PREDICTORS:
        scores = results if name == "model" else results[name]
        for metric in METRICS:
            assert scores[metric] == pytest.approx(evaluation.values[name][metric].mean())
        assert scores["colourfulness_truth"] == pytest.approx(evaluation.colourfulness_truth.mean())
        assert (scores["images"], scores["skipped"]) == (9, 1)
        for shares in scores["bands"].values():
            assert sum(shares.values()) == pytest.approx(1.0)
    difference = results["intervals"]["model_minus_mean_ab"]["psnr"]
    assert difference["mean"] == pytest.approx(results["psnr"] - results["mean_ab"]["psnr"])
    assert difference["low"] < difference["mean"] < difference["high"]
    mean = results["gray"]["mean_intervals"]["psnr"]
    assert mean["mean"] == pytest.approx(results["gray"]["psnr"])
    assert mean["low"] < mean["mean"] < mean["high"]
    assert results["against"] == []
    assert "kid" not in results
    assert "fid" not in results
    assert len(results["photos"]) == 9
    assert results["photos"][2]["psnr"] == pytest.approx(
        evaluation.values["model"]["psnr"][2], abs=1e-4
    )
    assert (setting.data / results["photos"][2]["file"]) == evaluation.photos[2]
    assert results["skipped_files"] == [{"file": "broken.jpg", "reason": "empty file"}]


def test_sub_folders_are_told_apart(evaluation, setting):
    inside = [photo.relative_to(setting.data).parts[0] for photo in evaluation.photos]
    parts = json.loads(json.dumps(results_json(evaluation, setting)))["parts"]
    rows = table_rows(results_markdown(evaluation, setting))
    assert list(parts) == ["train", "val"]
    for name, part in parts.items():
        chosen = np.array(inside) == name
        assert part["images"] == chosen.sum()
        model, gray = (evaluation.values[of]["psnr"][chosen].mean() for of in ("model", "gray"))
        assert part["psnr"] == pytest.approx(model)
        assert part["colourfulness_truth"] == pytest.approx(
            evaluation.colourfulness_truth[chosen].mean()
        )
        gain = part["model_minus_gray"]["psnr"]
        assert gain["mean"] == pytest.approx(model - gray)
        assert rows[name][:2] == [str(chosen.sum()), f"{model:.2f}"]
        assert rows[name][6] == f"{gain['mean']:+.2f} [{gain['low']:+.2f}, {gain['high']:+.2f}]"


def test_a_folder_without_sub_folders_has_no_parts(prepared, evaluation, setting, sample_photos):
    flat = evaluation.only({p for p in evaluation.photos if p.parent.name == "train"})
    alone = Setting("runs/sepia", sample_photos / "train", SIZE, "squash", ())
    assert results_json(flat, alone)["parts"] == {}
    assert "| part" not in results_markdown(flat, alone)


def test_json_of_a_comparison(comparison, setting):
    results = json.loads(json.dumps(results_json(comparison, setting)))
    rusty_scores, again = results["against"]
    assert rusty_scores["model"] == "rusty"
    shared = {"psnr", "kid", "kid_interval", "fid", "colourfulness_truth", "images", "bands"}
    for name, scores in (
        ("model", results),
        ("rusty", rusty_scores),
        ("gray", results["gray"]),
        ("mean_ab", results["mean_ab"]),
    ):
        assert shared <= set(scores)
        assert scores["kid"] == comparison.kid[name].kid
        assert scores["kid_interval"]["low"] < scores["kid"] < scores["kid_interval"]["high"]
        assert scores["fid"] == comparison.fid[name]
    difference = rusty_scores["intervals"]["model_minus_this"]
    assert set(difference) == {*METRICS, "kid"}
    assert difference["psnr"]["mean"] == pytest.approx(results["psnr"] - rusty_scores["psnr"])
    assert again["psnr"] == results["psnr"]
    assert results["intervals"]["kid_resamples"] == 2000
    assert results["intervals"]["kid_features"] == "thumbnails"


def table_rows(text: str) -> dict[str, list[str]]:
    """The rows of all tables by their first cell."""
    return {
        cells[1]: cells[2:-1]
        for cells in ([cell.strip() for cell in line.split("|")] for line in text.splitlines())
        if len(cells) > 2
    }


def test_markdown_has_the_figures(evaluation, setting):
    text = results_markdown(evaluation, setting)
    assert "9 photos (1 gray or broken files skipped), 32x32 (squash)" in text
    rows = table_rows(text)
    gray = evaluation.estimates("gray")["psnr"]
    assert rows["gray (ab = 0)"][0] == f"{gray.mean:.2f} [{gray.low:.2f}, {gray.high:.2f}]"
    interval = evaluation.intervals("gray")["psnr"]
    assert rows["model - gray (ab = 0)"][0] == (
        f"{interval.mean:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"
    )
    assert rows["< 20"][0] == "not good enough"
    shares = [float(rows[label][1].split("%")[0]) for label in PSNR_BANDS.labels]
    assert sum(shares) == pytest.approx(100.0, abs=0.3)
    assert "KID" not in text
    assert "FID" not in text


def test_markdown_of_a_comparison(comparison, setting):
    text = results_markdown(comparison, setting)
    rows = table_rows(text)
    assert "KID x1000, lower is better" in rows["mean per image"]
    kid = comparison.kid["rusty"].interval()
    scaled = [f"{1000 * value:.2f}" for value in (kid.mean, kid.low, kid.high)]
    assert rows["rusty"][5] == f"{scaled[0]} [{scaled[1]}, {scaled[2]}]"
    assert rows["rusty"][6] == f"{comparison.fid['rusty']:.2f}"
    assert rows["model - again"] == [
        *["+0.00 [+0.00, +0.00]"] * 3,
        "+0.0000 [+0.0000, +0.0000]",
        "+0.0 [+0.0, +0.0]",
        "+0.00 [+0.00, +0.00]",
    ]
    assert len(rows["< 20"]) == 1 + 5
    assert "over features of thumbnails, 2,000 resamples" in text
    order = [text.index(f"| {name} ") for name in ("model", "rusty", "gray (ab = 0)")]
    assert order == sorted(order)


def test_sheet_of_a_comparison_has_a_column_for_each(comparison, evaluation, setting):
    wide = draw_contact_sheet(comparison, setting)
    narrow = draw_contact_sheet(evaluation, setting)
    assert wide.width - narrow.width == 2 * 2 * (192 + 4)
    photo = comparison.sheet_photos[0]
    assert list(photo.pictures) == ["gray", "model", "rusty", "again", "truth"]
    assert holds(np.asarray(wide), photo.pictures["rusty"].repeat(6, axis=0).repeat(6, axis=1))


def test_sheet_shows_the_pictures(evaluation, setting, tmp_path):
    path = tmp_path / "sheets" / "sheet.png"
    write_contact_sheet(path, evaluation, setting)
    with Image.open(path) as image:
        assert image.format == "PNG"
        sheet = np.asarray(image)
    assert list(path.parent.iterdir()) == [path]
    assert len(evaluation.sheet_photos) >= 6
    for photo in evaluation.sheet_photos:
        for picture in photo.pictures.values():
            assert holds(sheet, picture.repeat(6, axis=0).repeat(6, axis=1))
    assert not holds(sheet, 255 - picture.repeat(6, axis=0).repeat(6, axis=1))


def holds(sheet: np.ndarray, picture: np.ndarray) -> bool:
    """Whether `picture` stands somewhere on `sheet`, pixel for pixel."""
    height, width = picture.shape[:2]
    pixels, first_row = sheet.tobytes(), picture[0].tobytes()
    offset = pixels.find(first_row)
    while offset >= 0:
        y, x = divmod(offset // 3, sheet.shape[1])
        if np.array_equal(sheet[y : y + height, x : x + width], picture):
            return True
        offset = pixels.find(first_row, offset + 1)
    return False


def test_long_names_are_shortened_to_fit():
    font = ImageFont.load_default(13)
    line = "ảnh cũ của bà ngoại – Huế 1968 " * 20
    fitted = contact_sheet._fitted(line, font, 300)
    assert 250 < font.getlength(fitted) <= 300
    assert fitted.startswith("ảnh")
    assert "…" in fitted
    assert contact_sheet._fitted("short.jpg", font, 300) == "short.jpg"
