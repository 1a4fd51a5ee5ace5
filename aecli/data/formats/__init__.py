"""The formats of data sets. Each is one module here, which declares it as its `FORMAT`."""

import pkgutil
from importlib import import_module

from aecli.data.format import Format


def _find_formats() -> tuple[Format, ...]:
    """Return the formats of all modules of this package, in the order in which they are tried."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    formats: list[Format] = [import_module(f"{__name__}.{name}").FORMAT for name in names]
    return tuple(sorted(formats, key=lambda form: (form.fallback, -form.priority)))


FORMATS = _find_formats()
