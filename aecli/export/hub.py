"""A folder that is ready for a model hub: the checkpoint, ONNX, and a model card with pictures."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from aecli import __version__
from aecli.background_import import importing
from aecli.config import SETTINGS
from aecli.data import Dataset, refuse_data_files
from aecli.export.interface import interface_of
from aecli.export.onnx_files import FILES as ONNX_FILES
from aecli.export.onnx_files import OnnxModels, onnx_models, reopened
from aecli.export.options import Exported, ExportOptions
from aecli.files import kind_of, writing_together
from aecli.model import network
from aecli.model.references import references_of
from aecli.printable import plural, printable, significant
from aecli.run.checkpoint import Checkpoint, load, to_bytes
from aecli.run.folder import RunFolder, find_checkpoint, folder_of

CHECKPOINT, CARD = "best.safetensors", "README.md"
MAP, RECONSTRUCTIONS, HISTORY = "map.png", "reconstructions.png", "history.png"
FILES = (CHECKPOINT, *ONNX_FILES, MAP, RECONSTRUCTIONS, HISTORY, CARD)
TEST_MSE = "test mse"
# Images that are shown with their reconstructions, and classes that are named.
_SHOWN, _CLASSES_NAMED = 10, 20


def write(source: Path, folder: Path, options: ExportOptions) -> Exported:
    """Write a run as a folder for a model hub; nothing is uploaded.

    The places of the data on this machine are left out of the checkpoint: file names alone remain.

    Raises:
        InputError: there is no such run, or it does not fit into the format.
        AecliError: the ONNX models differ from aecli's own, or the operating system refused.

    """
    path = find_checkpoint(source)
    checkpoint = load(path)
    interface = interface_of(checkpoint, options.input)
    with importing("aecli.export.proof"):
        dataset = reopened(checkpoint, options)
    paths = {name: folder / name for name in FILES}
    if dataset is not None:
        refuse_data_files(list(paths.values()), dataset)
    run = folder_of(source)
    name = run.path.resolve().name
    published = _without_places(checkpoint)
    models = onnx_models(checkpoint, interface, name, dataset)
    pictures = _pictures(run, checkpoint, dataset)
    card = _card(name, published, _scores(run, path), models, pictures)
    contents = {
        CHECKPOINT: to_bytes(published),
        **dict(zip(ONNX_FILES, models.contents, strict=True)),
        **pictures,
        CARD: card.encode(errors="backslashreplace"),
    }
    with writing_together(replace=options.replace) as together:
        for missing in paths.keys() - contents.keys():
            together.remove(paths[missing])
        for one, content in contents.items():
            together.write(paths[one], content)
    moved = published.data.source != checkpoint.data.source
    places = "; the data's place on this machine is left out" if moved else ""
    line = (
        f"wrote {', '.join(contents)} to {folder}, nothing is uploaded{places}; ONNX: "
        f"{models.words}; next: read {CARD}, and name a licence in it"
    )
    return Exported(tuple(paths[one] for one in contents), line, models.facts)


def _without_places(checkpoint: Checkpoint) -> Checkpoint:
    """Return the model of a checkpoint alone, which tells no folder of this machine."""
    source = checkpoint.data.source
    moved = replace(
        source,
        location=Path(source.location).name or source.location,
        labels=source.labels and Path(source.labels).name,
        features=source.features and Path(source.features).name,
    )
    return replace(
        checkpoint,
        data=replace(checkpoint.data, source=moved),
        tensors=checkpoint.encodes,
        layout=None,
        partial=None,
        history=(),
        environment=None,
    )


def _pictures(run: RunFolder, checkpoint: Checkpoint, dataset: Dataset | None) -> dict[str, bytes]:
    """Return the pictures that can be drawn, by name: the map, reconstructions, and the losses."""
    from aecli.encode import encode_split, reconstruct
    from aecli.plot.history import history_figure
    from aecli.plot.images import reconstructions_figure
    from aecli.plot.maps import MapStyle, map_figure
    from aecli.plot.save import figure_bytes

    figures = {}
    if dataset is not None:
        codes = encode_split(checkpoint, dataset, "test").gather()
        title = f"{dataset.name} test"
        figures[MAP] = map_figure(codes, MAP, style=MapStyle(title=title))
        shown = min(_SHOWN, dataset.count("test"))
        figures[RECONSTRUCTIONS] = reconstructions_figure(
            *reconstruct(checkpoint, dataset, shown),
            f"{title}: reconstructions from {checkpoint.config.latent} numbers",
            lines=dataset.standardised,
        )
    history = load(run.last).history if kind_of(run.last) == "file" else ()
    if history:
        title = f"{checkpoint.data.name}: loss by epoch"
        figures[HISTORY] = history_figure(history, checkpoint.config.validation_measure, title)
    return {name: figure_bytes(figure, ".png") for name, figure in figures.items()}


def _card(
    name: str,
    checkpoint: Checkpoint,
    scores: Mapping[str, float],
    models: OnnxModels,
    pictures: Collection[str],
) -> str:
    """Return the model card: YAML about the model between two lines, then Markdown."""
    config, data, facts = checkpoint.config, checkpoint.data, models.facts
    title, data_name = _markdown(name), _markdown(data.name)
    kind = models.interface.name
    besides = "" if models.interface.features is None else " --features FILE.npy"
    parts = [
        _front_matter(name, checkpoint, scores, kind),
        f"# {title}",
        f"A map of {data_name}: an autoencoder that turns each of its {kind} into a code of "
        f"{plural(config.latent, 'number')}, and any code back. Learned with aecli {__version__}, "
        f"recipe `{config.recipe}`.",
    ]
    parts += [f"![{_PICTURES[one]}]({one})" for one in pictures]
    parts += ["## Data", _table(_data_facts(checkpoint))]
    if scores:
        parts += ["## Scores", _table([(key, significant(one)) for key, one in scores.items()])]
    parts += [
        "## Use",
        "With aecli, which converts images as the run's own were:",
        f"```sh\naecli encode . IMAGES{besides} -o codes.npy\n"
        "aecli decode . codes.npy -o images.npy\n```",
        "With any runtime for ONNX, such as onnxruntime:",
        _ONNX_LINES.format(kind=kind, besides=', "features": features' if besides else ""),
        _table(
            [
                ("the encoder takes", facts["input"]),
                *([("before it", facts["before"])] if facts["before"] else []),
                ("it gives", f"codes: float32 (n, {config.latent})"),
                ("the decoder gives", facts["output"]),
                ("compared", models.proof.words),
            ]
        ),
        "## Training",
        _table(_training_facts(checkpoint)),
        "## Limits",
        _limits(checkpoint),
    ]
    return "\n\n".join(parts) + "\n"


_PICTURES = {
    MAP: "The map of the test images",
    RECONSTRUCTIONS: "Test images and their reconstructions",
    HISTORY: "The losses by epoch",
}
_ONNX_LINES = """\
```python
import onnxruntime

encoder = onnxruntime.InferenceSession("encoder.onnx")
decoder = onnxruntime.InferenceSession("decoder.onnx")
(codes,) = encoder.run(None, {{"{kind}": {kind}{besides}}})
(again,) = decoder.run(None, {{"codes": codes}})
```"""


def _front_matter(name: str, checkpoint: Checkpoint, scores: Mapping[str, float], kind: str) -> str:
    """Return what hubs read: YAML whose values are JSON, which YAML takes as it is."""
    tags = ["autoencoder", "dimensionality-reduction", "embedding", "visualization", "onnx"]
    about: dict[str, Any] = {"library_name": "aecli", "tags": tags}
    if kind == "images":
        about["pipeline_tag"] = "image-feature-extraction"
    if TEST_MSE in scores:
        data = printable(checkpoint.data.name)
        metric = {"type": "mse", "name": TEST_MSE, "value": scores[TEST_MSE]}
        result = {
            "task": {"type": "image-feature-extraction", "name": "reconstruction"},
            "dataset": {"type": data, "name": data, "split": "test"},
            "metrics": [metric],
        }
        about["model-index"] = [{"name": printable(name), "results": [result]}]
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in about.items()]
    return "\n".join(["---", *lines, "---"])


def _scores(run: RunFolder, path: Path) -> dict[str, float]:
    """Return what the end of the training found out about a run's best model, by name."""
    summary = (run.read_summary() or {}) if path == run.best else {}
    named = ((TEST_MSE, "test_mse"), ("the same of PCA", "pca_mse"))
    return {name: value for name, key in named if (value := summary.get(key)) is not None}


