"""Image data sets: a reader for each format, and the catalogue of names."""

from aecli.data.catalogue import DATA_VARIABLE, open_dataset, reopen_dataset
from aecli.data.dataset import DataDescription, Dataset, Images, Labels, Split

__all__ = [
    "DATA_VARIABLE",
    "DataDescription",
    "Dataset",
    "Images",
    "Labels",
    "Split",
    "open_dataset",
    "reopen_dataset",
]
