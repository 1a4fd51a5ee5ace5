"""Wrong usage: text for numbers, unknown options and names, arguments of every kind of rubbish."""

from collections.abc import Iterator

from tests.attack.case import ANY, BAD, EITHER, GOOD, REFUSED, Case
from tests.attack.forge import copied

_NUMBERS = {
    "train digits -o new": (
        "--epochs --latent --batch-size --learning-rate --code-penalty --neighbor-weight "
        "--neighbor-final --neighbors --seed --patience --validation --test --split-seed"
    ),
    "encode run -o c.npy": "--batch-size",
    "decode run -o d.npy": "--batch-size",
    "plot run -o p.png": "--count",
    "score run": "--sample --stability",
    "show run --shapes": "--rows",
    "export run --format projector -o e": "--sample --seed",
}
_NO_NUMBERS = ("x", "", "0x10", "1e", "--", "\x1b[31m", "nan", "9" * 5_000, "\udcff", "½", "1,5")
_CHOICES = (
    "train digits -o new --encoder",
    "train digits -o new --activation",
    "train digits -o new --output",
    "train digits -o new --init",
    "train digits -o new --schedule",
    "train digits -o new --loss",
    "train digits -o new --recipe",
    "encode run -o c.npy --split",
    "plot run -o p.png --kind",
    "plot run -o p.png --color-by",
    "score run --split",
    "score run --against",
    "export run -o e --format",
    "export run -o e --input",
)
_NO_CHOICES = (
    "x",
    "",
    "MSE",
    "\x1b[31mred",
    "a\nb",
    "[red]x[/red]",
    "\udcff\udcfe",
    "x" * 100_000,
    "\u202eabc",
    "$x$",
    "{x}",
)
_WHOLE = (
    "",
    "nonsense",
    "--nonsense",
    "-x",
    "data",
    "data nonsense",
    "data show a b c",
    "train a b",
    "train digits --epochs",
    "train --resume --force -o new",
    "train --resume -o none",
    "train digits --hidden x -o new",
    "train digits --hidden 1,,2 -o new",
    "train digits --hidden 0 -o new",
    "train digits --hidden -5 -o new",
    "train digits --hidden 1.5 -o new",
    "train digits --normalize=yes -o new",
    "train digits --loss bce --output linear -o new",
    "train digits --validation 1 -o new",
    "train digits --test -0.1 -o new",
    "train digits --validation 0.6 --test 0.6 -o new",
    "train digits --labels labels.npy -o new",
    "train images.npy --labels labels.npy --no-labels -o new",
    "train --no-labels -o new",
    "train digits --rescale x -o new",
    "train digits --rescale 1,2,3 -o new",
    "train digits --size x -o new",
    "train digits --size 8x8x8 -o new",
    "train digits --size -1 -o new",
    "train nothing-like-this -o new",
    "train ./none -o new",
    "train digits --config none.toml -o new",
    "encode none",
    "encode run -o c.npy --part x",
    "encode run -o c.npy --part 2/2",
    "encode run -o c.npy --part 0/0",
    "encode run -o c.npy --part -1/2",
    "encode run -o c.npy --part auto",
    "encode run -o c.npy --part 0/99999",
    "encode run -o c.npy --part 1/2/3",
    "encode --merge none.npy",
    "encode --merge .",
    "encode --merge run",
    "encode run --merge none.npy",
    "encode --merge none.npy --part 0/2",
    "encode run none -o c.npy",
    "encode run --split validation,test -o c.npy",
    "encode run --labels labels.npy -o c.npy",
    "encode run -o c.png",
    "encode run -o c",
    "encode images.npy",
    "decode run none.npy -o d.npy",
    "decode run -o d.txt",
    "plot none",
    "plot images.npy -o p.png",
    "plot labels.npy --kind history -o p.png",
    "plot run --kind none -o p.png",
    "plot run --color-by moved -o p.png",
    "plot run --labels none.npy -o p.png",
    "plot run -o p.gif",
    "score none",
    "score labels.npy",
    "score run/codes.npy --stability 3",
    "score run --train-codes run/codes.npy",
    "score run --against umap,none",
    "score run --against ,,,",
    "score run --picture p.gif",
    "score run/codes.npy mnist",
    "show none",
    "show images.npy",
    "show run --rows x",
    "show run --rows 0",
    "data show none",
    "data show digits --labels labels.npy",
    "data show --picture p.gif",
    "data list x",
    "data fetch",
    "data fetch none",
    "data fetch digits",
    "--version --nonsense",
    "train --hel",
)
_ALL = copied("run", "images.npy", "labels.npy")
_EXPECTED = {
    "--version --nonsense": ANY,
    "train --hel": ANY,
    "score run --against ,,,": EITHER,
    # It is not here, and cannot be fetched.
    "score run/codes.npy mnist": REFUSED,
}
# Only the help is shown, for want of a command.
_SILENT = ("", "data")


