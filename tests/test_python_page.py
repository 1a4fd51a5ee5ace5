"""The examples of the page about Python run, as they stand there."""

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib import pyplot

import aecli
from aecli.cli import main
from aecli.config import RECIPES

PAGE = (Path(__file__).parents[1] / ".github" / "docs" / "python.md").read_text()


def _run(*words: str) -> None:
    assert main(list(words)) == 0


@pytest.mark.filterwarnings("ignore:.*was learned")
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # A small network in place of the recipe's, which takes longer to compile.
    small = replace(RECIPES["plain"], recipe="map", hidden=(32,), epochs=4)
    monkeypatch.setitem(RECIPES, "map", small)
    shown: list[str] = []
    names: dict[str, Any] = {"run": _run, "IFrame": lambda page, **size: shown.append(page)}
    # What a notebook has, and the tests do not.
    page = PAGE.replace("from IPython.display import IFrame\n", "")
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        lines = [
            f"run(*{shlex.split(line)[1:]})" if line.startswith("!aecli ") else line
            for line in block.splitlines()
        ]
        exec("\n".join(lines), names)
    assert names["codes"].shape == (360, 2)
    assert names["images"].shape == (360, 8, 8, 1)
    assert 50 < names["images"].max() <= 255
    assert names["accuracy"] > 0.2
    assert (tmp_path / "map.png").is_file()
    assert names["halfway"].shape == (1, 8, 8, 1)
    assert "<html" in Path(shown[0]).read_text()
    pyplot.close("all")


def test_every_public_name_is_explained() -> None:
    assert set(re.findall(r"^\| `aecli\.(\w+)` \|", PAGE, re.MULTILINE)) == set(aecli.__all__)
