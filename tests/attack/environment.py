"""The environment: variables that are wrong, streams that are closed, limits that are low."""

from collections.abc import Iterator

from tests.attack.cached import right_codes
from tests.attack.case import (
    ANY,
    BAD,
    EITHER,
    FAILED,
    GOOD,
    REFUSED,
    Case,
    Done,
    Place,
)
from tests.attack.forge import copied, run, special, written
from tests.attack.shared import SETTINGS, TRAIN

_ENCODE = "encode run -o c.npy"
_PLOT = "plot run -o p.png"
_RUN = (run, copied("images.npy", "pictures"))

# Variables, the command, and what it may come to.
_VARIABLES: tuple[tuple[dict[str, str | None], str, frozenset[int]], ...] = (
    # Another device computes other numbers; none at all computes nothing.
    ({"JAX_PLATFORMS": "cuda"}, _ENCODE, REFUSED),
    ({"JAX_PLATFORMS": "cuda"}, _PLOT, GOOD),
    ({"JAX_PLATFORMS": "nonsense"}, _ENCODE, REFUSED),
    ({"JAX_PLATFORMS": "nonsense"}, f"{TRAIN} -o new", REFUSED),
    ({"JAX_PLATFORMS": "nonsense"}, "decode run -o d.npy", REFUSED),
    ({"JAX_PLATFORMS": "nonsense"}, "score run", REFUSED),
    ({"JAX_PLATFORMS": "nonsense"}, "plot run --kind reconstructions -o p.png", REFUSED),
    ({"JAX_PLATFORMS": "nonsense"}, "show run --shapes", GOOD),
    ({"JAX_PLATFORMS": "cpu,nonsense"}, _ENCODE, ANY),
    ({"JAX_PLATFORMS": ""}, _ENCODE, GOOD),
    ({"JAX_ENABLE_X64": "junk"}, _ENCODE, REFUSED),
    ({"JAX_ENABLE_X64": "junk"}, _PLOT, GOOD),
    ({"JAX_ENABLE_X64": "1"}, _ENCODE, ANY),
    ({"JAX_ENABLE_X64": "1"}, f"{TRAIN} -o new", ANY),
    ({"JAX_DISABLE_JIT": "1"}, _ENCODE, ANY),
    ({"JAX_DISABLE_JIT": "1"}, "score run", ANY),
    ({"JAX_DISABLE_JIT": "junk"}, _ENCODE, REFUSED),
    ({"JAX_DEBUG_NANS": "1"}, _ENCODE, ANY),
    ({"JAX_DEBUG_NANS": "1"}, f"{TRAIN} --learning-rate 1e9 -o new", FAILED),
    ({"JAX_NUMPY_DTYPE_PROMOTION": "junk"}, _ENCODE, REFUSED),
    ({"JAX_NUMPY_DTYPE_PROMOTION": "strict"}, _ENCODE, GOOD),
    ({"JAX_DEFAULT_MATMUL_PRECISION": "junk"}, _ENCODE, REFUSED),
    ({"JAX_NUM_CPU_DEVICES": "0"}, _ENCODE, ANY),
    ({"JAX_NUM_CPU_DEVICES": "3"}, _ENCODE, ANY),
    ({"JAX_NUM_CPU_DEVICES": "junk"}, _ENCODE, REFUSED),
    ({"JAX_LOG_COMPILES": "1"}, _ENCODE, GOOD),
    ({"JAX_TRACEBACK_FILTERING": "junk"}, _ENCODE, ANY),
    ({"JAX_COMPILATION_CACHE_DIR": "/proc/nowhere"}, _ENCODE, GOOD),
    ({"JAX_COMPILATION_CACHE_DIR": "images.npy"}, _ENCODE, GOOD),
    ({"JAX_COMPILATION_CACHE_DIR": ""}, _ENCODE, GOOD),
    ({"XLA_FLAGS": "--nonsense"}, _ENCODE, REFUSED),
    ({"XLA_FLAGS": "--nonsense"}, f"{TRAIN} -o new", REFUSED),
    ({"XLA_FLAGS": "--nonsense"}, _PLOT, GOOD),
    ({"XLA_FLAGS": "junk"}, _ENCODE, ANY),
    ({"XLA_FLAGS": "--xla_dump_to=/proc/nowhere"}, _ENCODE, ANY),
    ({"XLA_FLAGS": "--xla_force_host_platform_device_count=0"}, _ENCODE, ANY),
    ({"XLA_FLAGS": "--xla_force_host_platform_device_count=junk"}, _ENCODE, REFUSED),
    ({"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}, f"{TRAIN} -o new", ANY),
    ({"XLA_PYTHON_CLIENT_ALLOCATOR": "junk"}, _ENCODE, ANY),
    ({"TF_CPP_MIN_LOG_LEVEL": "junk"}, _ENCODE, GOOD),
    ({"OMP_NUM_THREADS": "-1"}, "score run", GOOD),
    ({"OPENBLAS_NUM_THREADS": "junk"}, _ENCODE, GOOD),
    ({"OMP_NUM_THREADS": "100000"}, "train digits --hidden 4 --epochs 1 -o new", ANY),
    # Pictures.
    ({"MPLBACKEND": "nonsense"}, _PLOT, GOOD),
    ({"MPLBACKEND": "nonsense"}, "data show --picture p.png", GOOD),
    ({"MPLBACKEND": ""}, _PLOT, GOOD),
    ({"MATPLOTLIBRC": "bad-style"}, _PLOT, ANY),
    ({"MATPLOTLIBRC": "odd-style"}, _PLOT, ANY),
    ({"MATPLOTLIBRC": "pictures"}, _PLOT, ANY),
    ({"MATPLOTLIBRC": "pipe"}, _PLOT, ANY),
    ({"MATPLOTLIBRC": "tex-style"}, _PLOT, ANY),
    ({"MATPLOTLIBRC": "huge-style"}, _PLOT, ANY),
    ({"MATPLOTLIBRC": "/proc/nowhere"}, _PLOT, GOOD),
    ({"MPLCONFIGDIR": "/proc/nowhere"}, _PLOT, GOOD),
    ({"MPLCONFIGDIR": "images.npy"}, _PLOT, GOOD),
    # Folders that are missing.
    ({"HOME": None, "XDG_CACHE_HOME": None}, "data list", GOOD),
    ({"HOME": "/proc/nowhere", "XDG_CACHE_HOME": None}, _ENCODE, GOOD),
    ({"HOME": "/proc/nowhere", "XDG_CACHE_HOME": None}, "data show pictures", FAILED),
    ({"HOME": "/proc/nowhere", "XDG_CACHE_HOME": None}, "data fetch mnist", FAILED),
    ({"HOME": "", "XDG_CACHE_HOME": ""}, "data list", GOOD),
    ({"TMPDIR": "/proc/nowhere"}, _ENCODE, GOOD),
    ({"TMPDIR": "images.npy"}, f"{TRAIN} -o new", GOOD),
    ({"TMPDIR": "/proc/nowhere"}, "data show pictures", GOOD),
    # Python's own.
    ({"PYTHONWARNINGS": "error"}, _ENCODE, ANY),
    ({"PYTHONWARNINGS": "error"}, _PLOT, ANY),
    ({"PYTHONWARNINGS": "error"}, "score run", ANY),
    ({"PYTHONWARNINGS": "junk:junk"}, _PLOT, ANY),
    ({"PYTHONOPTIMIZE": "2"}, _ENCODE, GOOD),
    ({"PYTHONDEVMODE": "1"}, _PLOT, ANY),
    ({"PYTHONIOENCODING": "ascii"}, "show run", GOOD),
    ({"PYTHONUTF8": "0", "LC_ALL": "C"}, _ENCODE, GOOD),
    ({"LC_ALL": "junk", "LANG": "junk"}, _PLOT, GOOD),
    ({"COLUMNS": "0"}, "train --help", GOOD),
    ({"COLUMNS": "-5"}, "train --help", GOOD),
    ({"COLUMNS": "junk"}, "train --help", GOOD),
    ({"COLUMNS": "1"}, "train --help", GOOD),
    ({"TERMINAL_WIDTH": "junk"}, "train --help", EITHER),
    ({"TERM": "junk"}, "data list", GOOD),
    ({"TERM": ""}, "show run", GOOD),
    ({"_TYPER_STANDARD_TRACEBACK": "1"}, "show none", BAD),
    ({"TYPER_USE_RICH": "junk"}, "show none", EITHER),
    # Our own.
    ({"AECLI_EPOCHS": "x"}, f"{TRAIN} -o new", EITHER),
    ({"AECLI_LATENT": "x"}, f"{TRAIN} -o new", BAD),
    ({"AECLI_LATENT": "-1"}, f"{TRAIN} -o new", BAD),
    ({"AECLI_LATENT": "9" * 5_000}, f"{TRAIN} -o new", BAD),
    ({"AECLI_LEARNING_RATE": "1e400"}, f"{TRAIN} -o new", BAD),
    ({"AECLI_LEARNING_RATE": "\x1b[31m"}, f"{TRAIN} -o new", BAD),
    ({"AECLI_RECIPE": "\x1b[31m"}, "train digits -o new", BAD),
    ({"AECLI_RECIPE": "x" * 100_000}, "train digits -o new", BAD),
    ({"AECLI_NORMALIZE": "x"}, f"{TRAIN} -o new", BAD),
    ({"AECLI_MEMORY": "x"}, f"{TRAIN} -o new", BAD),
    ({"AECLI_MEMORY": "x"}, _ENCODE, BAD),
    ({"AECLI_MEMORY": ""}, _ENCODE, EITHER),
    ({"AECLI_NONSENSE": "1"}, _ENCODE, GOOD),
    ({"AECLI_DATA_DIR": "images.npy"}, "data list", GOOD),
    ({"AECLI_DATA_DIR": "images.npy"}, "data fetch mnist", REFUSED),
    ({"AECLI_DATA_DIR": "pipe"}, "data fetch mnist", REFUSED),
    ({"AECLI_DATA_DIR": "loop"}, "data list", EITHER),
    ({"AECLI_DATA_DIR": "loop"}, "data fetch mnist", REFUSED),
    ({"AECLI_DATA_DIR": ""}, "data list", GOOD),
    ({"AECLI_DATA_DIR": "/proc/nowhere"}, "data fetch mnist", FAILED),
    ({"AECLI_DATA_DIR": "~nobody-here"}, "data list", GOOD),
    ({"AECLI_DATA_DIR": "x" * 5_000}, "data list", EITHER),
    ({"AECLI_DATA_DIR": "\x1b[31m\n"}, "data fetch mnist", REFUSED),
)  # fmt: skip
# These change nothing in the process that tests, or are one of their kind.
_QUICK = "AECLI_"
_SHORT = (_QUICK, "XLA_FLAGS='--nonsense'", "JAX_ENABLE_X64='junk'", "COLUMNS='junk'")

_STYLES = (
    written("bad-style", "figure.dpi: junk\naxes.facecolor: nonsense\nno colon\n\x00\n"),
    written("odd-style", b"\xff\xfe\x00\xd8 rubbish"),
    written("tex-style", "text.usetex: True\n"),
    written("huge-style", "figure.dpi: 1e30\nfont.size: 1e30\nsavefig.bbox: tight\n"),
    special("a pipe", "pipe"),
    special("a loop", "loop"),
)

# Scripts that run the command as "$@".
_TO_FULL = 'exec "$@" > /dev/full'
_STREAMS = {
    "stdout is full": _TO_FULL,
    "stdout is closed": 'exec "$@" >&-',
    "stderr is full": 'exec "$@" 2> /dev/full',
    "stderr is closed": 'exec "$@" 2>&-',
    "stdin is closed": 'exec "$@" <&-',
    "all are closed": 'exec "$@" <&- >&- 2>&-',
    "the reader has gone": '"$@" | true; exit ${PIPESTATUS[0]}',
}
_SAYING = ("--version", "--help", "data list", "show run --json", f"{_ENCODE} --json")

_LIMITS = {
    "10 files": ("ulimit -n 10", ANY),
    "20 files": ("ulimit -n 20", ANY),
    "40 files": ("ulimit -n 40", ANY),
    "500 MB of addresses": ("ulimit -v 500000", REFUSED),
    "1 GB of addresses": ("ulimit -v 1000000", ANY),
    "3 GB of addresses": ("ulimit -v 3000000", ANY),
    "files of 1 kB": ("ulimit -f 1", FAILED),
    "files of 2 kB": ("ulimit -f 2", FAILED),
    "files of 40 kB": ("ulimit -f 40", ANY),
    "no core": ("ulimit -c 0", GOOD),
    "a stack of 256 kB": ("ulimit -s 256", ANY),
    "files that nobody may read": ("umask 777", ANY),
    "files that all may write": ("umask 0", GOOD),
    "one core": ('exec taskset -c 0 "$@"', GOOD),
}
_LIMITED = (_ENCODE, _PLOT, "data show pictures", f"{TRAIN} -o new")


def _umlauts(place: Place) -> None:
    place.copy("run", "Größe")


def _same_twice(place: Place, done: Done) -> str | None:
    """Say whether codes of the second time, from the cache, are others than those of the first."""
    if done.code:
        return None
    first, second = (place.folder / name for name in ("c.npy", "d.npy"))
    return None if first.read_bytes() == second.read_bytes() else "other codes the second time"


def _rows() -> Iterator[Case]:
    for variables, command, expected in _VARIABLES:
        named = ", ".join(f"{k}={v if v is None else v[-24:]!r}" for k, v in variables.items())
        first = next(iter(variables))
        style = first.startswith("MATPLOTLIBRC") or "pipe" in variables.values()
        yield Case(
            f"{named}: {command[:40]}",
            command,
            (*_RUN, *(_STYLES if style or "loop" in variables.values() else ())),
            expected,
            variables=variables,
            # Who fails late may have begun.
            leaves=("new/*",) if expected == ANY else ("\x1b*",),
            own_process=not first.startswith(_QUICK),
            short=named.startswith(_SHORT),
            check=right_codes if command == _ENCODE and expected == GOOD else None,
        )
    twice: tuple[tuple[str, dict[str, str | None]], ...] = (
        ("two devices", {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}),
        ("no JIT", {"JAX_DISABLE_JIT": "1"}),
        ("numbers of 64 bits", {"JAX_ENABLE_X64": "1"}),
    )
    for what, variables in twice:
        yield Case(
            f"encode twice with {what}",
            "encode run -o d.npy",
            (run,),
            GOOD if what == "two devices" else ANY,
            variables=variables,
            through='"${@:1:$#-1}" c.npy && exec "$@"',
            makes=("c.*",),
            leaves=("c.*",),
            check=_same_twice,
        )
    for stream, script in _STREAMS.items():
        for command in _SAYING:
            full = stream == "stdout is full"
            if not full and command in ("--help", "show run --json"):
                continue
            yield Case(
                f"{stream}: {command}",
                command,
                (run,),
                # Who has read enough is not let down.
                FAILED if full else GOOD if "reader" in stream else frozenset({0, 1}),
                through=script,
                # What is written before stdout is told of it stays.
                leaves=("c.*",),
                plain="stderr" in stream or "all" in stream,
                short=full and command == "--help",
            )
    for stream in ("stdout is full", "stderr is full", "all are closed"):
        yield Case(
            f"{stream}: train",
            f"{TRAIN} -o new",
            (),
            frozenset({0, 1}),
            through=_STREAMS[stream],
            leaves=("new/*",),
            quiet=False,
            plain=True,
        )
        yield Case(
            f"{stream}: bad input",
            "show none",
            (),
            BAD if "stdout" in stream else REFUSED,
            through=_STREAMS[stream],
            plain="stdout" not in stream,
        )
    for what, (script, expected) in _LIMITS.items():
        for command in _LIMITED:
            may_fail = expected == ANY
            small = what in ("files of 1 kB", "files of 2 kB", "10 files", "500 MB of addresses")
            if not small and command != _LIMITED[_number_of(what) % 4]:
                continue
            yield Case(
                f"{what}: {command[:30]}",
                command,
                _RUN,
                # A picture of a few kilobytes, decoded images of one.
                ANY if small and command == "data show pictures" else expected,
                through=f'{script}; exec "$@"',
                leaves=("new/*",) if may_fail else (),
                short=what == "files of 1 kB" and command == _PLOT,
            )
    gone = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    for command in ("--version", "--help", "data list", "data show", "show", "train digits", _PLOT):
        yield Case(
            f"the folder is gone: {command}",
            command,
            (run,),
            GOOD if command in ("--version", "--help", "data list", "data show") else REFUSED,
            through=gone,
        )
    for command in (
        "show Größe",
        "encode Größe -o ö.npy",
        "plot Größe -o ö.svg",
        "show Grüße",
        "train digits -o Größe",
        "data show ß.npy",
        "encode Größe --force",
        f"train digits {SETTINGS} -o ß",
    ):
        yield Case(
            f"stdout in ASCII: {command[:40]}",
            command,
            (_umlauts,),
            EITHER
            if "show Gr" in command or "encode" in command or "plot" in command
            else (GOOD if SETTINGS in command else BAD),
            variables={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"},
            makes=("Größe/codes*",),
            own_process=True,
        )


def _number_of(text: str) -> int:
    """Return a number that is the same each time."""
    return sum(text.encode())


CASES = list(_rows())
