"""Files of others are data: nothing that reads one may run what is in it.

Ruff's S rules see eval, pickle.load, yaml.load and the like; what they do not know is looked for
here, in every Python file that is not a test.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("pipelines", "colorizer", "models_export", "scripts", "benchmarks")
# What a call of that name must say.
REQUIRED = {
    "load_model": ("safe_mode", True),
    "clone_from_config": ("safe_mode", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "np.save": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
}
FORBIDDEN = {
    "enable_unsafe_deserialization",
    "Unpickler",
    "py_function",
    "dill",
    "joblib",
    "cloudpickle",
    "marshal",
    "shelve",
}
# Ours, a method without a file.
OWN = {("models_export/batch.py", "handler.load_model")}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def faults_of(source: str, name: str) -> list[str]:
    """What is unsafe in a file, in words."""
    tree = ast.parse(source)
    faults = []
    for function, call in calls(tree):
        last = function.rpartition(".")[2]
        required = REQUIRED.get(function) or REQUIRED.get(last)
        if required and (name, function) not in OWN:
            given = {one.arg: one.value for one in call.keywords}.get(required[0])
            if not (isinstance(given, ast.Constant) and given.value is required[1]):
                faults.append(f"{name}:{call.lineno}: {function} without {required[0]}")
    for node in ast.walk(tree):
        words = {
            ast.Attribute: lambda node: [node.attr],
            ast.Name: lambda node: [node.id],
            ast.Import: lambda node: [one.name for one in node.names],
            ast.ImportFrom: lambda node: [node.module, *(one.name for one in node.names)],
        }.get(type(node), lambda node: [])(node)
        faults += [f"{name}: {word}" for word in words if word in FORBIDDEN]
    return faults


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_call_that_loads_is_safe(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    faults = [
        fault
        for path in files
        for fault in faults_of(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
    ]
    assert faults == []


@pytest.mark.parametrize(
    "source",
    [
        "keras.models.load_model(path, compile=False)",
        "load_model(path, safe_mode=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "keras.config.enable_unsafe_deserialization()",
        "from pickle import Unpickler",
        "import marshal",
    ],
)
def test_what_is_unsafe_is_seen(source: str) -> None:
    assert len(faults_of(source, "some.py")) == 1


def test_tensors_are_read_without_the_unpickler() -> None:
    source = (ROOT / "colorizer/pretrained/tensor_pickle.py").read_text(encoding="utf-8")
    used = {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "pickle"
    }
    # Names of opcodes, nothing that could be called.
    assert used and all(name.isupper() for name in used)
