import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from colorizer import colorize

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def photo(sample_photos: Path) -> np.ndarray:
    """uint8 (256, 256): something that films can pan over."""
    import cv2

    gray = cv2.imread(str(min((sample_photos / "train").rglob("*.jpg"))), cv2.IMREAD_GRAYSCALE)
    return cv2.resize(gray, (256, 256), interpolation=cv2.INTER_AREA)


@pytest.fixture
def command(
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Run]:
    """Runs `colorize` in an empty folder; gives the exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments: object, model: Path | None = tiny_run) -> tuple[int, str, str]:
        named = [] if model is None else ["--model", str(model)]
        monkeypatch.setattr(sys, "argv", ["colorize", *map(str, arguments), *named])
        with pytest.raises(SystemExit) as ended:
            colorize.main()
        written = capsys.readouterr()
        return int(ended.value.code or 0), written.out, written.err

    yield run
    signal.signal(signal.SIGTERM, before)
