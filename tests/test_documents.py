"""Each command that a document names: its own parser reads it, and tests run it or say why not."""

import configparser
import os
import re
import shlex

import pytest
from command_lines import ROOT, assert_parses, documented

from models_export import batch

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "pipelines/datasets/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "models_export/deploy").glob("*.md")),
]
COMMANDS = [(path, command.line) for path in DOCUMENTS for command in documented(path)]
# How many a reader of all documents meets at least: so that a silent reader is seen.
AT_LEAST = 80
# What no test runs as it stands, and why.
NOT_RUN = {
    "docker ": "no Docker here; test_deploy.py checks files, commands and flags",
    "kubectl ": "no cluster here; test_deploy.py checks the manifests",
    "sbatch ": "no SLURM here; test_training_recipes.py runs the script with stand-ins",
    "kaggle ": "wants an account",
    "tfds build": "is named to say that it is not used",
    "nvidia-smi": "looks at a GPU's driver",
    "ss -ltnp": "looks at the machine",
    "grep avx ": "looks at the machine",
    "git status": "looks at the clone",
    "source ": "benchmarks/newcomer.py runs it",
    "python3 -m venv ": "benchmarks/newcomer.py runs it",
    "tensorboard ": "benchmarks/newcomer.py runs it",
    "curl ": "test_readme.py runs it",
    "(printf ": "test_readme.py runs it",
}
# Messages of pip, Python and the shell that troubleshooting explains.
FOREIGN = {
    "requires a different Python",
    "No matching distribution found for tensorflow",
    "ensurepip is not available",
    "Illegal instruction (core dumped)",
}
OURS = re.compile(r"python (-m (colorizer|models_export)\.\w+|scripts/\w+\.py)")
paths = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def kind(line: str) -> str:
    """What becomes of a line: "ours", "script", "pip", "python", or the key of `NOT_RUN`."""
    line = re.sub(r"^([A-Z_]+=('[^']*'|\S+) )+", "", line)
    for name, beginning in (
        ("ours", OURS),
        ("script", re.compile(r"scripts/\w+|python benchmarks/")),
        ("pip", re.compile(r"pip install ")),
        ("python", re.compile(r"python -c |import ")),
    ):
        if beginning.match(line):
            return name
    found = [key for key in NOT_RUN if line.startswith(key)]
    assert found, f"{line}: is run by no test, and nothing says why"
    return found[0]


def test_all_documents_are_read():
    assert len(COMMANDS) >= AT_LEAST
    told = {kind(line) for _, line in COMMANDS}
    assert told == {"ours", "script", "pip", "python", *NOT_RUN}


@paths
def test_our_commands_are_understood(path, tmp_path, monkeypatch, import_script):
    for command in documented(path):
        if kind(command.line) != "ours":
            continue
        line = command.line[command.line.index("python ") :]
        words = shlex.split(line)
        # A name alone, or --help, which other tests ask for.
        if len(words) == (3 if words[1] == "-m" else 2) or words[-1] == "--help":
            continue
        assert_parses(line, tmp_path, monkeypatch, import_script)


def test_scripts_are_there():
    for line in (line for _, line in COMMANDS if kind(line) == "script"):
        (path,) = re.findall(r"(?:scripts|benchmarks)/\S+", line)[:1]
        assert (ROOT / path).is_file(), line
        assert path.endswith(".py") or os.access(ROOT / path, os.X_OK), line


def test_what_pip_is_told_to_install_is_ours_to_name():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    for path, line in COMMANDS:
        if kind(line) != "pip":
            continue
        (wanted,) = (word for word in shlex.split(line)[2:] if not word.startswith("--"))
        extra = re.fullmatch(r"(?:\.|photo-colorizer)\[(\w+)\]", wanted)
        if extra:
            assert extra[1] in extras, f"{path}: {line}"
        elif wanted != ".":
            assert re.split(r"[\[=]", wanted)[0] in "".join(extras.values()), f"{path}: {line}"


def test_files_that_containers_and_clusters_are_told_of_are_there():
    named = [
        word
        for _, line in COMMANDS
        if kind(line) in ("docker ", "kubectl ", "sbatch ")
        for word in shlex.split(line)
        if word.startswith("models_export/")
    ]
    assert len(named) >= 8
    for word in named:
        assert (ROOT / word).exists(), word


def test_python_in_sentences_is_sound():
    for path, line in COMMANDS:
        if kind(line) == "python":
            code = shlex.split(line)[2] if line.startswith("python -c ") else line
            compile(code, str(path), "exec")


@pytest.mark.parametrize("runner", ["Dataflow", "Flink", "Spark"])
def test_flags_of_archives_on_many_machines(runner, tmp_path, monkeypatch, import_script):
    text = (ROOT / "models_export/deploy/BATCH.md").read_text(encoding="utf-8")
    (flags,) = re.findall(rf"^\| {runner} \| `(.+)` \|$", text, re.MULTILINE)
    (ends,) = re.findall(r"^\| where \| flags after `(.+)` \|$", text, re.MULTILINE)
    line = f"python -m models_export.batch {ends} {flags}"
    assert_parses(line, tmp_path, monkeypatch, import_script)

    _, beams = batch._apart(shlex.split(line)[3:])
    batch._refuse_unknown(beams)


def source_words() -> str:
    """All texts of the packages, with what is put together from several lines in one piece."""
    files = [
        file
        for package in ("pipelines", "colorizer", "models_export")
        for file in (ROOT / package).rglob("*.py")
    ]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    return re.sub(r'"\s*\n\s*f?"', "", text)


def test_messages_in_troubleshooting_are_the_programs_own():
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (.+?) \| ", text, re.MULTILINE)
    spans = {span for cell in cells for span in re.findall(r"`([^`]+ [^`]+)`", cell)}
    assert spans >= FOREIGN
    messages = spans - FOREIGN
    assert len(messages) >= 35
    words = source_words()
    for message in messages:
        for part in message.split("…"):
            assert part.strip(" :,()") in words, f"{message}: {part!r}"
