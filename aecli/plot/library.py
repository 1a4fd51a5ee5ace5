"""Matplotlib, imported so that nothing around the program decides what pictures look like.

Each module that draws imports this before all of Matplotlib.
"""

import logging
import os
from contextlib import suppress

# What it logs, of fonts and folders that it looks for, is nothing for people at a shell.
logging.getLogger("matplotlib").setLevel(logging.CRITICAL)
# For windows, which we never open; an unknown one would end the import.
_backend = os.environ.pop("MPLBACKEND", None)
# The user's settings, which no picture of ours follows, may be any file, even a pipe.
_settings = os.environ.get("MATPLOTLIBRC")
os.environ["MATPLOTLIBRC"] = os.devnull
_here = None
if os.path.lexists("matplotlibrc"):
    # It reads this file of the current folder, whatever it may be, and however broken.
    with suppress(OSError):
        _here = os.open(".", os.O_RDONLY)
        os.chdir("/")
try:
    import matplotlib
finally:
    del os.environ["MATPLOTLIBRC"]
    if _settings is not None:
        os.environ["MATPLOTLIBRC"] = _settings
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend
    if _here is not None:
        os.fchdir(_here)
        os.close(_here)

# Names of data sets, classes and files are not formulas, even with dollar signs in them.
matplotlib.rcParams["text.parse_math"] = False
