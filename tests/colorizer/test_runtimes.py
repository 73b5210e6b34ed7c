import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest

from colorizer import Hint, load
from colorizer.models.dcgan import build_dcgan_generator
from colorizer.runtimes import NETWORK_FILES, compile_network, format_of, load_network
from models_export.export import export_run
from pipelines.errors import ColorizerError, UsageError

FORMATS = ("litert", "onnx")


@pytest.fixture(scope="module")
def exports(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("exports")
    return {name: export_run(tiny_run, base, export_format=name) for name in FORMATS}


def lightness_of(count: int, side: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.uniform(-1, 1, (count, side, side, 1)).astype(np.float32)


def test_a_compiled_network_answers_as_its_weights_were(tiny_run: Path) -> None:
    network = keras.models.load_model(tiny_run / "model.keras", compile=False)
    predict = compile_network(network, 64)
    lightness = lightness_of(3, 64)
    expected = network(lightness, training=False).numpy()
    np.testing.assert_allclose(predict(lightness), expected, atol=1e-5)
    for weight in network.weights:
        weight.assign(np.zeros(weight.shape))
    np.testing.assert_allclose(predict(lightness), expected, atol=1e-5)
    assert np.abs(expected).max() > 1e-3


def test_a_compiled_network_goes_on_drawing() -> None:
    network = build_dcgan_generator(32, noise_at_inference=True, noise_seed=1)
    predict = compile_network(network, 32)
    lightness = lightness_of(1, 32)
    assert np.abs(predict(lightness) - predict(lightness)).max() > 0


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_colours_as_its_run_does(
    exports: dict[str, Path], tiny_run: Path, name: str
) -> None:
    run = load(tiny_run)
    for path in (exports[name], exports[name].parent):
        export = load(path)
        assert export.image_size == run.image_size and export.mean_ab == run.mean_ab
        random = np.random.default_rng(0)
        for shape in ((3, 64, 64, 1), (1, 40, 90, 1), (2, 64, 64, 1)):
            lightness = random.uniform(-1, 1, shape).astype(np.float32)
            np.testing.assert_allclose(
                export.predict_ab(lightness), run.predict_ab(lightness), atol=1e-5
            )
        photo = random.integers(0, 256, (50, 70, 3), dtype=np.uint8)
        for hints in ((), (Hint(x=20, y=30, colour="#cc2211"),)):
            apart = export.colorize(photo, hints=hints).astype(int) - run.colorize(
                photo, hints=hints
            )
            assert np.abs(apart).max() <= 1
        with pytest.raises(UsageError, match="one style only"):
            export.styled("vivid")


@pytest.mark.parametrize("name", FORMATS)
def test_results_outlive_the_next_call(exports: dict[str, Path], name: str) -> None:
    predict = load_network(exports[name], 64)
    first = predict(np.zeros((1, 64, 64, 1), np.float32))
    kept = first.copy()
    predict(np.ones((1, 64, 64, 1), np.float32))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("name", FORMATS)
def test_threads_may_share_one(exports: dict[str, Path], name: str) -> None:
    predict = load_network(exports[name], 64)
    random = np.random.default_rng(0)
    batches = [random.uniform(-1, 1, (n, 64, 64, 1)).astype(np.float32) for n in (1, 3, 2) * 20]
    alone = [predict(batch) for batch in batches]
    with ThreadPoolExecutor(4) as threads:
        for ab, expected in zip(threads.map(predict, batches), alone, strict=True):
            np.testing.assert_allclose(ab, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "module"), [("litert", "ai_edge_litert"), ("onnx", "onnxruntime")]
)
def test_without_its_runtime_an_export_is_a_clear_error(
    exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    for part in (module, f"{module}.interpreter"):
        monkeypatch.setitem(sys.modules, part, None)
    with pytest.raises(ColorizerError, match=rf"{module}.*'photo-colorizer\[{name}\]'$"):
        load(exports[name])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_damaged_files_are_clear_errors(
    exports: dict[str, Path], tmp_path: Path, name: str, content: bytes | None
) -> None:
    folder = tmp_path / "export"
    shutil.copytree(exports[name], folder)
    file = folder / NETWORK_FILES[name]
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 3] if content is None else content)
    with pytest.raises(ColorizerError, match="cannot be loaded") as caught:
        load(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_a_network_of_another_size_is_refused(
    exports: dict[str, Path], tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "export"
    shutil.copytree(exports[name], folder)
    statistics = json.loads((folder / "assets.extra" / "statistics.json").read_text())
    changed = json.dumps({**statistics, "image_size": 32})
    (folder / "assets.extra" / "statistics.json").write_text(changed)
    with pytest.raises(ColorizerError, match="sees 64 x 64 x 1, not 32 x 32 x 1 as"):
        load(folder)


def test_a_folder_without_an_export(tmp_path: Path) -> None:
    assert format_of(tmp_path) is None
    with pytest.raises(ColorizerError, match=r"no export .*model\.tflite"):
        load_network(tmp_path, 64)
