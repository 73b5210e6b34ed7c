import numpy as np
import pytest

from colorizer.evaluation.bootstrap import SEED
from colorizer.evaluation.kid_bootstrap import (
    ResampledKid,
    draw_counts,
    kid_difference_interval,
    kid_interval,
    resample_kids,
)
from colorizer.metrics import kid as kid_module
from colorizer.metrics.kid import kid, polynomial_kernel, weighted_kids


def features(seed: int, count: int, shift: float = 0.0, dimensions: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1.0, (count, dimensions))


def loop_kid(real: np.ndarray, fake: np.ndarray, drawn: list[int]) -> float:
    """The mean of h over all pairs of drawn places that hold two different photos."""

    def k(x: np.ndarray, y: np.ndarray) -> float:
        return (sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3

    values = [
        k(real[i], real[j]) + k(fake[i], fake[j]) - k(real[i], fake[j]) - k(real[j], fake[i])
        for i in drawn
        for j in drawn
        if i != j
    ]
    return sum(values) / len(values)


def test_kernel_of_a_pair_known_by_hand():
    x, y = np.array([[1.0, 2.0]]), np.array([[3.0, -1.0], [0.0, 0.0]])
    np.testing.assert_allclose(polynomial_kernel(x, y), [[1.5**3, 1.0]])


def test_kid_equals_a_double_loop(monkeypatch):
    real, fake = features(1, 9), features(2, 9, 0.4)
    whole = kid(real, fake)
    assert whole == pytest.approx(loop_kid(real, fake, list(range(9))), rel=1e-12)
    assert kid(fake, real) == pytest.approx(whole, rel=1e-12)
    monkeypatch.setattr(kid_module, "_ROWS_AT_ONCE", 4)
    assert kid(real, fake) == pytest.approx(whole, rel=1e-12)


def test_resamples_equal_a_double_loop_that_skips_a_photo_beside_itself():
    real, fake = features(3, 7), features(4, 7, 0.3)
    drawn = [[0, 0, 1, 2, 2, 2, 6], [5, 5, 5, 5, 5, 5, 4], [0, 1, 2, 3, 4, 5, 6]]
    counts = np.array([np.bincount(row, minlength=7) for row in drawn])
    expected = [loop_kid(real, fake, row) for row in drawn]
    np.testing.assert_allclose(weighted_kids(real, [fake], counts), [expected], rtol=1e-12)


def test_identical_sets_are_0_apart():
    real = features(5, 20).astype("float32")
    interval = kid_interval(real, real.copy(), resamples=50)
    for value in (kid(real, real.copy()), interval.mean, interval.low, interval.high):
        assert value == pytest.approx(0.0, abs=1e-14)


def test_kid_does_not_depend_on_the_order_of_photos_but_on_their_pairing():
    real, fake = features(6, 30), features(7, 30, 0.2)
    order = np.random.default_rng(8).permutation(30)
    assert kid(real[order], fake[order]) == pytest.approx(kid(real, fake), rel=1e-12)
    close = real + 0.1 * fake
    assert kid(real[order], close) != pytest.approx(kid(real, close), rel=1e-3)


def test_two_samples_of_one_distribution_are_0_apart_on_average():
    rng = np.random.default_rng(9)
    values = [kid(*rng.normal(size=(2, 12, 4))) for _ in range(1500)]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    assert min(values) < 0 < max(values)
    # Were each photo paired with itself within its set, the mean would lie far above.
    assert 4 * error < 0.3


def test_paired_sets_are_unbiased_too():
    # y = x + c for the same photo. With one dimension the squared MMD has a closed form:
    # the distance of the moments (m1, m2, m3), weighed 3, 3, 1, for (xy + 1)^3.
    c = 0.5
    expected = 3 * c**2 + 3 * c**4 + (3 * c + c**3) ** 2
    rng = np.random.default_rng(10)
    samples = rng.normal(size=(1500, 10, 1))
    values = [kid(x, x + c) for x in samples]
    error = np.std(values) / np.sqrt(len(values))
    assert np.mean(values) == pytest.approx(expected, abs=4 * error)
    assert error < 0.1 * expected


def test_interval_covers():
    c = 1.0
    expected = 3 * c**2 + 3 * c**4 + (3 * c + c**3) ** 2
    rng = np.random.default_rng(11)
    covered = 0
    for _ in range(100):
        x = rng.normal(size=(50, 1))
        interval = kid_interval(x, x + c, resamples=100)
        assert interval.low < interval.mean < interval.high
        covered += interval.low <= expected <= interval.high
    assert 82 < covered < 100


def test_difference_is_of_the_same_resamples():
    real, good, bad = features(12, 60), features(13, 60, 0.3), features(14, 60, 0.9)
    difference = kid_difference_interval(real, bad, good, resamples=300)
    assert difference.mean == pytest.approx(kid(real, bad) - kid(real, good))
    assert difference.low > 0
    same = kid_difference_interval(real, good, good.copy(), resamples=300)
    assert [same.mean, same.low, same.high] == pytest.approx([0.0] * 3, abs=1e-14)
    # Pairing pays: two colourings that share what moves KID are told apart.
    alike = good + 0.02
    paired = kid_difference_interval(real, alike, good, resamples=300)
    alone = kid_interval(real, good, resamples=300)
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_resamples_follow_from_the_seed():
    real, fake = features(15, 20), features(16, 20)

    def resampled(seed: int, resamples: int = 40) -> ResampledKid:
        return resample_kids(real, {"one": fake}, resamples=resamples, seed=seed)["one"]

    first = resampled(SEED)
    assert first.kid == pytest.approx(kid(real, fake), rel=1e-12)
    np.testing.assert_array_equal(first.resampled, resampled(SEED).resampled)
    other = resampled(SEED + 1)
    assert other.kid == pytest.approx(first.kid, rel=1e-12)
    assert (other.resampled != first.resampled).any()
    for stranger in (other, resampled(SEED, 41)):
        with pytest.raises(ValueError, match="other resamples"):
            first.minus(stranger)


def test_draws_hold_as_many_photos_as_there_are_and_at_least_two_different_ones():
    counts = draw_counts(2, 500)
    np.testing.assert_array_equal(counts, np.ones((500, 2)))
    counts = draw_counts(3, 500)
    assert (counts.sum(axis=1) == 3).all()
    assert ((counts > 0).sum(axis=1) >= 2).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(3), abs=0.1)


@pytest.mark.parametrize(
    ("real", "fake", "words"),
    [
        (np.ones((1, 3)), np.ones((1, 3)), "N >= 2"),
        (np.ones((4, 3)), np.ones((5, 3)), r"got \(4, 3\) and \(5, 3\)"),
        (np.ones(4), np.ones(4), r"\(N, d\)"),
        (np.full((2, 2), np.nan), np.ones((2, 2)), "not finite"),
    ],
)
def test_what_is_no_pair_of_feature_sets_is_refused(real, fake, words):
    with pytest.raises(ValueError, match=words):
        kid(real, fake)


def test_bad_resamples_are_refused():
    real = features(17, 4)
    with pytest.raises(ValueError, match="2 different photos"):
        weighted_kids(real, [real], np.array([[4, 0, 0, 0]]))
    with pytest.raises(ValueError, match=r"shape \(B, 4\), got \(2, 3\)"):
        weighted_kids(real, [real], np.ones((2, 3)))
