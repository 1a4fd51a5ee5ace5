"""README, pages and --help say the same."""

import re
import subprocess
from pathlib import Path

import pytest

from aecli.config import RECIPES, SETTINGS
from aecli.errors import AecliError, InputError
from tests import reference

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = {path.name: path.read_text() for path in (ROOT / ".github").rglob("*.md")}
EVERYTHING = "\n".join([README, *PAGES.values()])
COMMANDS = reference.commands()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_explained(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert "Examples" in command.help
    for parameter in command.params:
        assert parameter.help, f"{name} {parameter.name} has no help"


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    assert PAGES["commands.md"] == reference.page(), "make docs writes it anew"
    for name, command in COMMANDS.items():
        section = PAGES["commands.md"].partition(f"## `aecli {name}`")[2].partition("\n## ")[0]
        for parameter in command.params:
            assert all(f"`{option}`" in section for option in parameter.opts if option[0] == "-")


def test_the_page_of_commands_has_every_setting_of_every_recipe() -> None:
    for name, setting in SETTINGS.items():
        if name != "recipe":
            values = " | ".join(setting.show(getattr(c, name)) for c in RECIPES.values())
            assert re.search(
                rf"^\| `{name}`[^|]*\| {re.escape(values)} \|$", PAGES["commands.md"], re.M
            )


def test_a_stale_page_of_commands_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "PAGE", tmp_path / "commands.md")
    monkeypatch.setattr("sys.argv", ["reference", "--check"])
    assert reference.main() == 1
    assert "make docs writes it anew" in capsys.readouterr().err
    (tmp_path / "commands.md").write_text(reference.page())
    assert reference.main() == 0


def test_the_pages_name_no_option_that_is_gone() -> None:
    known = {
        flag for c in COMMANDS.values() for p in c.params for flag in p.opts + p.secondary_opts
    }
    known |= {"--help", "--version", "--install-completion"}
    assert set(re.findall(r"`(--[a-z0-9-]+)", EVERYTHING)) <= known


def test_every_recipe_and_exit_code_is_documented() -> None:
    for recipe in RECIPES:
        assert f"`{recipe}`" in README
    for code in (0, AecliError.exit_code, InputError.exit_code, 129, 130, 143):
        assert f"| {code} |" in PAGES["durability.md"]


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    assert len(README.encode()) <= 7_000
    for page in [ROOT / "README.md", *(ROOT / ".github").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_commands_in_the_readme_exist() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.partition("#")[0].split() for block in blocks for line in block.splitlines()]
    named = {words[1] for words in lines if words[:1] == ["aecli"]}
    for words in lines:
        if words[:1] == ["aecli"]:
            known = {flag for p in COMMANDS[words[1]].params for flag in p.opts}
            assert {word for word in words if word.startswith("-")} <= known, words
    assert {"train", "encode", "decode", "plot", "explore", "score"} == named <= set(COMMANDS)
    targets = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for words in lines:
        if words[:1] == ["make"]:
            assert re.search(rf"^{words[1]} ", targets.stdout, re.MULTILINE)
