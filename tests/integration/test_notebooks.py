"""Every notebook is committed clean, imports its networks, and runs from first cell to last."""

import ast
import asyncio
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)

# What would make a network in the notebook itself.
BUILDING = {"Model", "Sequential", "Layer", "layers", "Conv2D", "Dense"}


def cells(path: Path, kind: str) -> list[str]:
    return [
        cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind
    ]


def syntax(path: Path) -> Iterator[ast.AST]:
    """All that the notebook's code consists of, its magics turned into Python."""
    for source in cells(path, "code"):
        yield from ast.walk(ast.parse(TransformerManager().transform_cell(source)))


def test_there_are_seven_and_the_readme_lists_them():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"0{number}" for number in range(1, 8)]
    assert all(f"(notebooks/{path.name})" in readme for path in NOTEBOOKS)


@each_notebook
def test_is_committed_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None
    assert path.stat().st_size < 50_000


@each_notebook
def test_defines_no_model(path):
    for node in syntax(path):
        assert not isinstance(node, ast.ClassDef)
        if isinstance(node, ast.Attribute | ast.Name):
            assert (node.attr if isinstance(node, ast.Attribute) else node.id) not in BUILDING
        if isinstance(node, ast.ImportFrom):
            assert not BUILDING & {name.name for name in node.names}


@each_notebook
def test_headings_are_in_english_and_vietnamese(path):
    headings = [
        line
        for text in cells(path, "markdown")
        for line in text.splitlines()
        if line.startswith("#")
    ]
    assert len(headings) > 4
    for heading in headings:
        english, vietnamese = heading.split(" / ")
        assert english.isascii() and not vietnamese.isascii()


@each_notebook
def test_names_no_place_of_one_machine(path):
    for source in cells(path, "code") + cells(path, "markdown"):
        assert not re.search(r"(^|[\s\"'(])(/(home|root|tmp|mnt|Users|content)\b|~/)", source)


@pytest.fixture(scope="module")
def executions(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Path, Future[NotebookNode]]]:
    """Runs the notebooks that were chosen, two at once; the last first, which is no short one."""
    chosen = [
        item.callspec.params["path"]
        for item in request.session.items
        if getattr(item, "originalname", None) == "test_runs_top_to_bottom"
    ]
    folders = {path: _folder_for(path, tmp_path_factory.mktemp(path.stem)) for path in chosen}
    seconds: dict[str, float] = {}

    def execute(path: Path) -> NotebookNode:
        notebook = nbformat.read(path, as_version=4)
        resources = {"metadata": {"path": str(folders[path])}}
        began = time.monotonic()
        # A loop of its own, closed in the end; `execute` leaves one open in each thread.
        asyncio.run(NotebookClient(notebook, timeout=300, resources=resources).async_execute())
        seconds[path.stem] = time.monotonic() - began
        return notebook

    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        yield {path: pool.submit(execute, path) for path in reversed(chosen)}
    seconds["together"] = time.monotonic() - began
    told = ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        print(f"\nnotebooks: {told}")


def _folder_for(path: Path, scratch: Path) -> Path:
    """Where the notebook runs: in notebooks/, but for the first, beside the repository: on Colab.

    What it writes stays out of the checkout.
    """
    repository = scratch / "photo-colorizer"
    (repository / "notebooks").mkdir(parents=True)
    for name in ("samples", "docs"):
        (repository / name).symlink_to(ROOT / name)
    return scratch if path == NOTEBOOKS[0] else repository / "notebooks"


@each_notebook
def test_runs_top_to_bottom(path, executions):
    notebook = executions[path].result()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in shown)
    told = [output for output in shown if output.output_type == "stream"]
    # Neither warnings nor TensorFlow's start-up remarks.
    assert not [output.text for output in told if output.name == "stderr"]
    assert not [output.text for output in told if "WARNING" in output.text]
