"""The directive `command-help`: what a command prints for `--help`, read when the site is built."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parent.parent


class CommandHelp(SphinxDirective):
    """`python -m MODULE --help`, word by word.

    Raises:
        CalledProcessError: the command has no help.
    """

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Runs the command."""
        module = self.arguments[0]
        self.env.note_dependency(str(ROOT / f"{module.replace('.', '/')}.py"))
        plain = {"COLUMNS": "80", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
        words = [sys.executable, "-m", module, "--help"]
        done = subprocess.run(
            words, env=os.environ | plain, check=True, capture_output=True, text=True
        )
        return [nodes.literal_block(done.stdout, done.stdout, language="text")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Tells Sphinx of the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}
