import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import colorizer
from models_export import signatures, verification
from models_export.export import export_run
from models_export.signatures import write_saved_model
from models_export.verification import PYTHON_OPS, TOLERANCES, graph_ops
from pipelines.errors import ColorizerError, UsageError

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples" / "photos"

# Runs without Keras, tensorflow-io and this project's packages, as TensorFlow Serving does.
FRESH_PROCESS = """
import json, sys
for name in ("keras", "tensorflow_io", "pipelines", "colorizer", "models_export"):
    sys.modules[name] = None
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

folder, ops = sys.argv[1], json.loads(sys.argv[2])
signatures = tf.saved_model.load(folder).signatures
unknown = [op for op in ops if op_def_registry.get(op) is None]
ab = signatures["predict_ab"](lightness=tf.zeros([2, 40, 70, 1]))["ab"]
rgb = tf.zeros([1, 30, 20, 3], tf.uint8)
colorized = signatures["colorize_rgb"](rgb=rgb)["colorized"]
files = tf.stack([tf.io.encode_jpeg(rgb[0]), tf.io.encode_png(rgb[0, :9])])
answers = {
    name: signatures[name](image_bytes=files)["colorized_bytes"]
    for name in ("serving_default", "colorize_bytes")
}
print(json.dumps({
    "unknown": unknown,
    "ab": ab.shape.as_list(),
    "colorized": colorized.shape.as_list(),
    "bytes": {
        name: [tf.io.decode_png(file).shape.as_list() for file in answer]
        for name, answer in answers.items()
    },
}))
"""


@pytest.fixture(scope="module")
def exported(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_run(tiny_run, tmp_path_factory.mktemp("base"))


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "models_export.export", *map(str, arguments)]


def execute(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # As users have it: the command itself settles what TensorFlow may say.
    own = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=own,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_version_folder_is_whole(exported: Path, tiny_run: Path) -> None:
    assert exported.parts[-2:] == ("colorizer", "1")
    assert [child.name for child in exported.parent.iterdir()] == ["1"]
    for name in ("saved_model.pb", "variables/variables.index", "assets.extra/export.json"):
        assert (exported / name).is_file()
    own, of_run = exported / "assets.extra" / "statistics.json", tiny_run / "statistics.json"
    assert json.loads(own.read_text()) == json.loads(of_run.read_text())


def test_without_a_run_the_shipped_network_is_exported(tmp_path: Path) -> None:
    export = colorizer.load(export_run(None, tmp_path, style="vivid"))
    assert export.provenance == colorizer.load().styled("vivid").provenance
    lightness = np.random.default_rng(0).uniform(-1, 1, (1, 256, 256, 1)).astype(np.float32)
    expected = colorizer.load().styled("vivid").predict_ab(lightness)
    np.testing.assert_allclose(export.predict_ab(lightness), expected, atol=1e-4)


def test_description_states_origin_and_each_difference(exported: Path, tiny_run: Path) -> None:
    text = (exported / "assets.extra" / "export.json").read_text(encoding="utf-8")
    description = json.loads(text)
    assert description["name"] == "colorizer"
    assert description["tensorflow"] == tf.__version__
    assert description["keras"] == keras.__version__
    weights = hashlib.sha256((tiny_run / "model.keras").read_bytes()).hexdigest()
    assert description["provenance"] == {"network": "cnn", "sha256": weights, "settings": {}}
    provenances = [colorizer.load(path).provenance for path in (tiny_run, exported)]
    assert [one.as_json() for one in provenances] == [description["provenance"]] * 2
    assert set(description["signatures"]) == set(TOLERANCES)
    for name, signature in description["signatures"].items():
        assert 0 <= signature["max_difference"] <= signature["tolerance"] == TOLERANCES[name]


def test_signatures_have_the_contracts_names_types_and_shapes(exported: Path) -> None:
    loaded = tf.saved_model.load(str(exported))
    found = {}
    for name, function in loaded.signatures.items():
        specs = function.structured_input_signature[1] | function.structured_outputs
        found[name] = {key: (spec.dtype.name, spec.shape.as_list()) for key, spec in specs.items()}
    of_bytes = {"image_bytes": ("string", [None]), "colorized_bytes": ("string", [None])}
    assert found == {
        "serving_default": of_bytes,
        "colorize_bytes": of_bytes,
        "predict_ab": {
            "lightness": ("float32", [None, None, None, 1]),
            "ab": ("float32", [None, None, None, 2]),
        },
        "colorize_rgb": {
            "rgb": ("uint8", [None, None, None, 3]),
            "colorized": ("uint8", [None, None, None, 3]),
        },
        "colorize_hinted": {**of_bytes, "hints": ("float32", [None, None, 5])},
    }


def test_graph_needs_tensorflow_alone(exported: Path) -> None:
    ops = graph_ops(exported)
    # Ops from inside the functions are among them, not just the calls of those.
    assert {"Conv2D", "DecodeJpeg", "EncodePng", "ScaleAndTranslate"} <= ops
    assert not PYTHON_OPS & ops
    process = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, str(exported), json.dumps(sorted(ops))],
        cwd=exported,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == {
        "unknown": [],
        "ab": [2, 40, 70, 2],
        "colorized": [1, 30, 20, 3],
        "bytes": {
            "serving_default": [[30, 20, 3], [9, 20, 3]],
            "colorize_bytes": [[30, 20, 3], [9, 20, 3]],
        },
    }


