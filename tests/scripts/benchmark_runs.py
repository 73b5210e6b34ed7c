"""Running the scripts of benchmarks/ in tests."""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def benchmark(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs benchmarks/NAME.py."""
    return subprocess.run(
        [sys.executable, BENCHMARKS / f"{name}.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
