"""The how-tos, word by word: every command of each page, in its order, on the sample photos."""

import shlex
from pathlib import Path

import pytest
from command_lines import QUICK, ROOT, documented, furnished, ran

FOLDER = ROOT / "docs" / "how_to"
# Comparing wants what training on one's own photos leaves behind.
PAGES = ("album", "own_photos", "compare", "adversarial", "serve")
# test_readme.py runs these, on an export that is made in the same way.
SERVING = ("models_export.serve", "models_export.client")


@pytest.mark.slow
def test_all_pages(tmp_path: Path) -> None:
    assert {page.stem for page in FOLDER.glob("*.md")} == {"index", *PAGES}
    home = furnished(tmp_path)
    for page in PAGES:
        lines = [command.line for command in documented(FOLDER / f"{page}.md")]
        assert lines
        for line in lines:
            module = shlex.split(line)[2]
            if module not in SERVING:
                ran(home, f"{line} {QUICK}" if module == "colorizer.fit" else line)
    for page in ("colours", "colours_vivid", "colours_soft", "colours_mine"):
        assert len(list((home / page).iterdir())) == len(list((home / "old_album").iterdir()))
    for name in ("mine.png", "compared.png", "compared.json", "compared.md"):
        assert (home / name).stat().st_size > 0
    assert (home / "exported" / "colorizer" / "1" / "saved_model.pb").is_file()
