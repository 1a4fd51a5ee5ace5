"""The formats of an export: a row of `FORMATS` for each.

A new format is a module with a function `write` and a row here; the choices of `aecli export
--format` and their help follow. Importing this module imports nothing heavy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aecli.errors import InputError
from aecli.extras import require_extra
from aecli.files import refuse_existing, refuse_file, refuse_inputs

if TYPE_CHECKING:
    from aecli.export.options import Exported, ExportOptions

DEFAULT_FORMAT = "onnx"
_ONNX = {"onnx": "onnx", "onnxruntime": "onnxruntime"}
# No option of one format alone.
_OF_ALL_FORMATS = ("replace", "bar", "say")


@dataclass(frozen=True)
class Format:
    """One format.

    `help` is a phrase for the help of `--format`. `takes` says what is exported: a run, or codes
    too. `module` is the one in this folder that writes it, and has the names of its FILES. `reads`:
    the options that mean something to it; it refuses others. `packages`: those of the extra that
    has the format's name, by module.
    """

    name: str
    help: str
    takes: Literal["run", "codes"]
    module: str
    reads: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)

    def refuse_unread(self, options: "ExportOptions") -> None:
        """Raise `InputError` where an option is given that this format does not read."""
        for one in fields(options):
            name = one.name
            if name in (*_OF_ALL_FORMATS, *self.reads) or getattr(options, name) == one.default:
                continue
            readers = ", ".join(other for other, form in FORMATS.items() if name in form.reads)
            raise InputError(
                f"--{name} means nothing to --format {self.name}: leave it out, or choose --format "
                f"{readers}"
            )


FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Format(
            DEFAULT_FORMAT,
            "encoder and decoder for other runtimes",
            "run",
            "onnx_files",
            ("input",),
            _ONNX,
        ),
        Format("torch", "the same for PyTorch", "run", "torch_files"),
        Format(
            "projector",
            "codes and images for TensorBoard's projector",
            "codes",
            "projector",
            ("split", "sample", "seed"),
        ),
        Format("csv", "codes with all that is known of each", "codes", "points", ("split",)),
        Format(
            "hub",
            "a folder for a model hub: checkpoint, ONNX, model card",
            "run",
            "hub",
            ("input",),
            _ONNX,
        ),
    )
}


def default_folder(source: Path, name: str) -> Path:
    """Return where an export goes by default: `RUN/onnx`, or `codes-csv` beside `codes.npy`."""
    from aecli.run.codes import is_codes
    from aecli.run.folder import folder_of

    if is_codes(source):
        return source.with_name(f"{source.stem}-{name}")
    return folder_of(source).path / name


def export(source: Path, name: str, folder: Path, options: "ExportOptions") -> "Exported":
    """Write a run (its folder or a checkpoint), or codes (`.npy`), in a format of FORMATS.

    The files take their names in `folder` together.

    Raises:
        InputError: the source cannot be read or is none of the format, an option is none of it or
            out of range, a package is missing, or a file is in the way.
        AecliError: what is written would not compute what aecli does, or the operating system
            refused.

    """
    from aecli.run.codes import is_codes
    from aecli.run.folder import folder_of

    chosen = FORMATS[name]
    chosen.refuse_unread(options)
    options.check()
    if is_codes(source) and chosen.takes == "run":
        raise InputError(f"--format {name} exports a model: expected a RUN, got the codes {source}")
    require_extra(f"--format {name}", DEFAULT_FORMAT, **chosen.packages)
    refuse_file(folder, "-o expects a folder")
    writer = import_module(f"aecli.export.{chosen.module}")
    outputs = [folder / file for file in writer.FILES]
    refuse_existing(*outputs, force=options.replace)
    if not is_codes(source):
        refuse_inputs(outputs, folder_of(source).files)
    exported: Exported = writer.write(source, folder, options)
    return exported
