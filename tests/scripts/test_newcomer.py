"""benchmarks/newcomer.py and benchmarks/documented.py, on commands that take no time."""

import subprocess
import sys
from pathlib import Path

import pytest
from command_lines import documented
from documented import Documented, named_files
from newcomer import Newcomer, Outcome, table

TEXT = """# Title

    pip install .   # a remark

## First part

Say `scripts/demo`, not `demo` or `scripts/name.py`; `python -m this --flag` too.

    {"a.jpg": 1}

    # a remark
    python -m one \\
        --more points.json

```python
print(1)
```

```{directive} x
no command
```

| in a table |
| --- |
| `docker run x` |
"""


def test_commands_are_found_in_order_with_their_sections(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(TEXT, encoding="utf-8")
    assert documented(tmp_path / "page.md") == [
        ("", "pip install .", False),
        ("First part", "scripts/demo", False),
        ("First part", "python -m this --flag", False),
        ("First part", "python -m one --more points.json", False),
        ("First part", "print(1)\n", True),
        ("First part", "docker run x", False),
    ]


def test_a_file_that_is_shown_above_a_command(tmp_path: Path) -> None:
    text = TEXT.replace("    # a remark\n", "").replace("one \\\n       ", "one")
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    assert named_files(tmp_path / "page.md") == {"points.json": '{"a.jpg": 1}'}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    return tmp_path


def test_commands_run_in_the_environment_and_failures_are_told(home: Path) -> None:
    lines = ["which python > found", "exit 3", "pip install '.[gpu]'", "tensorboard --logdir runs"]
    code = Documented("Part", "open('written', 'w').close()\n", is_python=True)
    done = Newcomer(home).follow([*(Documented("Part", line) for line in lines), code])
    assert (home / "found").read_text() == f"{home}/.venv/bin/python\n"
    assert (home / "written").exists()
    which, failed, skipped, server, python = done
    assert which.code == python.code == 0 and which.seconds > 0
    assert failed.code == 3
    assert skipped.skipped and skipped.seconds == 0
    # There is no TensorBoard in this environment.
    assert server.code == 127


def test_a_server_is_ready_when_it_answers_and_is_ended(home: Path, monkeypatch) -> None:
    line = "python -u -m http.server --bind 127.0.0.1 18573"
    monkeypatch.setitem(sys.modules["newcomer"].SERVERS, line[:10], "http://127.0.0.1:18573/")
    ask = "import urllib.request as u; u.urlopen('http://127.0.0.1:18573/')\n"
    commands = [Documented("Part", line), Documented("Part", ask, is_python=True)]
    newcomer = Newcomer(home)
    assert [outcome.code for outcome in newcomer.follow(commands)] == [0, 0]
    assert newcomer.follow(commands[1:])[0].code == 1


def test_the_table_is_markdown() -> None:
    rows = [Outcome("A", "a | b", 1.23, 0), Outcome("A", "c", 0.0, 0, "too long")]
    assert table(rows).splitlines()[2:] == [
        "| A | `a \\| b` | 1.2 | 0 |",
        "| A | `c` | not run: too long |  |",
        "| | 1 commands | 1 | |",
    ]
