"""Image data sets: a reader for each format, and the catalogue of names."""

from aecli.data.catalogue import (
    DATA_VARIABLE,
    dataset_names,
    mnist_folder,
    open_dataset,
    reopen_dataset,
)
from aecli.data.dataset import DataDescription, Dataset, Split
from aecli.data.source import Source, parse_rescale, parse_size
from aecli.data.stored import Rows, StoredImages, count_of, extremes, rows_between

__all__ = [
    "DATA_VARIABLE",
    "DataDescription",
    "Dataset",
    "Rows",
    "Source",
    "Split",
    "StoredImages",
    "count_of",
    "dataset_names",
    "extremes",
    "mnist_folder",
    "open_dataset",
    "parse_rescale",
    "parse_size",
    "reopen_dataset",
    "rows_between",
]
