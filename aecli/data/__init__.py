"""Image data sets: from files in several formats, and by name."""

from aecli.data.catalogue import dataset_names, dataset_of, open_dataset, reopen_dataset
from aecli.data.dataset import DataDescription, Dataset, Split, counted
from aecli.data.named import DATA_VARIABLE, EMBEDDED, NAMED, fetch_named, find_named, list_named
from aecli.data.own_files import files_of, refuse_data_files
from aecli.data.progress import Bar, no_bar
from aecli.data.rows import Rows, count_of, rows_at, rows_between, spread_evenly
from aecli.data.source import (
    IN_MEMORY,
    Source,
    choose_source,
    option_words,
    parse_rescale,
    parse_size,
)
from aecli.data.staged import at_hand
from aecli.data.stored import StoredImages, extremes

__all__ = [
    "DATA_VARIABLE",
    "EMBEDDED",
    "IN_MEMORY",
    "NAMED",
    "Bar",
    "DataDescription",
    "Dataset",
    "Rows",
    "Source",
    "Split",
    "StoredImages",
    "at_hand",
    "choose_source",
    "count_of",
    "counted",
    "dataset_names",
    "dataset_of",
    "extremes",
    "fetch_named",
    "files_of",
    "find_named",
    "list_named",
    "no_bar",
    "open_dataset",
    "option_words",
    "parse_rescale",
    "parse_size",
    "refuse_data_files",
    "reopen_dataset",
    "rows_at",
    "rows_between",
    "spread_evenly",
]
