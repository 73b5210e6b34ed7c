"""The documents as a site: built without a warning, whole, and in no need of the network."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from command_lines import ROOT
from test_commands import COMMANDS

# Where a browser fetches by itself what these name.
FETCHING = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("img", "srcset"),
    ("iframe", "src"),
    ("source", "src"),
    ("object", "data"),
}


class Links(HTMLParser):
    """Collects what a page fetches, and where its links lead."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.text = page.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, target in attrs:
            if target and (tag, name) in FETCHING:
                self.fetched.append(target)
            elif target and (tag, name) == ("a", "href"):
                self.links.append(target)


def built(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "docs", folder],
        env=os.environ | {"VENV": sys.prefix},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = built(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{folder}/index.html\n" and done.stderr == ""
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Links]:
    # Below _static lie templates of the theme.
    found = sorted(set(site.rglob("*.html")) - set((site / "_static").rglob("*.html")))
    return {page: Links(page) for page in found}


def test_nothing_is_fetched_from_elsewhere(site, pages):
    assert len(pages) > 20
    fetched = [target for page in pages.values() for target in page.fetched]
    assert len(fetched) > 100
    assert [target for target in fetched if re.match(r"\w+:(?!image/)|//", target)] == []
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"""(url\(|@import)\s*["']?(https?:)?//""", text), sheet


def test_links_lead_somewhere(site, pages):
    for page, links in pages.items():
        for target in [*links.links, *links.fetched]:
            parts = urlsplit(target)
            if not parts.scheme and parts.path:
                assert (page.parent / unquote(parts.path)).exists(), f"{page}: {target}"


def test_the_first_page_leads_to_the_start(site, pages):
    assert "url=docs/index.html" in pages[site / "index.html"].text
    assert "../README.html" in pages[site / "docs" / "index.html"].links


def test_help_of_every_command_is_there(site, pages):
    text = pages[site / "docs" / "commands.html"].text
    for module in COMMANDS:
        assert f"usage: python -m {module} [-h]" in text
        assert f"python -m {module} --" in text or f"python -m {module} old_album/" in text


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("colorizer", ["colorizer.load", "colorizer.inference.Colorizer.colorize"]),
        ("colorizer", ["colorizer.models.unet.build_unet", "colorizer.metrics.psnr.PSNR"]),
        ("pipelines", ["pipelines.color.rgb_to_lab", "pipelines.errors.PhotoError"]),
        (
            "models_export",
            ["models_export.export.export_run", "models_export.client.ServingClient"],
        ),
    ],
)
def test_the_reference_holds_the_public_names(pages, site, page, names):
    text = pages[site / "docs" / "api" / f"{page}.html"].text
    for name in names:
        assert f'id="{name}"' in text


def test_wrong_usage_and_no_environment(tmp_path):
    script = ROOT / "scripts" / "docs"
    wrong = subprocess.run([script, "--nonsense"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "--nonsense" in wrong.stderr
    alone = os.environ | {"VENV": str(tmp_path)}
    missing = subprocess.run([script], env=alone, capture_output=True, text=True)
    assert missing.returncode == 1 and "run scripts/setup first" in missing.stderr
