"""README and --help say the same."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from aecli.cli import app
from aecli.config import RECIPES, choose_recipe, flag
from aecli.errors import AecliError, InputError

README = (Path(__file__).parents[1] / "README.md").read_text()


def _commands(group: Any, prefix: str = "") -> dict[str, Any]:
    """Return the commands of a group and of the groups in it, by the words that call them."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        inner = hasattr(command, "commands")
        found |= _commands(command, f"{name} ") if inner else {prefix + name: command}
    return found


COMMANDS = _commands(get_command(app))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_explained(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert "Examples" in command.help
    for parameter in command.params:
        assert parameter.help, f"{name} {parameter.name} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_stands_in_the_readme(name: str) -> None:
    rest = README.partition(f"### `aecli {name}`")[2]
    assert rest, f"the README has no section on aecli {name}"
    section = rest.partition("\n### ")[0].partition("\n## ")[0]
    for parameter in COMMANDS[name].params:
        for option in [option for option in parameter.opts if option.startswith("--")]:
            assert f"`{option}" in section, f"the README does not name {option} of aecli {name}"


def test_the_readme_has_the_defaults_of_the_recommended_recipe() -> None:
    for name, value in choose_recipe("plain").to_json().items():
        row = re.search(rf"^\| `{flag(name)}`[^|]*\| ([^|]*) \|", README, re.MULTILINE)
        assert row, f"the README has no default of {flag(name)}"
        shown = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        words = {"True": "on", "False": "off", "None": "off"}
        assert row[1].strip("`") == words.get(shown, shown)


def test_the_readme_names_no_option_that_is_gone() -> None:
    known = {
        flag for c in COMMANDS.values() for p in c.params for flag in p.opts + p.secondary_opts
    }
    known |= {"--help", "--version", "--install-completion"}
    assert set(re.findall(r"`(--[a-z0-9-]+)", README)) <= known


def test_every_recipe_and_exit_code_stands_in_the_readme() -> None:
    for recipe in RECIPES:
        assert f"`{recipe}`" in README
    for code in (0, AecliError.exit_code, InputError.exit_code, 130, 143):
        assert f"| {code} |" in README