def _data_facts(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    data = checkpoint.data
    names = data.all_class_names
    rows = [
        ("name", data.name),
        ("shape", "x".join(map(str, data.image_shape))),
        ("rows", ", ".join(f"{count:,} {split}" for split, count in data.rows.items())),
        ("fingerprint", f"sha256 {data.fingerprint}"),
    ]
    if names:
        shown = ", ".join(names[:_CLASSES_NAMED])
        more = ", ..." if len(names) > _CLASSES_NAMED else ""
        rows.insert(3, ("classes", f"{len(names):,}: {shown}{more}"))
    return rows


def _training_facts(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    config = checkpoint.config
    layers = network(config, checkpoint.data.image_shape)
    rows = [
        ("layers", f"{layers}; the decoder mirrors the hidden ones"),
        ("parameters", f"{checkpoint.parameter_count:,}"),
        ("epoch", f"{checkpoint.epoch} of {config.epochs}"),
        (f"validation {config.validation_measure}", significant(checkpoint.best.validation_loss)),
        ("model", f"sha256 {checkpoint.model_hash}"),
    ]
    settings = ((name, one.show(getattr(config, name))) for name, one in SETTINGS.items())
    return [*rows, *((f"`--{name.replace('_', '-')}`", value) for name, value in settings)]


def _limits(checkpoint: Checkpoint) -> str:
    """Return what readers should know before they trust the model, or pass it on."""
    texts = [
        "A code says where an image lies among those that the map was learned from; images of "
        "another kind get a code too, which means little."
    ]
    if checkpoint.config.label_weight:
        texts.append(
            "Labels were used in training: that the map parts the classes is no discovery."
        )
    references = references_of(checkpoint.tensors)
    if references is not None:
        rows, width = references.coordinates.shape
        by = "features" if checkpoint.places_by_features else "pixels"
        texts.append(
            f"The encoder holds {rows:,} training images, the {by} of each as {width:,} principal "
            "components: rough copies of these can be made from the file."
        )
    return "\n\n".join(texts)


def _table(rows: Iterable[tuple[str, str]]) -> str:
    """Return names and values as a table of Markdown."""
    lines = [f"| {name} | {_markdown(value)} |" for name, value in rows]
    return "\n".join(["| | |", "|---|---|", *lines])


def _markdown(text: str) -> str:
    """Return a text, maybe anybody's, that means nothing to Markdown nor HTML."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", printable(text))
