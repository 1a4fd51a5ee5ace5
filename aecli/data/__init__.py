"""Image data sets: a reader for each format, and the catalogue of names."""

from aecli.data.catalogue import (
    DATA_VARIABLE,
    dataset_names,
    mnist_folder,
    open_dataset,
    reopen_dataset,
)
from aecli.data.dataset import DataDescription, Dataset, Images, Labels, Split
from aecli.data.source import Source, parse_rescale, parse_size

__all__ = [
    "DATA_VARIABLE",
    "DataDescription",
    "Dataset",
    "Images",
    "Labels",
    "Source",
    "Split",
    "dataset_names",
    "mnist_folder",
    "open_dataset",
    "parse_rescale",
    "parse_size",
    "reopen_dataset",
]
