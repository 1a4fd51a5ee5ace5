"""The house rules that a program can check: imports go down, and start-up stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "aecli"
FLOORS = {
    "__main__": 11,
    "cli": 10,
    "console": 9,
    "score": 8,
    "stability": 8,
    "train": 7,
    "baselines": 6,
    "encode": 7,
    "plot": 7,
    "show": 7,
    "epoch": 6,
    "neighbors": 5,
    "checkpoint": 4,
    "stream": 4,
    "device": 4,
    "programs": 4,
    "model": 4,
    "pca": 4,
    "parameters": 3,
    "objective": 3,
    "schedule": 3,
    "metrics": 3,
    "data": 3,
    "runs": 3,
    "codes": 3,
    "npy": 2,
    "layers": 2,
    "config": 1,
    "cores": 0,
    "files": 1,
    "labels": 1,
    "memory": 1,
    "pixels": 1,
    "errors": 0,
}


def _part(path: Path) -> str:
    """Return the package or module directly under `aecli` that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    """Return the parts of aecli that a file imports, at the top or inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "aecli":
                names |= {alias.name for alias in node.names}
            elif node.module.startswith("aecli."):
                names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("aecli.")}
    return names - {"__version__"}


@pytest.mark.parametrize(
    "path", [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"], ids=str
)
def test_imports_only_go_down(path: Path) -> None:
    part = _part(path)
    for imported in _imports(path) - {part}:
        assert FLOORS[imported] < FLOORS[part], f"{path} imports {imported}"


HEAVY = ("jax", "flax", "optax", "matplotlib", "sklearn", "numpy", "safetensors")


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--help"], HEAVY),
        (["--version"], HEAVY),
        (["train", "--help"], HEAVY),
        (["plot", "--help"], HEAVY),
        (["data", "show", "--help"], HEAVY),
        (["data", "list"], ("jax", "flax", "optax", "matplotlib", "sklearn")),
        (["plot", "{run}/codes.npy", "--force"], ("jax", "flax", "optax", "sklearn")),
        (["plot", "{run}", "--kind", "history", "--force"], ("jax", "flax", "optax", "sklearn")),
        (["show", "{run}"], ("jax", "flax", "optax", "matplotlib", "sklearn")),
    ],
)
def test_commands_import_only_what_they_need(
    arguments: list[str], absent: tuple[str, ...], digits_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for path in digits_run.iterdir():
        (run / path.name).write_bytes(path.read_bytes())
    code = (
        "import sys, numpy; numpy.save(sys.argv[1] + '/codes.npy', numpy.zeros((5, 2)));"
        "[sys.modules.pop(name) for name in list(sys.modules) if name.startswith('numpy')]"
    )
    subprocess.run([sys.executable, "-c", code, str(run)], check=True)
    program = (
        "import sys; from aecli.cli import main; code = main(sys.argv[1:]);"
        "print('modules:', *sys.modules); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *(word.format(run=run) for word in arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.partition("modules:")[2].split())
    assert not loaded & set(absent)
