"""A case of the attack: what is prepared, what is run, and what it may come to."""

import fnmatch
import hashlib
import itertools
import json
import os
import re
import shlex
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

# What processes may end with: done, failed, bad input, hung up, interrupted, terminated.
CODES = frozenset({0, 1, 2, 129, 130, 143})
GOOD = frozenset({0})
BAD = frozenset({2})
FAILED = frozenset({1})
REFUSED = frozenset({1, 2})
# Where both are right: done properly, or refused in a line.
EITHER = frozenset({0, 2})
ANY = frozenset({0, 1, 2})

MOST_SECONDS = 60.0
MOST_BYTES = 1_500_000_000
_MOST_CHARACTERS = 300
# What is larger is known by its size and time.
_MOST_HASHED = 50_000_000
_HAS_QUIET = ("train", "encode", "decode", "plot", "score")


@dataclass
class Place:
    """The folder that a case runs in, its own cache folder, and what it may copy.

    `variables` are set in the environment, or removed where they are None; what `closing` holds is
    closed when the case has ended; `facts` passes on what was prepared to what is checked.
    """

    folder: Path
    cache: Path
    shared: Path
    variables: dict[str, str | None] = field(default_factory=dict)
    closing: ExitStack = field(default_factory=ExitStack)
    facts: dict[str, Any] = field(default_factory=dict)

    def __truediv__(self, name: str) -> Path:
        """Return a path in the folder; the folders above it are made."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def copy(self, name: str, to: str | None = None) -> Path:
        """Copy a file or folder of the shared ones."""
        source, target = self.shared / name, self / (to or name)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, target)
        return target

    def array(self, name: str, values: npt.ArrayLike) -> Path:
        """Write an array, `.npy`."""
        path = self / name
        np.save(path, np.asarray(values))
        return path


Prepare = Callable[[Place], object]


@dataclass(frozen=True)
class Done:
    """What came of a command: exit code, both outputs, and how long and how much it took.

    `faults` are those of the run itself: it hung, or took too much, or left a process behind.
    """

    code: int
    out: str
    err: str
    seconds: float = 0.0
    peak_bytes: int = 0
    faults: tuple[str, ...] = ()


# Says what is wrong, or nothing.
Check = Callable[[Place, Done], str | None]


@dataclass(frozen=True)
class Case:
    """A row of the attack.

    `command`: the arguments, as text for a shell or as a list; paths are those in the case's
    folder. `prepare`: what makes that folder, in turns. `codes`: the exit codes that are right.
    `says`: a pattern that the line of an error must have. `variables`: of the environment; None
    takes one away. `makes`: patterns of files that may come where it did not fail, besides those
    that the command names; `leaves`: those that may come in any case; `changes`: those that were
    there and may change or go. `through`: a script of bash that runs the command as `"$@"`.
    `signals`: what is sent to the process, after how many seconds, where None is a random time.
    `own_process`: whether it needs one, for it would break or burden the one that tests it.
    `short`: whether `make test` runs it. `needs`: says why the case cannot be run here. `quiet`:
    whether `--quiet` is added. `plain`: whether its stderr may be of several lines.
    """

    name: str
    command: str | Sequence[str]
    prepare: Sequence[Prepare] = ()
    codes: frozenset[int] = BAD
    says: str = ""
    variables: Mapping[str, str | None] = field(default_factory=dict)
    makes: Sequence[str] = ()
    leaves: Sequence[str] = ()
    changes: Sequence[str] = ()
    check: Check | None = None
    through: str = ""
    signals: Sequence[tuple[int, float | None]] = ()
    own_process: bool = False
    short: bool = False
    needs: Callable[[], str | None] | None = None
    quiet: bool = True
    plain: bool = False
    seconds: float = MOST_SECONDS

    def __post_init__(self) -> None:
        assert self.codes <= CODES, self.name

    @property
    def arguments(self) -> list[str]:
        """The arguments of the program."""
        words = shlex.split(self.command) if isinstance(self.command, str) else [*self.command]
        if self.quiet and words and words[0] in _HAS_QUIET:
            words[1:1] = ["--quiet"]
        return words

    @property
    def named_outputs(self) -> list[str]:
        """The files that the command says it makes."""
        words = self.arguments
        named = [
            after
            for word, after in itertools.pairwise(words)
            if word in ("-o", "--out", "--picture", "--profile")
        ]
        return named if words and words[0] in (*_HAS_QUIET, "data") else []

    @property
    def outputs(self) -> list[str]:
        """Patterns of the files that the command says it makes."""
        patterns = []
        for name in self.named_outputs:
            whole = _literal(name)
            stem = os.path.splitext(whole)[0]  # noqa: PTH122
            patterns += [whole, f"{whole}/*", f"{stem}.labels.npy", f"{stem}.json"]
        return patterns

    @property
    def apart(self) -> bool:
        """Whether it runs in a process of its own in any case."""
        return self.own_process or bool(self.through or self.signals)


Look = dict[str, str]


def _literal(name: str) -> str:
    """Return a pattern that is this name alone."""
    return re.sub(r"([*?[])", r"[\1]", os.path.normpath(name))


def look_at(folder: Path) -> Look:
    """Return all that lies below a folder: what it is, and a digest of what it holds."""
    found: Look = {}
    for root, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(root) / name
            found[str(path.relative_to(folder))] = _look_at_one(path)
    return found


def _look_at_one(path: Path) -> str:
    try:
        state = path.lstat()
    except OSError:
        # Folders may be nested more deeply than a name may be long.
        return "out of reach"
    if stat.S_ISLNK(state.st_mode):
        return f"link to {os.readlink(path)}"  # noqa: PTH115
    if stat.S_ISDIR(state.st_mode):
        return "folder"
    if not stat.S_ISREG(state.st_mode):
        return f"special {stat.S_IFMT(state.st_mode)}"
    if state.st_size > _MOST_HASHED:
        return f"file of {state.st_size} {state.st_mtime_ns}"
    return f"file {hashlib.sha256(path.read_bytes()).hexdigest()}"


def temporaries(folder: Path) -> list[str]:
    """Return the temporary files below a folder."""
    found = (Path(root) / name for root, _, names in os.walk(folder) for name in names)
    return sorted(str(path) for path in found if path.name.endswith(".tmp"))


def faults(case: Case, place: Place, done: Done, before: Look, tmp_before: list[str]) -> list[str]:
    """Return all that is wrong with what came of a case; nothing where it stood."""
    found = list(done.faults)
    if done.code not in case.codes:
        found.append(f"exit code {done.code}, expected {sorted(case.codes)}")
    found += _faults_of_text(case, done)
    found += _faults_of_files(case, place, done, before)
    left = [name for name in temporaries(place.cache) if name not in tmp_before]
    found += [f"left in the cache folder: {name}" for name in left]
    if case.check is not None:
        fault = case.check(place, done)
        found += [] if fault is None else [fault]
    return found


def errors_in(text: str) -> list[str]:
    """Return the lines that say an error, without what stands before each."""
    lines = [line for line in text.split("\n") if line.startswith("aecli: ")]
    texts = [line.removeprefix("aecli: ") for line in lines]
    return [text for text in texts if not text.startswith("warning: ")]


def _faults_of_text(case: Case, done: Done) -> list[str]:
    found = []
    if "Traceback" in done.err:
        found.append("a traceback")
    odd = {c for c in done.err if not (c.isprintable() or c in "\n\u200c\u200d")}
    if odd:
        found.append(f"not printable on stderr: {sorted(odd)}")
    errors = errors_in(done.err)
    if any(len(error) > _MOST_CHARACTERS for error in errors):
        found.append("a line that is too long")
    if done.code == 0 and errors:
        found.append("an error, and exit code 0")
    if done.code in (1, 2) and not case.plain:
        if len(errors) != 1:
            found.append(f"{len(errors)} lines of errors, expected 1")
        others = [line for line in done.err.split("\n") if line and not line.startswith("aecli: ")]
        if others and "--quiet" in case.arguments:
            found.append(f"other lines on stderr: {others[:2]}")
        if case.says and not re.search(case.says, "\n".join(errors)):
            found.append(f"does not say {case.says!r}")
    if done.code == 0 and "--json" in case.arguments:
        try:
            json.loads(done.out, parse_constant=_refuse_constant)
        except ValueError as error:
            found.append(f"stdout is not JSON: {error}")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _faults_of_files(case: Case, place: Place, done: Done, before: Look) -> list[str]:
    found = []
    after = look_at(place.folder)
    outputs = case.outputs
    may_come = [*case.leaves, *([] if done.code in (1, 2) else [*case.makes, *outputs])]
    forced = done.code == 0 and "--force" in case.arguments
    may_change = [*case.changes, *(outputs if forced else [])]
    # The folders above what may come.
    folders = {str(above) for name in may_come for above in Path(name).parents}
    for name, state in after.items():
        if before.get(name) == state:
            continue
        if name in before and not _matches(name, may_change):
            found.append(f"changed: {name!r}")
        elif name not in before and not _matches(name, may_come) and name not in folders:
            found.append(f"left behind: {name!r}")
        elif done.code == 0 and state.startswith("file"):
            found += _faults_of_output(place.folder / name)
    found += [
        f"gone: {name!r}"
        for name in before
        if name not in after and not _matches(name, case.changes)
    ]
    if done.code == 0:
        missing = [name for name in case.named_outputs if _is_missing(place.folder / name)]
        found += [f"not made: {name!r}" for name in missing]
    return found


def _is_missing(path: Path) -> bool:
    """Return whether nothing is at a path; too long a one from here may be right elsewhere."""
    try:
        return not path.exists()
    except OSError:
        return False


def _faults_of_output(path: Path) -> list[str]:
    """Return what is wrong with a result, by its suffix."""
    kind = path.suffix.lower()
    try:
        if kind == ".npy":
            values = np.load(path, mmap_mode="r")
            if values.size < 10**7 and not np.isfinite(values).all():
                return [f"{path.name} is not finite"]
        elif kind == ".json":
            json.loads(path.read_bytes(), parse_constant=_refuse_constant)
        elif kind == ".svg":
            ElementTree.parse(path)
        elif kind == ".png":
            from PIL import Image

            with Image.open(path) as image:
                image.verify()
        elif kind == ".pdf" and not path.read_bytes().startswith(b"%PDF"):
            return [f"{path.name} is no PDF"]
    except (ValueError, OSError, SyntaxError, ElementTree.ParseError) as error:
        return [f"{path.name} cannot be read again: {error}"]
    return []
