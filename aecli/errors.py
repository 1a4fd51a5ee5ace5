"""The errors that aecli raises on purpose; each carries the exit code of the process it ends."""


class AecliError(Exception):
    """The work failed for a reason outside the program, such as a full disk. One line of text."""

    exit_code = 1


class InputError(AecliError):
    """Wrong usage or bad input: what, which file, expected, got, what to do. One line of text."""

    exit_code = 2
