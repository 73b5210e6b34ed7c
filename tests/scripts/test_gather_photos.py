"""scripts/gather_photos.py on made-up checkouts and photo sets."""

import gzip
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

WORDS = ["gather_photos.py"]


@pytest.fixture
def script(import_script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, with manifest and exclusions of its own."""
    script = import_script("gather_photos")
    tables = tmp_path / "tables"
    tables.mkdir()
    head = "file\tsource\tpath in the source repository\twidth\theight\tbytes\tsha256\n"
    lines = [
        "test/a.jpg\tsp100\tsports-classifier-data/train/golf/1.jpg\t224\t224\t1\tx",
        "train/b.jpg\tsp100\tsports-classifier-data/train/golf/2.jpg\t224\t224\t1\tx",
    ]
    text = head + "".join(f"{line}\n" for line in lines)
    (tables / "photos_manifest.tsv.gz").write_bytes(gzip.compress(text.encode()))
    (tables / "photos_excluded.tsv").write_text(
        "source\tpath in the source repository\nsp100\tsports-classifier-data/train/golf/3.jpg\n"
    )
    monkeypatch.setattr(script, "BENCHMARKS", tables)
    return script


def scene(seed: int, side: int = 224) -> Image.Image:
    """A picture of coloured blocks, different for each seed."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    shades = np.linspace(0, 24, side).astype(np.uint8)
    large = np.asarray(Image.fromarray(blocks).resize((side, side), Image.Resampling.NEAREST))
    return Image.fromarray(large // 2 + shades[:, None, None] + 2 * shades[None, :, None])


def save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, "JPEG", quality=95)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photo sets: one test photo, which stands in the checkout too, and one of val."""
    photos = tmp_path / "photos"
    save(scene(1), photos / "test" / "a.jpg")
    save(scene(99), photos / "val" / "c.jpg")
    return photos


@pytest.fixture
def golf(tmp_path: Path) -> Path:
    """The folder of a class in a checkout that holds what the sets name."""
    golf = tmp_path / "sources" / "sp100" / "sports-classifier-data" / "train" / "golf"
    for number in (1, 2, 3):
        save(scene(number), golf / f"{number}.jpg")
    return golf


def gather(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    words = ["--sources", str(tmp_path / "sources"), "--photos", str(tmp_path / "photos")]
    words += ["--output", str(tmp_path / "more"), "--only", "sp100"]
    monkeypatch.setattr("sys.argv", [*WORDS, *words])
    with pytest.raises(SystemExit) as stopped:
        script.main()
    return int(stopped.value.code or 0)


def gathered(tmp_path: Path) -> list[str]:
    lines = (tmp_path / "more" / "photos.tsv").read_text().splitlines()
    on_disk = [
        p.relative_to(tmp_path / "more").as_posix() for p in (tmp_path / "more").rglob("*.jpg")
    ]
    assert sorted(on_disk) == lines
    return [Path(line).name for line in lines]


def test_new_photos_are_copied_and_the_sets_left_out(
    script, photos, golf, tmp_path, monkeypatch, capsys
):
    save(scene(4), golf / "4.jpg")
    save(scene(5), golf.parent / "pole dancing" / "5.jpg")
    assert gather(script, tmp_path, monkeypatch) == 0
    assert gathered(tmp_path) == ["4.jpg"]
    copied = tmp_path / "more" / "sp100" / "sports-classifier-data" / "train" / "golf" / "4.jpg"
    assert copied.read_bytes() == (golf / "4.jpg").read_bytes()
    assert "| sp100 | 1 | 3 | 0 | 0 | 0 | 0 | 0 | 0 |" in capsys.readouterr().out


def test_copies_and_mirror_images_of_test_photos_are_left_out(
    script, photos, golf, tmp_path, monkeypatch, capsys
):
    save(scene(99).resize((200, 200)), golf / "copy.jpg")
    save(scene(99).transpose(Image.Transpose.FLIP_LEFT_RIGHT), golf / "mirrored.jpg")
    assert gather(script, tmp_path, monkeypatch) == 0
    assert gathered(tmp_path) == []
    assert "| sp100 | 0 | 3 | 0 | 0 | 0 | 0 | 2 | 0 |" in capsys.readouterr().out


@pytest.mark.parametrize("of", [1, 3])
def test_crops_of_a_test_or_excluded_photo_are_left_out(
    script, photos, golf, tmp_path, monkeypatch, capsys, of
):
    zoomed = scene(of).crop((40, 30, 200, 190)).resize((224, 224), Image.Resampling.LANCZOS)
    save(zoomed, golf / "zoomed.jpg")
    assert gather(script, tmp_path, monkeypatch) == 0
    assert gathered(tmp_path) == []
    assert "| sp100 | 0 | 3 | 0 | 0 | 0 | 0 | 0 | 1 |" in capsys.readouterr().out


def test_pictures_that_teach_no_colour_are_left_out(
    script, photos, golf, tmp_path, monkeypatch, capsys
):
    save(scene(6).convert("L"), golf / "one_channel.jpg")
    save(scene(7).convert("L").convert("RGB"), golf / "gray.jpg")
    save(scene(8, side=100), golf / "small.jpg")
    save(Image.new("RGB", (224, 224), (200, 30, 30)), golf / "drawing.jpg")
    cut_out = Image.new("RGB", (330, 330), "white")
    cut_out.paste(scene(9), (0, 0))
    save(cut_out, golf / "cut_out.jpg")
    (golf / "broken.jpg").write_bytes(b"no picture")
    assert gather(script, tmp_path, monkeypatch) == 0
    assert gathered(tmp_path) == []
    assert "| sp100 | 0 | 3 | 2 | 1 | 1 | 2 | 0 | 0 |" in capsys.readouterr().out


def test_a_checkout_without_photos_is_told_before_the_work_begins(
    script, photos, tmp_path, monkeypatch, capsys
):
    assert gather(script, tmp_path, monkeypatch) == 1
    assert "sp100/sports-classifier-data: holds no .jpg or .jpeg file" in capsys.readouterr().err
    assert not (tmp_path / "more").exists()
