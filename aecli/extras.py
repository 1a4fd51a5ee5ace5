"""Packages that only some commands need: the extras of this package."""

import importlib.util

from aecli.errors import InputError


def require_extra(what: str, extra: str, **packages: str) -> None:
    """Raise `InputError` where a package is not installed that `what`, an option, needs.

    `packages`: the names that pip knows, by the modules that they bring; `extra` installs them.
    """
    for module, package in packages.items():
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"{what} needs {package}, which is not installed: pip install 'aecli[{extra}]'"
            )
