"""What a benchmark ran on, for the head of its table."""

import platform
from pathlib import Path


def describe_machine() -> str:
    """The processor's name and the Python version."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, Python {platform.python_version()}"
