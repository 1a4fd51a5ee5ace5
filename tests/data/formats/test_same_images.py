"""The same images with the same labels are the same data set in every format."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from aecli.config import Config, with_settings
from aecli.data import open_dataset
from aecli.run.checkpoint import load
from aecli.run.folder import RunFolder
from aecli.train.loop import train
from tests.data.examples import png, save_image
from tests.data.formats.test_saved import pa


def _write_all(folder: Path) -> dict[str, str]:
    """Write the first digits, sorted by class, in every format; return what opens each."""
    h5py = pytest.importorskip("h5py")
    from scipy.io import savemat

    digits = load_digits()
    order = np.argsort(digits.target[:60], kind="stable")
    pixels = np.round(digits.images[:60] * 255 / 16).astype(np.uint8)[order]
    labels = digits.target[:60][order]
    names = [f"{label}/{row:02}.png" for row, label in enumerate(labels)]
    with (
        zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        tarfile.open(folder / "x.tar", "w") as tar,
    ):
        for name, image in zip(names, pixels, strict=True):
            data = png(image)
            save_image(folder / "images" / name, image)
            archive.writestr(name, data)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    np.savez(folder / "x.npz", latents=np.zeros((60, 2)), digits=pixels, y=labels)
    with h5py.File(folder / "x.h5", "w") as file:
        file["digits"], file["y"] = pixels, labels
    savemat(folder / "x.mat", {"digits": np.moveaxis(pixels, 0, -1), "y": labels})
    table = np.column_stack([labels, pixels.reshape(60, -1)])
    np.savetxt(folder / "x.csv", table, "%d", ",")
    saved = folder / "saved"
    saved.mkdir()
    (saved / "state.json").write_text("{}")
    columns = pa.table({"image": [{"bytes": png(image)} for image in pixels], "label": labels})
    with (saved / "data-0.arrow").open("wb") as raw, pa.ipc.new_stream(raw, columns.schema) as to:
        to.write_table(columns)
    places = ("images", "x.zip", "x.tar", "x.npz:digits", "x.h5:/digits", "x.mat", "x.csv", "saved")
    return {place: str(folder / place) for place in places}


def test_all_formats_agree_and_train_the_same_model(tmp_path: Path, small_config: Config) -> None:
    found = {place: open_dataset(path) for place, path in _write_all(tmp_path).items()}
    assert len({dataset.fingerprint for dataset in found.values()}) == 1
    first = found["images"]
    assert first.labels is not None
    for dataset in found.values():
        assert dataset.labels is not None
        assert dataset.labels.tolist() == first.labels.tolist()
        assert dataset.splits_digest == first.splits_digest
    models = set()
    for place, dataset in found.items():
        run = RunFolder(tmp_path / f"run {place.replace('/', ' ')}")
        train(dataset, with_settings(small_config, {"epochs": 2, "batch_size": 16}), run)
        models.add(load(run.last).model_hash)
    assert len(models) == 1
