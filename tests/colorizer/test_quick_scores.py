import numpy as np
import pytest

from colorizer.evaluation.evaluation import evaluate
from colorizer.evaluation.quick_scores import QuickScorer
from pipelines.errors import ColorizerError
from pipelines.preparation import PreparedPhotos, prepare_photos

KEYS = ["psnr", "colourfulness", "colourfulness_truth", "kid", "psnr_gray", "kid_gray"]


class Thumbnails:
    """Features that a test can afford: 4x4 thumbnails; counts the photos that it has seen."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        assert rgb.dtype == np.uint8
        self.seen += len(rgb)
        tiles = rgb.reshape(len(rgb), 4, rgb.shape[1] // 4, 4, rgb.shape[2] // 4, 3)
        return (tiles.mean(axis=(2, 4)).reshape(len(rgb), -1) / 64).astype("float32")


@pytest.fixture(scope="module")
def prepared(sample_photos) -> PreparedPhotos:
    return prepare_photos(sample_photos, image_size=32, limit=7)


def brown(lightness: np.ndarray) -> np.ndarray:
    return np.repeat(0.1 - 0.05 * lightness, 2, axis=-1)


def test_scores_equal_those_of_the_evaluation(prepared):
    scores = QuickScorer(prepared, Thumbnails(), batch_size=3)(brown)
    assert list(scores) == KEYS
    evaluation = evaluate(brown, prepared, 4, mean_ab=(0.0, 0.1), features=Thumbnails())
    model, gray = evaluation.means("model"), evaluation.means("gray")
    assert scores["psnr"] == pytest.approx(model["psnr"], rel=1e-6)
    assert scores["colourfulness"] == pytest.approx(model["colourfulness"], rel=1e-6)
    assert scores["colourfulness_truth"] == pytest.approx(evaluation.colourfulness_truth.mean())
    assert scores["kid"] == pytest.approx(evaluation.kid["model"].kid, rel=1e-9)
    assert scores["psnr_gray"] == pytest.approx(gray["psnr"], rel=1e-6)
    assert scores["kid_gray"] == pytest.approx(evaluation.kid["gray"].kid, rel=1e-9)


def test_originals_and_gray_are_looked_at_once(prepared):
    features = Thumbnails()
    scorer = QuickScorer(prepared, features, batch_size=4)
    first = scorer(brown)
    assert features.seen == 3 * len(prepared)
    gray = scorer(lambda lightness: np.zeros((*lightness.shape[:-1], 2), "float32"))
    assert features.seen == 4 * len(prepared)
    assert gray["psnr"] == gray["psnr_gray"] == first["psnr_gray"]
    assert gray["kid"] == gray["kid_gray"] == first["kid_gray"] != first["kid"]
    assert 0.0 <= gray["colourfulness"] < 0.2  # Rounding tints some pixels by one level.
    assert scorer(brown) == first


def test_bad_predictions_are_errors(prepared):
    scorer = QuickScorer(prepared, Thumbnails(), batch_size=4)

    def breaks_down(lightness: np.ndarray) -> np.ndarray:
        ab = brown(lightness)
        if len(ab) < 4:
            ab[1] = np.inf
        return ab

    with pytest.raises(ColorizerError, match=f"{prepared.photos[5].name}.*not finite"):
        scorer(breaks_down)
    assert list(scorer(brown)) == KEYS


def test_one_photo_has_no_kid(sample_photos):
    one = prepare_photos(sample_photos, image_size=32, limit=1)
    with pytest.raises(ValueError, match="at least 2 photos, got 1"):
        QuickScorer(one, Thumbnails())
