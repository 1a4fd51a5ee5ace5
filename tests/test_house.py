"""The house rules that a program can check: imports go down, and start-up stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "aecli"

# The house from the ground up. A module imports only from rows below its own, inside a room too;
# a name with a star stands for all modules of its folder.
HOUSE = """
errors cores background_import printable signals clock csv_text
addresses memory validated extras
json_text remote.store
files noise
remote.http
remote.buckets
remote.objects
remote.output
config pixels labels plot.library model.rounding
kept run.part python_errors
data.source tensor_file run.array_job
npy data.named_arrays data.stretch data.progress data.reading data.rows run.states run.points
plot.names plot.planes
model.layers plot.colors plot.limits plot.tiles score.metrics
processes.cluster processes.native
processes.watch
device compile_cache schedules data.splits data.stored data.encoded data.fetch run.folder
data.idx data.npz_file data.tar_file data.parquet_file data.workers run.provenance
plot.raster plot.legend model.references data.image_file processes.group
data.label_files data.feature_file data.decoding
data.survey
run.codes
plot.options
plot.values
data.cache data.dataset data.remote_array data.arrays data.layout data.hdf5_file
model.dense model.sparse model.vae plot.save
data.format data.ranges data.shapes data.describe data.digits data.encoded_dataset
model.conv plot.images plot.history score.bound
data.single_array data.archive
data.formats.* model
data.formats data.named data.staged model.parameters model.sizes losses
data.catalogue data.own_files model.autoencoder
data
run.checkpoint pca run.parts
run.by_features run.origin run.in_memory interactive
run.reopen features show plot.maps merge
encode
subject plot.mosaics
plot.pictures
plot.kinds plot.on_axes neighbors references
denoise train.stream train.supervision train.step train.environment
explore.blocks
explore.sheets explore.html explore.network explore.drawing
score.baselines train.evaluation train.prepare train.verdict train.job train.pictures encode_job
train.tensorboard
score.scores score.likelihood train.epochs train.saving score.job explore.job
train.sharded
train.loop score.stability
score.seeds score.points score.table score.duplicates
score.report export.options
score.comparison export.interface
export.graph export.proof export.points
export.onnx_files export.torch_files export.projector
export.hub
export.formats
estimator datasets score.on_arrays
cli.stdout
cli.console
cli.options cli.warnings cli.environment
cli.*
cli
__main__
"""
ROWS = {module: row for row, modules in enumerate(HOUSE.split("\n")) for module in modules.split()}
# Folders whose `__init__.py` is a docstring alone.
ROOMS = ("explore", "export", "plot", "processes", "remote", "run", "score", "train")


def _module(path: Path) -> str:
    """Return the name of a module below `aecli`; a folder has that of its `__init__.py`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module(path): path for path in PACKAGE.rglob("*.py")}
del MODULES[""]


def _row(module: str) -> int:
    return ROWS[module] if module in ROWS else ROWS[f"{module.rpartition('.')[0]}.*"]


def _imports(module: str) -> set[str]:
    """Return the modules that a module imports, at the top or inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "aecli":
            assert node.module is not None
            base = node.module.partition(".")[2]
            inner = {f"{base}.{alias.name}".strip(".") for alias in node.names}
            names |= {name if name in MODULES else base for name in inner}
        elif isinstance(node, ast.Import):
            names |= {a.name.partition(".")[2] for a in node.names if a.name.startswith("aecli.")}
    return names - {"", module}


@pytest.mark.parametrize("module", sorted(set(MODULES) - set(ROOMS)))
def test_imports_only_go_down(module: str) -> None:
    for imported in _imports(module):
        assert _row(imported) < _row(module), f"{module} imports {imported}"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_entered_without_importing_what_is_in_it(room: str) -> None:
    assert not _imports(room)


def test_the_map_of_the_house_names_no_module_that_is_gone() -> None:
    folders = {f"{module.rpartition('.')[0]}.*" for module in MODULES}
    assert set(ROWS) <= set(MODULES) | folders


HEAVY = ("jax", "flax", "optax", "matplotlib", "msgspec", "numpy", "safetensors", "sklearn")


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--help"], HEAVY),
        (["--version"], HEAVY),
        (["train", "--help"], HEAVY),
        (["plot", "--help"], HEAVY),
        (["export", "--help"], (*HEAVY, "onnx")),
        (["data", "show", "--help"], HEAVY),
        (["data", "list"], ("jax", "flax", "optax", "matplotlib", "sklearn")),
        (["plot", "{run}/codes.npy", "--force"], ("jax", "flax", "optax", "sklearn")),
        (["plot", "{run}", "--kind", "history", "--force"], ("jax", "flax", "optax", "sklearn")),
        (["export", "{run}", "--format", "torch"], ("jax", "flax", "optax", "matplotlib", "onnx")),
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