def test_existing_version_is_refused_before_anything_is_loaded(exported: Path) -> None:
    base = exported.parent.parent
    with pytest.raises(ColorizerError, match="exists already and is never overwritten"):
        export_run(Path("absent"), base, version=1)


@pytest.mark.parametrize("missing", ["model.keras", "statistics.json"])
def test_unfinished_run_is_a_clear_error(tiny_run: Path, tmp_path: Path, missing: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (run / missing).unlink()
    with pytest.raises(ColorizerError, match=f"not a finished training run: it has no {missing}"):
        export_run(run, tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_damaged_model_is_a_clear_error(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    whole = (run / "model.keras").read_bytes()
    for damaged in (b"", b"no zip", whole[: len(whole) // 2]):
        (run / "model.keras").write_bytes(damaged)
        with pytest.raises(ColorizerError, match=r"model\.keras: not a Keras model"):
            export_run(run, tmp_path / "base")


def test_model_that_is_no_colorizer_is_a_clear_error(tiny_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    model = keras.Sequential([keras.Input((64, 64, 3)), keras.layers.Conv2D(2, 1)])
    model.save(run / "model.keras")
    with pytest.raises(ColorizerError, match=r"model\.keras: a colorizer maps"):
        export_run(run, tmp_path / "base")


@pytest.mark.parametrize(
    "text, reason",
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"image_size": 64}', "mean_ab"),
        ('{"mean_ab": [3.5, 8.0], "image_size": 64}', r"in \[-1, 1\]"),
        ('{"mean_ab": [0.1, 0.1], "image_size": 256}', "the model sees 64"),
    ],
)
def test_wrong_statistics_are_a_clear_error(
    tiny_run: Path, tmp_path: Path, text: str, reason: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (run / "statistics.json").write_text(text, encoding="utf-8")
    with pytest.raises(ColorizerError, match=rf"statistics\.json: .*{reason}"):
        export_run(run, tmp_path / "base")


def test_shards_that_tensorflow_leaves_behind_are_removed(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaving_shards(model: Any, folder: Path, *arguments: Any) -> None:
        write_saved_model(model, folder, *arguments)
        temporary = folder / "variables" / "variables_temp"
        temporary.mkdir(exist_ok=True)
        (temporary / "part-00000-of-00001.index").touch()

    monkeypatch.setattr(signatures, "write_saved_model", leaving_shards)
    folder = export_run(tiny_run, tmp_path)
    assert not (folder / "variables" / "variables_temp").exists()


def test_failed_verification_leaves_nothing(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(verification.TOLERANCES, "predict_ab", -1.0)
    with pytest.raises(ColorizerError, match="exported predict_ab differs"):
        export_run(tiny_run, tmp_path / "base")
    assert list(tmp_path.iterdir()) == []


def test_name_and_version_are_checked(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="version must be 1 or more"):
        export_run(tiny_run, tmp_path, version=0)
    with pytest.raises(UsageError, match="name must be"):
        export_run(tiny_run, tmp_path, name="../elsewhere")


def test_command_prints_the_path_alone(tiny_run: Path, tmp_path: Path) -> None:
    process = execute("--run", tiny_run, "--output", tmp_path, "--name", "cnn", "--version", "7")
    assert process.returncode == 0, process.stderr
    assert process.stdout == f"{tmp_path / 'cnn' / '7'}\n"
    for name in TOLERANCES:
        assert f"{name}: max difference " in process.stderr


@pytest.mark.parametrize(
    ("arguments", "name", "file"),
    [
        (("--format", "onnx"), "colorizer_onnx", "model.onnx"),
        (
            ("--format", "litert", "--quantize", "int8", "--calibration", SAMPLES / "val"),
            "colorizer_litert_int8",
            "model.tflite",
        ),
    ],
)
def test_command_writes_other_formats(
    tiny_run: Path, tmp_path: Path, arguments: tuple[str | Path, ...], name: str, file: str
) -> None:
    process = execute("--run", tiny_run, "--output", tmp_path, *arguments)
    assert process.returncode == 0, process.stderr
    folder = tmp_path / name / "1"
    assert process.stdout == f"{folder}\n"
    told = r"exporting .*\nverifying: .*\n  model\..* MB: difference .*\(allowed .*\)\n"
    assert re.fullmatch(told, process.stderr)
    assert {child.name for child in folder.iterdir()} == {file, "assets.extra"}
    description = json.loads((folder / "assets.extra" / "export.json").read_text())
    assert description["name"] == name and description["format"] == arguments[1]
    assert 0 < description["mean_difference"] <= description["max_difference"] < 1
    assert description["input"]["shape"] == [None, 64, 64, 1]
    statistics = json.loads((folder / "assets.extra" / "statistics.json").read_text())
    assert statistics == json.loads((tiny_run / "statistics.json").read_text())


def test_quantization_goes_with_litert_and_int8_with_photos(tiny_run: Path, tmp_path: Path) -> None:
    for wrong, words in (
        ({"quantize": "float16"}, "is for --format litert"),
        ({"export_format": "onnx", "quantize": "int8"}, "is for --format litert"),
        ({"export_format": "litert", "quantize": "int8"}, "needs --calibration"),
        ({"export_format": "litert", "calibration": SAMPLES}, "is for --quantize int8"),
    ):
        with pytest.raises(UsageError, match=words):
            export_run(tiny_run, tmp_path / "base", **wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_base_holds_one_format(exported: Path, tiny_run: Path) -> None:
    base = exported.parent.parent
    with pytest.raises(UsageError, match="another format: give another --name"):
        export_run(tiny_run, base, "colorizer", export_format="onnx")


def test_failed_verification_of_a_network_leaves_nothing(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = verification.Difference(max=-1.0, mean=-1.0)
    monkeypatch.setitem(verification.NETWORK_TOLERANCES, None, bound)
    with pytest.raises(ColorizerError, match="exported network differs"):
        export_run(tiny_run, tmp_path / "base", export_format="litert")
    assert list(tmp_path.iterdir()) == []


def test_command_fails_with_one_line(tmp_path: Path) -> None:
    process = execute("--run", tmp_path / "absent", "--output", tmp_path)
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr.startswith("error: ") and process.stderr.count("\n") == 1
    assert "model.keras" in process.stderr


def test_command_refuses_wrong_usage(tmp_path: Path) -> None:
    assert execute("--run", tmp_path).returncode == 2
    assert execute("--run", tmp_path, "--output", tmp_path, "--version", "0").returncode == 2
    assert execute("--output", tmp_path, "--format", "onnx", "--quantize", "int8").returncode == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT")
def test_interrupt_leaves_nothing(tiny_run: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        command("--run", tiny_run, "--output", tmp_path / "base"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stderr
        while not (line := process.stderr.readline()).startswith("verifying"):
            assert line, "ended before it verified"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
        assert process.wait(timeout=300) == 130
    assert list(tmp_path.iterdir()) == []


def test_help_does_not_import_tensorflow() -> None:
    code = "import sys, models_export.export; print({'tensorflow', 'keras'} & set(sys.modules))"
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert process.stdout == "set()\n"
