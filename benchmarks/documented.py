"""The command lines that a document of the project names, in their order."""

import re
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

# What a span of code within a sentence begins with where it is a command and not a name.
_BEGINNINGS = re.compile(
    r"(python3?|pip|docker|kubectl|sbatch|curl|kaggle|tfds|tensorboard|source|git|nvidia-smi|ss|grep"
    r"|[A-Z_]+=\S+) |nvidia-smi$|scripts/\w+( |$)"
)
_FENCES = ("bash", "sh", "")


class Documented(NamedTuple):
    """A command line, or Python code.

    Attributes:
        section: the second-level heading that it stands under; "" above the first.
        line: as it stands there; lines that end in a backslash are joined.
        is_python: whether it is code for `python -c`.
    """

    section: str
    line: str
    is_python: bool = False


def documented(path: Path) -> list[Documented]:
    """Finds all commands of a Markdown file: blocks of code, and code within sentences."""
    found: list[Documented] = []
    section = ""
    tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "inline" and before is not None and before.type == "heading_open":
            section = token.content if before.tag == "h2" else section
        elif token.type == "fence" and token.info.strip() == "python":
            found.append(Documented(section, token.content, is_python=True))
        else:
            found += [Documented(section, line) for line in _lines(token)]
    return found


def named_files(path: Path) -> dict[str, str]:
    """Gives the contents of files that a document shows: JSON above the command that names them."""
    text = path.read_text(encoding="utf-8")
    shown = re.findall(r"^    (\{.*\})\n\n    .* (\S+\.json)\b", text, re.MULTILINE)
    return {name: content for content, name in shown}


def _lines(token: Token) -> list[str]:
    if token.type == "code_block" or (token.type == "fence" and token.info.strip() in _FENCES):
        joined = re.sub(r"\\\n\s*", "", token.content)
        # A remark behind a command is no part of it.
        lines = [re.split(r"\s\s+# ", line)[0].strip() for line in joined.splitlines()]
        return [line for line in lines if line and not line.startswith(("# ", "{"))]
    spans = [child.content for child in token.children or () if child.type == "code_inline"]
    return [span for span in spans if _BEGINNINGS.match(span)]
