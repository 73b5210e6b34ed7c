import numpy as np
import pytest

from colorizer.evaluation import bootstrap
from colorizer.evaluation.bands import BANDS, DELTA_E_BANDS, PSNR_BANDS
from colorizer.evaluation.bootstrap import Interval, mean_intervals
from colorizer.evaluation.sheet_photos import SheetPicker


@pytest.mark.parametrize(
    ("bands", "value", "label"),
    [
        (PSNR_BANDS, 100.0, ">= 40"),
        (PSNR_BANDS, 40.0, ">= 40"),
        (PSNR_BANDS, 39.999, "30-40"),
        (PSNR_BANDS, 30.0, "30-40"),
        (PSNR_BANDS, 20.0, "20-30"),
        (PSNR_BANDS, 19.999, "< 20"),
        (DELTA_E_BANDS, 0.0, "<= 1"),
        (DELTA_E_BANDS, 1.0, "<= 1"),
        (DELTA_E_BANDS, 1.001, "1-2"),
        (DELTA_E_BANDS, 2.0, "2-5"),
        (DELTA_E_BANDS, 5.0, "5-10"),
        (DELTA_E_BANDS, 9.999, "5-10"),
        (DELTA_E_BANDS, 10.0, ">= 10"),
    ],
)
def test_bands_end_where_the_report_ends_them(bands, value, label):
    shares = bands.shares(np.array([value]))
    assert {name for name, share in shares.items() if share} == {label}


def test_band_shares_are_shares_of_images():
    assert PSNR_BANDS.shares(np.array([10.0, 25.0, 26.0, 45.0])) == {
        "< 20": 0.25,
        "20-30": 0.5,
        "30-40": 0.0,
        ">= 40": 0.25,
    }
    for bands in BANDS.values():
        assert len(bands.labels) == len(bands.meanings) == len(bands.edges) + 1


def test_interval_is_that_of_the_normal_approximation_for_many_values():
    values = np.random.default_rng(3).normal([1.0, -20.0], [2.0, 0.5], (400, 2))
    for column, interval in zip(values.T, mean_intervals(values), strict=True):
        half = 1.96 * column.std() / np.sqrt(len(column))
        assert interval.mean == pytest.approx(column.mean())
        assert interval.low == pytest.approx(column.mean() - half, abs=0.05 * half)
        assert interval.high == pytest.approx(column.mean() + half, abs=0.05 * half)


def test_intervals_follow_from_the_seed_and_not_from_the_memory_used(monkeypatch):
    values = np.random.default_rng(4).normal(size=(30, 3))
    whole = mean_intervals(values, resamples=1000)
    monkeypatch.setattr(bootstrap, "_INDICES_AT_ONCE", 700)
    for cut, interval in zip(mean_intervals(values, resamples=1000), whole, strict=True):
        assert (cut.low, cut.high) == pytest.approx((interval.low, interval.high), rel=1e-12)
    assert mean_intervals(values, resamples=1000, seed=1) != whole
    narrow = mean_intervals(values, resamples=1000, level=0.5)
    assert all(w.low < n.low < n.high < w.high for w, n in zip(whole, narrow, strict=True))


def test_interval_of_values_without_spread_and_of_none():
    assert mean_intervals(np.full((5, 1), 2.0)) == [Interval(2.0, 2.0, 2.0)]
    with pytest.raises(ValueError, match="N > 0"):
        mean_intervals(np.zeros((0, 2)))
    with pytest.raises(ValueError, match=r"\(N, M\)"):
        mean_intervals(np.zeros(4))


def test_picker_finds_best_and_worst_and_keeps_only_them():
    rng = np.random.default_rng(5)
    psnr = rng.permutation(100).astype("float64")
    picker = SheetPicker(100, evenly_spaced=4, extremes=2)
    for start, stop in ((0, 7), (7, 50), (50, 51), (51, 100)):
        pictures = np.arange(start, stop, dtype="uint8")[:, None, None, None] * np.ones(
            (1, 2, 2, 3), "uint8"
        )
        picker.add(psnr[start:stop], {"model": pictures})
        assert len(picker._pictures) <= 4 + 2 * 2
    by_why = {reason: photo for photo in picker.picked() for reason in photo.why}
    order = np.argsort(psnr)
    assert by_why["best 1"].index == order[-1]
    assert by_why["best 2"].index == order[-2]
    assert by_why["worst 1"].index == order[0]
    assert by_why["worst 2"].index == order[1]
    spaced = [photo.index for photo in picker.picked() if "evenly spaced" in photo.why]
    assert spaced == [0, 33, 66, 99]
    for photo in picker.picked():
        np.testing.assert_array_equal(photo.pictures["model"], np.full((2, 2, 3), photo.index))


def test_picker_shows_each_photo_once_when_there_are_few():
    picker = SheetPicker(2)
    picker.add(np.array([20.0, 30.0]), {"model": np.zeros((2, 1, 1, 3), "uint8")})
    assert [(photo.index, photo.why) for photo in picker.picked()] == [
        (0, ("evenly spaced", "best 2", "worst 1")),
        (1, ("evenly spaced", "best 1", "worst 2")),
    ]
