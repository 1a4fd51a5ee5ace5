"""aecli: learned maps of image sets, from the shell and from Python."""

__version__ = "0.1.0"

__all__ = ["Autoencoder", "open_dataset", "plot_map", "score_map"]

# Where each public name is; it is imported when it is asked for.
_PLACES = {
    "Autoencoder": "aecli.estimator",
    "open_dataset": "aecli.datasets",
    "plot_map": "aecli.plot.on_axes",
    "score_map": "aecli.score.on_arrays",
}

# To import typing takes as long as all else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from aecli.datasets import open_dataset
    from aecli.estimator import Autoencoder
    from aecli.plot.on_axes import plot_map
    from aecli.score.on_arrays import score_map


def __getattr__(name: str) -> object:
    """Return a public name, imported now."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(_PLACES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return all names, also those that are not imported yet."""
    return sorted({*globals(), *__all__})
