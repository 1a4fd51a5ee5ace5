"""Image data sets: a reader for each format, and the catalogue of names."""

from aecli.data.catalogue import DATA_VARIABLE, DEFAULT_DATASET, open_dataset
from aecli.data.dataset import SPLIT_NAMES, DataDescription, Dataset, Images, Labels, Split, SplitName

__all__ = [
    "DATA_VARIABLE",
    "DEFAULT_DATASET",
    "SPLIT_NAMES",
    "DataDescription",
    "Dataset",
    "Images",
    "Labels",
    "Split",
    "SplitName",
    "open_dataset",
]