def _rows() -> Iterator[Case]:
    number = 0
    for command, options in _NUMBERS.items():
        for option in options.split():
            for turn, text in enumerate(_NO_NUMBERS):
                number += 1
                if (number + turn) % 7:
                    continue
                yield Case(
                    f"{command.split()[0]} {option} {text[:20]!r}",
                    [*command.split(), f"{option}={text}"],
                    (_ALL,),
                    EITHER if text == "nan" and "seed" not in option else BAD,
                    short=True,
                )
    for turn, command in enumerate(_CHOICES):
        for text in _NO_CHOICES[turn % 4 :: 4]:
            yield Case(
                f"{command.split()[0]} {command.split()[-1]} {text[:20]!r}",
                [*command.split()[:-1], f"{command.split()[-1]}={text}"],
                (_ALL,),
                EITHER if "against" in command and not text else BAD,
                # An accelerator of its own would be asked for.
                short=True,
            )
    for command in _WHOLE:
        yield Case(
            f"aecli {command}",
            command,
            (_ALL,),
            _EXPECTED.get(command, BAD),
            variables={"AECLI_DATA_DIR": "data"},
            leaves=("data/.mnist.aecli.lock", "data/mnist") if "mnist" in command else (),
            plain=command in _SILENT,
            short="mnist" not in command,
        )
    arguments: tuple[tuple[str, ...], ...] = (
        ("show", "x" * 100_000),
        ("show", "/" + "x/" * 40_000),
        ("show", "\udcff\udcfe"),
        ("train", "\udcff", "-o", "new"),
        ("train", "digits", "--nonsense\udcff"),
        ("train", "digits", "--\x1b[31m=1"),
        ("train", "digits", "--" + "x" * 100_000),
        ("\x1b[31mred",),
        ("\udcff",),
        ("x" * 100_000,),
        ("[red]", "[/red]"),
        ("show", "\n\n\n"),
        ("show", *["x"] * 5_000),
        ("data", "show", "~nobody/x"),
        ("data", "show", "."),
        ("data", "show", ""),
        ("data", "show", "-"),
        ("data", "show", "--", "--help"),
        ("data", "show", "http://127.0.0.1/x.npy"),
        ("data", "show", "/dev/stdin"),
        ("data", "show", "/proc/self/mem"),
        ("data", "show", "/proc/self/environ"),
        ("data", "show", "/dev/zero"),
        ("plot", "/dev/stdin", "-o", "p.png"),
        ("show", "/proc/self/fd/0"),
        ("train", "digits", "--config", "/dev/stdin", "-o", "new"),
        ("encode", "run", "/dev/random", "-o", "c.npy"),
    )
    for words in arguments:
        yield Case(
            f"aecli {' '.join(words)[:60]!r}",
            list(words),
            (_ALL,),
            BAD,
            own_process=any(word.startswith(("/dev", "/proc")) for word in words),
            short=not any(word.startswith(("/dev", "/proc")) for word in words),
        )
    for command in ("--help", "--version", "train -h", "data --help", "data show --help"):
        yield Case(f"aecli {command}", command, (), GOOD, short=True)


CASES = list(_rows())
