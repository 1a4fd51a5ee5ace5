"""Codes as a table: whose they are, and all that is known of each."""

from pathlib import Path

from aecli.data import refuse_data_files
from aecli.export.options import Exported, ExportOptions
from aecli.files import refuse_inputs, writing_together
from aecli.printable import plural
from aecli.run.codes import CodeArray, codes_files, known_points, point_files
from aecli.score.table import PointTable
from aecli.subject import Subject, find_subject

FILES = ("codes.csv",)


def write(source: Path, folder: Path, options: ExportOptions) -> Exported:
    """Write the codes of a run's split, or codes (`.npy`), as CSV with what is known of each.

    Raises:
        InputError: there is no such run or file, it cannot be read, or a file is in the way.
        AecliError: the operating system refused.

    """
    subject = find_subject(source, options.split, None, options.say, options.bar)
    path = folder / FILES[0]
    refuse_subject_files([path], subject)
    table = point_table(subject)
    columns = table.known_columns
    with writing_together(replace=options.replace) as together:
        together.write(path, table.to_csv(columns))
    line = f"wrote {path}: {plural(table.rows, 'code')} of {subject.name}, {', '.join(columns)}"
    return Exported((path,), line, {"rows": table.rows, "columns": columns})


def refuse_subject_files(outputs: list[Path], subject: Subject) -> None:
    """Raise `InputError` where a file to write is one of the codes or of their images."""
    refuse_inputs(outputs, [*codes_files(subject.path), *point_files(subject.path)])
    if subject.dataset is not None:
        refuse_data_files(outputs, subject.dataset)


def point_table(subject: Subject) -> PointTable:
    """Return codes with what is known of each: file, label, and what `aecli score` has written."""
    codes = subject.codes
    points: dict[str, CodeArray] = dict(known_points(subject.path, codes.values).items())
    if codes.numbers is not None:
        points["number"] = codes.numbers
    return PointTable(
        rows=len(codes.values),
        files=(codes.provenance or {}).get("row_ids"),
        labels=codes.labels,
        predicted=None,
        class_names=codes.class_names,
        points=points,
        codes=codes.values,
    )
