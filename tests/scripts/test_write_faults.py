"""Every write can fail, and every command be killed: what is left then."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest
from benchmark_runs import BENCHMARKS, benchmark
from PIL import Image

# Writes a file and a version folder.
COMMAND = """
import sys
from pathlib import Path
from colorizer.command import run
from colorizer.files import write_json
from models_export.versions import publish

def write():
    out = Path(sys.argv[1])
    write_json(out / "deep" / "scores.json", {"psnr": 24.0})
    if not (out / "colorizer" / "1").exists():
        publish(out, "colorizer", 1, lambda folder: write_json(folder / "a" / "b.json", {}))

run(write)
"""
# Lets each of its calls fail, one at a time.
DRIVER = """
import sys
from pathlib import Path
from write_faults import Bench, Fault
from writing_commands import WritingCommand

bench = Bench(WritingCommand(sys.argv[1], ("OUT",)), Path(sys.argv[2]))
for call in bench.calls:
    for way in ("broken", "read-only"):
        kind, wrong = bench.problems(Fault(call, way))
        print(call.name, way, kind, wrong, sep="|")
"""


def test_what_writes_files_and_folders_bears_every_fault(tmp_path):
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    library, script = tmp_path / "failing_writes.so", tmp_path / "write.py"
    source = BENCHMARKS / "failing_writes.c"
    flags = ("-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-O2")
    subprocess.run(["cc", *flags, "-o", library, source, "-ldl"], check=True)
    script.write_text(COMMAND)
    folders = os.pathsep.join([str(BENCHMARKS), str(BENCHMARKS.parent)])
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, script, tmp_path / "place"],
        env={**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": folders},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines()]
    assert {name for name, *_ in rows} == {
        *("mkdir", "open", "write", "fsync", "rename", "unlink", "rmdir")
    }
    assert sum(kind == "told" for _, _, kind, _ in rows) > 30
    assert [row for row in rows if row[3] != "[]"] == []


def test_a_job_may_report_the_photos_that_are_missing_and_no_others(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    commands = importlib.import_module("writing_commands")

    def report(failed: Sequence[str], done: int) -> None:
        lines = [json.dumps({"source": name, "reason": "no room"}) for name in failed]
        (tmp_path / "errors-00000-of-00001.jsonl").write_text("\n".join(lines))
        counts = {"done": done, "skipped": 0, "passed over": 0, "failed": len(failed)}
        (tmp_path / "summary.json").write_text(json.dumps(counts))

    report([], 2)
    for name in ("lake.png", "hut.png"):
        Image.new("RGB", (2, 2)).save(tmp_path / name)
    whole = commands.contents(tmp_path)
    assert commands.damages(tmp_path, whole) == []
    (tmp_path / "hut.png").unlink()
    report(["hut.jpg"], 1)
    assert commands.damages(tmp_path, whole) == []
    assert commands.failures(tmp_path) == {"hut.jpg": "no room"}
    for failed, done in ((["hut.jpg"], 2), (["hut.jpg", "lake.jpg"], 0)):
        report(failed, done)
        told = ("errors-00000-of-00001.jsonl", "summary.json")
        assert [one.partition(":")[0] for one in commands.damages(tmp_path, whole)] == [*told]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fit", "colorize", "export"])
def test_commands_bear_faults(command):
    done = benchmark("write_faults", "--commands", command, "--ways", "full", "--minutes", "2")
    assert done.returncode == 0, done.stderr
    row = done.stdout.splitlines()[-1].split("|")
    assert row[1].strip() == command and int(row[4].split()[0]) > 3


@pytest.mark.slow
def test_killed_commands_are_taken_up_again():
    done = benchmark("kills", "--kills", "5")
    assert done.returncode == 0, done.stderr
    assert [line.split("|")[2].strip() for line in done.stdout.splitlines()[2:]] == ["1"] * 5
