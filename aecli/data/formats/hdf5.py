"""HDF5 files: the only array that can be images, or the one that `PATH:/NAME` names."""

from aecli.data.dataset import Dataset
from aecli.data.format import Format
from aecli.data.hdf5_file import MAGIC, open_hdf5
from aecli.data.named_arrays import axes_text, choose_array
from aecli.data.progress import Bar
from aecli.data.single_array import dataset_of_array
from aecli.data.source import Source, located
from aecli.labels import Labelling, labels_of_array


def _read(source: Source, bar: Bar) -> Dataset:
    path, named = located(source.location)
    with open_hdf5(path) as file:
        name = None if named is None else named.strip("/")
        chosen = choose_array(file.shapes, name, str(path))
        images = file.read(chosen.images)
        label = chosen.labels

        def own() -> Labelling:
            return labels_of_array(file.read(str(label))[:], len(images), f"{path}:{label}")

        axes = axes_text(images.shape, is_last=False)
        return dataset_of_array(source, images, own if label else None, chosen.left_out, axes)


FORMAT = Format(
    description="HDF5",
    matches=lambda path, start: start.startswith(MAGIC),
    read=_read,
    has_names=True,
)
