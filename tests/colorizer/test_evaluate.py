import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colorizer import evaluate

COMMAND = [sys.executable, "-m", "colorizer.evaluate"]
ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def one_error(result: subprocess.CompletedProcess[str], code: int) -> str:
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]


def test_help_is_fast_and_names_every_flag():
    result = run("--help")
    assert result.returncode == 0
    for flag in ("model", "data", "style", "limit", "json", "sheet", "markdown", "batch-size"):
        assert f"--{flag} " in result.stdout
    # Processor time, of the fastest of three: the clock on the wall is not the command's alone.
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 1.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sheet", "sheet.jpg"], "--sheet sheet.jpg: the contact sheet is a .png"),
        (["--json", "."], "--json .: is a folder"),
        (["--limit", "0"], "limit"),
        (["--batch-size", "-1"], "batch_size"),
    ],
)
def test_wrong_usage_exits_with_2(arguments, words):
    result = run("--data", "photos", *arguments)
    one_error(result, 2)
    assert words in result.stderr


def test_missing_data_and_unknown_flags_exit_with_2():
    assert run("--model", "runs/one").returncode == 2
    assert run("--data", "photos", "--colour", "red").returncode == 2


def test_whole_command(tiny_run, sample_photos, tmp_path):
    data = tmp_path / "ảnh"
    data.mkdir()
    for photo in sorted((sample_photos / "val").rglob("*.jpg"))[:3]:
        shutil.copy(photo, data)
    Image.fromarray(np.tile(np.arange(64, dtype="uint8") * 4, (64, 1))).save(data / "gray.jpg")
    (data / "broken.jpeg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    out = tmp_path / "out"
    result = run(
        *("--model", tiny_run, "--data", data, "--batch-size", "2"),
        *("--json", out / "r.json", "--markdown", out / "r.md", "--sheet", out / "r.png"),
    )
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in out.iterdir()) == ["r.json", "r.md", "r.png"]
    assert result.stdout == (out / "r.md").read_text(encoding="utf-8")
    results = json.loads((out / "r.json").read_text(encoding="utf-8"))
    assert (results["images"], results["skipped"], results["image_size"]) == (3, 2, 64)
    assert results["mean_ab"]["ab"] == [0.03, 0.06]
    assert f"| {results['psnr']:.2f} " in result.stdout
    assert {item["file"] for item in results["skipped_files"]} == {"gray.jpg", "broken.jpeg"}
    assert "gray.jpg" in result.stderr
    assert "broken.jpeg" in result.stderr
    with Image.open(out / "r.png") as sheet:
        assert sheet.width > 3 * 192


@pytest.fixture
def run_here(monkeypatch, capsys):
    """Runs the command in this process; gives its exit code and the last line on stderr."""
    before = signal.getsignal(signal.SIGTERM)

    def run_main(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            evaluate.main()
        captured = capsys.readouterr()
        assert captured.out == ""
        return ended.value.code, captured.err.strip().splitlines()[-1]

    yield run_main
    signal.signal(signal.SIGTERM, before)


def test_style_is_refused_by_a_model_that_has_one(run_here, tiny_run, sample_photos):
    code, line = run_here("--model", tiny_run, "--data", sample_photos, "--style", "vivid")
    assert code == 2
    assert "--style vivid" in line
    assert str(tiny_run) in line


def test_failures_exit_with_1_and_one_line(run_here, tiny_run, tmp_path):
    code, line = run_here("--model", tiny_run, "--data", tmp_path)
    assert code == 1
    assert line == f"error: {tmp_path}: holds no .jpg or .jpeg file"
    code, line = run_here("--model", tmp_path / "nowhere", "--data", tmp_path)
    assert code == 1
    assert str(tmp_path / "nowhere") in line


def test_model_that_does_not_say_how_it_resizes(run_here, tiny_run, sample_photos, tmp_path):
    run_folder = shutil.copytree(tiny_run, tmp_path / "run")
    statistics = json.loads((run_folder / "statistics.json").read_text(encoding="utf-8"))
    del statistics["resize"]
    (run_folder / "statistics.json").write_text(json.dumps(statistics), encoding="utf-8")
    code, line = run_here("--model", run_folder, "--data", sample_photos)
    assert code == 1
    assert f'{run_folder}: its statistics must give "resize"' in line
