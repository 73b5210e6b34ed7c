import numpy as np
import pytest

from pipelines.batches import evaluation_batches, steps_per_epoch, training_batches
from pipelines.preparation import prepare_photos

SIZE = 32
BATCH = 3


@pytest.fixture(scope="module")
def prepared(sample_photos):
    return prepare_photos(sample_photos / "val", image_size=SIZE)


@pytest.fixture(scope="module")
def with_records(sample_photos, tmp_path_factory):
    records = tmp_path_factory.mktemp("records") / "val"
    return prepare_photos(sample_photos / "val", image_size=SIZE, records=records)


def arrays(dataset):
    return list(dataset.as_numpy_iterator())


def joined(dataset):
    return [np.concatenate(parts) for parts in zip(*arrays(dataset), strict=True)]


def test_evaluation_batches_keep_order_and_all_photos(prepared):
    batches = arrays(evaluation_batches(prepared, BATCH))
    assert [len(lightness) for lightness, _ in batches] == [3, 3, 2]
    lightness, ab = batches[0]
    assert lightness.shape == (BATCH, SIZE, SIZE, 1) and ab.shape == (BATCH, SIZE, SIZE, 2)
    assert lightness.dtype == ab.dtype == np.float32
    assert max(np.abs(lightness).max(), np.abs(ab).max()) <= 1
    alone = joined(evaluation_batches(prepared.evenly_spaced(1), 1))
    np.testing.assert_array_equal(lightness[0], alone[0][0])


def test_an_epoch_shows_each_photo_once_upright_or_flipped(prepared):
    lightness, _ = joined(evaluation_batches(prepared, BATCH))
    known = {picture.tobytes(): i for i, picture in enumerate(lightness)}
    mirrored = {picture[:, ::-1].tobytes(): i for i, picture in enumerate(lightness)}
    seen, flips = [], 0
    for epoch in range(3):
        for batch, _ in arrays(training_batches(prepared, 2, seed=1, epoch=epoch)):
            for picture in batch:
                flips += picture.tobytes() in mirrored
                seen.append(known.get(picture.tobytes(), mirrored.get(picture.tobytes())))
    for epoch in range(3):
        assert sorted(seen[8 * epoch : 8 * epoch + 8]) == list(range(8))
    assert 0 < flips < len(seen)


def test_lightness_and_ab_are_flipped_together(prepared):
    lightness, ab = joined(evaluation_batches(prepared, BATCH))
    colours = {picture.tobytes(): ab[i] for i, picture in enumerate(lightness)}
    for shown, colour in zip(*joined(training_batches(prepared, 2, seed=1, epoch=0)), strict=True):
        upright, expected = shown.tobytes() in colours, colour
        if not upright:
            shown, expected = shown[:, ::-1], colour[:, ::-1]
        np.testing.assert_array_equal(colours[shown.tobytes()], expected)


def test_seed_and_epoch_alone_decide_the_order(prepared):
    def epoch(seed, number):
        return joined(training_batches(prepared, 2, seed=seed, epoch=number))[0].tobytes()

    assert epoch(1, 0) == epoch(1, 0)
    assert len({epoch(1, 0), epoch(1, 1), epoch(2, 0)}) == 3


def test_an_epoch_taken_up_later_sees_the_same_batches(prepared):
    whole = arrays(training_batches(prepared, 2, seed=1, epoch=5))
    rest = arrays(training_batches(prepared, 2, seed=1, epoch=5, first_step=3))
    assert len(rest) == 1
    for left, right in zip(whole[3], rest[0], strict=True):
        np.testing.assert_array_equal(left, right)


def test_records_give_the_same_batches_as_decoding(prepared, with_records):
    for make in (
        lambda photos: evaluation_batches(photos, BATCH),
        lambda photos: training_batches(photos, BATCH, seed=1, epoch=2),
    ):
        for left, right in zip(joined(make(prepared)), joined(make(with_records)), strict=True):
            np.testing.assert_array_equal(left, right)


def test_steps_leave_out_a_smaller_last_batch_unless_it_is_the_only_one(prepared):
    for batch_size, sizes in ((3, [3, 3]), (8, [8]), (20, [8])):
        batches = arrays(training_batches(prepared, batch_size, seed=0, epoch=0))
        assert [len(lightness) for lightness, _ in batches] == sizes
        assert steps_per_epoch(prepared, batch_size) == len(sizes)


def test_an_epoch_may_end_after_fewer_steps(prepared):
    assert steps_per_epoch(prepared, BATCH, 1) == 1 and steps_per_epoch(prepared, BATCH, 99) == 2
    whole = arrays(training_batches(prepared, BATCH, seed=1, epoch=0))
    short = arrays(training_batches(prepared, BATCH, seed=1, epoch=0, steps=1))
    assert len(short) == 1
    np.testing.assert_array_equal(short[0][0], whole[0][0])


@pytest.mark.parametrize("min_crop", [1.0, 0.5])
@pytest.mark.parametrize("first_step", [0, 1])
def test_workers_parts_of_a_batch_are_the_batch(prepared, min_crop, first_step):
    settings = {"seed": 1, "epoch": 0, "min_crop": min_crop, "first_step": first_step}
    whole = arrays(training_batches(prepared, 4, **settings))
    parts = [arrays(training_batches(prepared, 4, **settings, part=(w, 2))) for w in range(2)]
    assert len(whole) == len(parts[0]) == len(parts[1]) == 2 - first_step
    for one, *pieces in zip(whole, *parts, strict=True):
        assert [len(piece[0]) for piece in pieces] == [2, 2]
        for column, array in enumerate(one):
            np.testing.assert_array_equal(
                np.concatenate([piece[column] for piece in pieces]), array
            )


def test_a_batch_that_cannot_be_sliced_equally_is_refused(prepared):
    # Fewer photos than a batch, and workers that do not divide it.
    for batch_size, workers in ((20, 2), (3, 2)):
        with pytest.raises(ValueError, match="cannot be sliced"):
            training_batches(prepared, batch_size, seed=1, epoch=0, part=(0, workers))


def test_crops_are_enlarged_squares_of_the_picture_lightness_and_ab_alike(prepared):
    whole = joined(training_batches(prepared, BATCH, seed=1, epoch=0))
    cropped = joined(training_batches(prepared, BATCH, seed=1, epoch=0, min_crop=0.5))
    for full, cut in zip(whole, cropped, strict=True):
        assert cut.shape == full.shape
        assert not np.allclose(cut, full)
        # Bilinear, so that no value lies outside of those of its picture.
        for one, other in zip(full, cut, strict=True):
            assert one.min() - 1e-6 <= other.min() and other.max() <= one.max() + 1e-6
    # Boxes follow from the epoch: taken up at a later step, the rest is the same.
    again = joined(training_batches(prepared, BATCH, seed=1, epoch=0, min_crop=0.5, first_step=1))
    for later, cut in zip(again, cropped, strict=True):
        np.testing.assert_array_equal(later, cut[BATCH:])
    other = joined(training_batches(prepared, BATCH, seed=1, epoch=1, min_crop=0.5))
    assert not np.array_equal(other[0], cropped[0])


def test_nothing_is_tuned_that_freeing_an_epoch_would_wait_for(prepared, with_records):
    for photos in (prepared, with_records):
        for min_crop in (1.0, 0.5):
            epoch = training_batches(photos, BATCH, seed=1, epoch=0, min_crop=min_crop)
            assert epoch.options().autotune.enabled is False
