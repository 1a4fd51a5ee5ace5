"""Lint the program of the living map, as it stands in the page: `python -m tests.lint_page`.

Its files share one scope, so that only together do they show a name that is missing or unused.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from aecli.explore.html import script

CONFIG = Path(__file__).parents[1] / ".oxlintrc.json"


def main() -> int:
    """Run the linter; return its exit code."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "page.js"
        program.write_text(script())
        linter = Path(sys.executable).with_name("oxlint")
        return subprocess.run([linter, "--config", CONFIG, program], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
