import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from colorizer import evaluate, load

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
    flags = ("model", "data", "style", "limit", "json", "sheet", "markdown", "batch-size")
    for flag in (*flags, "against", "no-kid", "fid-weights"):
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


def few_photos(sample_photos: Path, folder: Path, count: int = 3) -> Path:
    folder.mkdir()
    for photo in sorted((sample_photos / "val").rglob("*.jpg"))[:count]:
        shutil.copy(photo, folder)
    return folder


def repainted(tiny_run: Path, folder: Path, name: str = "other") -> Path:
    """A run like the tiny one, but with weights of its own."""
    model = keras.models.load_model(tiny_run / "model.keras")
    for weight in model.trainable_weights:
        weight.assign(3.0 * weight)
    run_folder = shutil.copytree(tiny_run, folder / name)
    model.save(run_folder / "model.keras")
    return run_folder


def test_whole_command(tiny_run, sample_photos, tmp_path):
    data = few_photos(sample_photos, tmp_path / "ảnh")
    Image.fromarray(np.tile(np.arange(64, dtype="uint8") * 4, (64, 1))).save(data / "gray.jpg")
    (data / "broken.jpeg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    other = repainted(tiny_run, tmp_path)
    out = tmp_path / "out"
    result = run(
        *("--model", tiny_run, "--data", data, "--batch-size", "2", "--against", other, tiny_run),
        *("--json", out / "r.json", "--markdown", out / "r.md", "--sheet", out / "r.png"),
    )
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in out.iterdir()) == ["r.json", "r.md", "r.png"]
    assert result.stdout == (out / "r.md").read_text(encoding="utf-8")
    results = json.loads((out / "r.json").read_text(encoding="utf-8"))
    assert (results["images"], results["skipped"], results["image_size"]) == (3, 2, 64)
    assert results["mean_ab"]["ab"] == [0.03, 0.06]
    assert f"| {results['psnr']:.2f} " in result.stdout
    assert f"| {1000 * results['kid']:.2f} [" in result.stdout
    assert results["intervals"]["kid_features"] == "EfficientNet-Lite1"
    compared, same = results["against"]
    assert (compared["model"], same["model"]) == (str(other), str(tiny_run))
    assert compared["psnr"] != results["psnr"]
    assert compared["kid"] != results["kid"]
    assert (same["psnr"], same["kid"]) == (results["psnr"], results["kid"])
    for interval in same["intervals"]["model_minus_this"].values():
        assert interval == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert f"| model - {other} " in result.stdout
    assert {item["file"] for item in results["skipped_files"]} == {"gray.jpg", "broken.jpeg"}
    assert "gray.jpg" in result.stderr
    assert "broken.jpeg" in result.stderr
    with Image.open(out / "r.png") as sheet:
        assert sheet.width > 5 * 192


@pytest.fixture
def run_here(monkeypatch, capsys):
    """Runs the command in this process; gives its exit code and the last line on stderr."""
    before = signal.getsignal(signal.SIGTERM)

    def run_main(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            evaluate.main()
        captured = capsys.readouterr()
        assert bool(captured.out) == (ended.value.code == 0)
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


def test_one_photo_has_no_kid(tiny_run, sample_photos, tmp_path, monkeypatch, capfd):
    data = few_photos(sample_photos, tmp_path / "one", 1)
    monkeypatch.setattr(
        sys,
        "argv",
        ["evaluate", "--model", str(tiny_run), "--data", str(data), "--json", str(data / "r.json")],
    )
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        evaluate.main()
    signal.signal(signal.SIGTERM, before)
    captured = capfd.readouterr()
    assert ended.value.code == 0
    assert "KID is left out: it needs at least 2 photos, there is 1" in captured.err
    assert "KID" not in captured.out
    results = json.loads((data / "r.json").read_text(encoding="utf-8"))
    assert results["images"] == 1
    assert "kid" not in results


def test_models_that_see_photos_differently_are_not_compared(
    run_here, tiny_run, sample_photos, tmp_path
):
    other = shutil.copytree(tiny_run, tmp_path / "cropping")
    statistics = json.loads((other / "statistics.json").read_text(encoding="utf-8"))
    statistics["resize"] = "crop"
    (other / "statistics.json").write_text(json.dumps(statistics), encoding="utf-8")
    code, line = run_here("--model", tiny_run, "--data", sample_photos, "--against", other)
    assert code == 1
    assert f"{other}: sees photos at 64x64 (crop), {tiny_run} at 64x64 (squash)" in line
    code, line = run_here(
        "--model", tiny_run, "--data", sample_photos, "--against", tiny_run, tiny_run
    )
    assert code == 2
    assert f"--against {tiny_run}: is named twice" in line


def test_models_may_bear_the_names_of_rows(tiny_run, tmp_path, monkeypatch):
    shutil.copytree(tiny_run, tmp_path / "gray")
    shutil.copytree(tiny_run, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    arguments = evaluate.EvaluateArguments(data=tmp_path, against=(Path("gray"), Path("model")))
    assert list(evaluate._against(load(tiny_run), arguments)) == ["./gray", "./model"]


def test_fid_without_its_weights_names_the_file(
    run_here, tiny_run, sample_photos, tmp_path, monkeypatch
):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    common = ("--model", tiny_run, "--data", sample_photos, "--no-kid")
    code, line = run_here(*common, "--fid")
    assert code == 2
    name = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert f"{tmp_path / 'models' / name}: no such file" in line
    code, line = run_here(*common, "--fid-weights", tmp_path / "mine.h5")
    assert code == 2
    assert f"{tmp_path / 'mine.h5'}: no such file" in line
