import shutil

import numpy as np
import pytest
from PIL import Image

from pipelines import lab_records, preparation
from pipelines.errors import NoPhotosError
from pipelines.photo_files import PhotoFile, find_jpegs, inspect_headers
from pipelines.preparation import prepare_photos


@pytest.fixture
def mixed(tmp_path, sample_photos):
    """Three good photos, and one file for each way of being unusable."""
    folder = tmp_path / "mixed"
    (folder / "deeper").mkdir(parents=True)
    good = sorted((sample_photos / "val").glob("*.jpg"))[:3]
    shutil.copy(good[0], folder / "a.jpg")
    shutil.copy(good[1], folder / "deeper" / "b.JPEG")
    shutil.copy(good[2], folder / "c.jpg")
    Image.open(good[0]).convert("L").save(folder / "gray.jpg")
    data = good[1].read_bytes()
    (folder / "cut.jpg").write_bytes(data[: len(data) // 2])
    (folder / "empty.jpg").touch()
    Image.open(good[2]).save(folder / "png.jpg", "PNG")
    (folder / "page.jpg").write_text("<html>not found</html>")
    return folder


def test_bad_files_are_listed_and_the_rest_is_used(mixed):
    prepared = prepare_photos(mixed, image_size=64)
    assert [path.name for path in prepared.photos] == ["a.jpg", "c.jpg", "b.JPEG"]
    assert len(prepared) == 3
    assert {item.path.name: item.reason for item in prepared.rejected} == {
        "gray.jpg": "gray or nearly gray",
        "cut.jpg": "damaged or cut off JPEG data",
        "empty.jpg": "empty file",
        "png.jpg": "named JPEG but holds PNG",
        "page.jpg": "not an image, or its header is damaged",
    }


def test_mean_ab_is_that_of_the_usable_photos(mixed):
    from pipelines.batches import evaluation_batches

    prepared = prepare_photos(mixed, image_size=64)
    ab = np.concatenate([ab for _, ab in evaluation_batches(prepared, 2).as_numpy_iterator()])
    np.testing.assert_allclose(prepared.mean_ab, ab.mean((0, 1, 2)), atol=1e-5)


@pytest.mark.parametrize("kind", ["missing", "empty", "all bad"])
def test_nothing_usable_is_a_clear_error(tmp_path, kind):
    folder = tmp_path / "photos"
    if kind != "missing":
        folder.mkdir()
    if kind == "all bad":
        (folder / "a.jpg").write_text("no photo")
        Image.new("RGB", (64, 64), (90, 90, 90)).save(folder / "b.jpg")
    expected = {
        "missing": "no such folder",
        "empty": "holds no .jpg or .jpeg file",
        "all bad": "none of 2 files is a usable colour photo",
    }
    with pytest.raises(NoPhotosError, match=expected[kind]) as caught:
        prepare_photos(folder, image_size=32)
    assert str(folder) in str(caught.value)


def test_limit_takes_evenly_spaced_files(sample_photos):
    prepared = prepare_photos(sample_photos, image_size=32, limit=6)
    assert len(prepared) == 6
    assert {path.parent.name for path in prepared.photos} == {"train", "val"}


def test_records_are_kept_and_taken_again(mixed, tmp_path, monkeypatch):
    records = tmp_path / "cache" / "train"
    first = prepare_photos(mixed, image_size=64, records=records)
    size = lab_records.photos_file(records).stat().st_size
    assert size == len(first) * lab_records.record_bytes(64)

    def no_second_scan(*arguments):
        raise AssertionError("decoded again")

    monkeypatch.setattr(preparation, "_scan", no_second_scan)
    assert prepare_photos(mixed, image_size=64, records=records) == first


@pytest.mark.parametrize("change", ["photo", "size"])
def test_records_of_other_photos_are_made_anew(mixed, tmp_path, sample_photos, change):
    records = tmp_path / "cache"
    before = prepare_photos(mixed, image_size=64, records=records)
    if change == "photo":
        shutil.copy(sample_photos / "val" / "skimage_coffee.jpg", mixed / "a.jpg")
    after = prepare_photos(mixed, image_size=64 if change == "photo" else 32, records=records)
    assert after != before
    expected = prepare_photos(mixed, image_size=after.image_size)
    assert after.photo_mean_ab == expected.photo_mean_ab


@pytest.mark.parametrize("damage", ["summary", "short file", "missing file"])
def test_damaged_records_are_made_anew(mixed, tmp_path, damage):
    records = tmp_path / "cache"
    prepared = prepare_photos(mixed, image_size=64, records=records)
    file = lab_records.photos_file(records)
    whole = file.read_bytes()
    if damage == "summary":
        (records / "summary.json").write_text("{")
    elif damage == "short file":
        file.write_bytes(whole[:-2])
    else:
        file.unlink()
    assert prepare_photos(mixed, image_size=64, records=records) == prepared
    assert file.read_bytes() == whole


def test_an_interrupted_pass_leaves_nothing(mixed, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation, "why_gray", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_photos(mixed, image_size=64, records=tmp_path / "cache" / "train")
    assert list((tmp_path / "cache").iterdir()) == []


def test_records_of_another_format_are_made_anew(mixed, tmp_path, monkeypatch):
    records = tmp_path / "cache"
    with monkeypatch.context() as earlier:
        earlier.setattr(lab_records, "RECORD_DTYPE", "float16")
        files = [item for item in inspect_headers(find_jpegs(mixed)) if isinstance(item, PhotoFile)]
        stale = lab_records.fingerprint(files, 64, "squash")
    records.mkdir()
    lab_records.save_summary(records, lab_records.Summary({}, {}), stale)
    lab_records.photos_file(records).touch()
    (records / "0123.lab").write_bytes(b"a record of its own file")
    assert prepare_photos(mixed, image_size=64, records=records).photos
    assert {path.name for path in records.iterdir()} == {"summary.json", "photos.lab"}


def test_records_hold_lab_to_some_thousandths(sample_photos):
    from skimage.color import rgb2lab

    path = sample_photos / "train" / "skimage_astronaut.jpg"
    rgb = np.asarray(Image.open(path))[None].astype(np.float32)
    lightness, ab = (np.asarray(part) / 32767 for part in lab_records.lab_batch(rgb, 4))
    lab = np.concatenate([(lightness + 1) * 50, ab * 128], axis=-1)
    expected = rgb2lab(rgb.astype(np.float64) / 255)
    assert np.abs(lab - expected)[..., 0].max() < 0.0012
    assert np.abs(lab - expected)[..., 1:].max() < 0.0025


def test_split_photos_keep_their_records(sample_photos, tmp_path):
    from pipelines.batches import evaluation_batches

    prepared = prepare_photos(sample_photos, image_size=32, records=tmp_path / "records")
    for part in (*prepared.split(0.3, seed=1), prepared.evenly_spaced(4)):
        ab = np.concatenate([ab for _, ab in evaluation_batches(part, 3).as_numpy_iterator()])
        np.testing.assert_allclose(part.photo_mean_ab, ab.mean((1, 2), np.float64), atol=1e-6)


def test_split_is_seeded_and_covers_all(sample_photos):
    prepared = prepare_photos(sample_photos / "train", image_size=32)
    rest, held_out = prepared.split(0.2, seed=3)
    assert len(held_out) == round(0.2 * len(prepared))
    assert sorted(rest.photos + held_out.photos) == sorted(prepared.photos)
    assert prepared.split(0.2, seed=3)[1].photos == held_out.photos
    assert prepared.split(0.2, seed=4)[1].photos != held_out.photos


def test_one_photo_cannot_be_split(sample_photos):
    one = prepare_photos(sample_photos, image_size=32, limit=1)
    with pytest.raises(NoPhotosError, match="one photo"):
        one.split(0.5, seed=0)


def test_fingerprint_tells_sets_and_sizes_apart(sample_photos):
    val = prepare_photos(sample_photos / "val", image_size=32)
    assert val.fingerprint == prepare_photos(sample_photos / "val", image_size=32).fingerprint
    assert val.fingerprint != prepare_photos(sample_photos / "val", image_size=48).fingerprint
    assert val.fingerprint != val.evenly_spaced(5).fingerprint
