"""Write `.github/docs/commands.md` from the commands themselves, or check that it is not stale.

python -m tests.reference           # writes the page
python -m tests.reference --check   # ends with 1 where the page is not what would be written
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from aecli.cli import app
from aecli.config import RECIPES, SETTINGS

PAGE = Path(__file__).parents[1] / ".github" / "docs" / "commands.md"

_HEAD = """\
# Commands

Every argument has a default that works. Results go to stdout: the path that was written, or one \
object with `--json`. Everything else goes to stderr. Nothing is overwritten without `--force`.

<!-- Written by `make docs` from the commands themselves; change their help, not this page. -->
"""


def commands(group: Any = None, prefix: str = "") -> dict[str, Any]:
    """Return the commands of a group and of the groups in it, by the words that call them."""
    group = group or get_command(app)
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        inner = hasattr(command, "commands")
        found |= commands(command, f"{name} ") if inner else {prefix + name: command}
    return found


def page() -> str:
    """Return the whole page."""
    sections = [_HEAD]
    for name, command in commands().items():
        sections += [*_section(name, command)]
        if name == "train":
            sections += [*_recipes()]
    return "\n".join(sections) + "\n"


def _section(name: str, command: Any) -> Iterator[str]:
    """Yield the lines of a command: its usage, its help, its options, its examples."""
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    usage = " ".join(_bracketed(one) for one in arguments)
    yield f"## `aecli {name}`{f' {usage}' if usage else ''}\n"
    text, _, examples = command.help.partition("[bold]Examples[/bold]")
    yield f"{text.strip()}\n"
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    yield "\n".join(["```sh", *lines, "```\n"])
    yield "| Option | Default | Meaning |\n|---|---|---|"
    for one in command.params:
        if one.help:
            yield f"| {_names(one)} | {_default(one)} | {_cell(one.help)} |"
    yield ""


def _recipes() -> Iterator[str]:
    """Yield the table of the settings, as each recipe has them."""
    yield "### Settings and recipes\n"
    yield (
        "An option beats its `AECLI_*` variable, which beats the file of `--config`, which beats "
        "the recipe. `--resume` takes the run's own settings; only those marked with a star may "
        "change then.\n"
    )
    yield f"| Setting | {' | '.join(f'`{recipe}`' for recipe in RECIPES)} |"
    yield f"|---|{'---|' * len(RECIPES)}"
    for name, setting in SETTINGS.items():
        if name != "recipe":
            values = (setting.show(getattr(config, name)) for config in RECIPES.values())
            star = "\\*" if "stopping" in setting.affects else ""
            yield f"| `{name}`{star} | {' | '.join(values)} |"
    yield ""


def _bracketed(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`".replace("|", "\\|")
    return ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])


def _default(parameter: Any) -> str:
    shown = parameter.show_default
    if isinstance(shown, str):
        return _cell(shown)
    default = parameter.default
    if default is None or isinstance(default, bool):
        return ""
    return _cell(str(default))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Write the page, or check it."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
        return 0
    if PAGE.exists() and PAGE.read_text() == page():
        return 0
    print(f"{PAGE.name} is not what the commands say: make docs writes it anew", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
