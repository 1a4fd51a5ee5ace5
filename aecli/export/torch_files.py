"""A trained model for PyTorch: state dicts of two `nn.Sequential`, and the program that loads them.

Values lie in PyTorch's order there, (n, c, h, w) for images, and kernels are transposed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aecli import __version__
from aecli.errors import InputError
from aecli.export.interface import Interface, interface_of
from aecli.export.options import Exported, ExportOptions
from aecli.files import writing_together
from aecli.model import network
from aecli.model import references as placing
from aecli.model.conv import PATCH, STRIDE, Patches
from aecli.model.layers import ImageShape, Layer, Network
from aecli.model.references import References, references_of
from aecli.printable import printable
from aecli.run.checkpoint import Checkpoint, load
from aecli.run.folder import find_checkpoint, folder_of

FILES = ("encoder.safetensors", "decoder.safetensors", "load.py", "README.md")
_ACTIVATIONS = {
    "sigmoid": "nn.Sigmoid()",
    "tanh": "nn.Tanh()",
    "relu": "nn.ReLU()",
    "elu": "nn.ELU()",
    "gelu": 'nn.GELU(approximate="tanh")',
    "silu": "nn.SiLU()",
    "largest": "Largest({})",
}

_CONSTANTS = f"""\
NEIGHBORS, OWN_WEIGHT, STEPS = {placing.NEIGHBORS}, {placing.OWN_WEIGHT}, {placing.STEPS}
LEVELS, GROUP, FAR = {placing.LEVELS}, {placing.GROUP}, {placing.FAR}"""

Array = npt.NDArray[Any]
Places = npt.NDArray[np.int64]


@dataclass
class Sequential:
    """The modules of an `nn.Sequential`: how each is made, and the arrays of all by name."""

    modules: list[str] = field(default_factory=list)
    tensors: dict[str, Array] = field(default_factory=dict)

    def add(self, module: str, **tensors: npt.ArrayLike) -> None:
        """Add a module; its arrays are called as in the state dict of the whole."""
        for name, values in tensors.items():
            self.tensors[f"{len(self.modules)}.{name}"] = np.ascontiguousarray(values)
        self.modules.append(module)

    @property
    def source(self) -> str:
        """The modules as a program has them."""
        return "nn.Sequential(\n" + "".join(f"        {one},\n" for one in self.modules) + "    )"


def write(source: Path, folder: Path, options: ExportOptions) -> Exported:
    """Write the encoder and the decoder of a run for PyTorch, which need not be installed.

    Raises:
        InputError: there is no such run, or it places images by features.
        AecliError: the operating system refused.

    """
    from safetensors.numpy import save

    checkpoint = load(find_checkpoint(source))
    interface = interface_of(checkpoint, "float32")
    if interface.features is not None:
        raise InputError(
            f"{source} places images by features, which a Sequential does not take: choose "
            "--format onnx, whose encoder takes both"
        )
    layers = network(checkpoint.config, interface.image_shape)
    encoder = encoder_modules(checkpoint, interface, layers)
    decoder = decoder_modules(checkpoint, interface, layers)
    run = folder_of(source).path.resolve().name
    about = {"model_sha256": checkpoint.model_hash, "aecli_version": __version__}
    words = _words(checkpoint, interface)
    texts = {
        "load.py": _program(encoder, decoder, words),
        "README.md": _readme(run, checkpoint, words, interface.outside_words),
    }
    contents = {
        "encoder.safetensors": save(encoder.tensors, metadata=about),
        "decoder.safetensors": save(decoder.tensors, metadata=about),
        **{name: text.encode() for name, text in texts.items()},
    }
    with writing_together(replace=options.replace) as together:
        for name in FILES:
            together.write(folder / name, contents[name])
    before = f"; before it: {interface.outside_words}" if interface.outside_words else ""
    line = f"wrote {', '.join(FILES)} to {folder}; {words['input']}{before}"
    return Exported(tuple(folder / name for name in FILES), line, words)


def encoder_modules(checkpoint: Checkpoint, interface: Interface, layers: Network) -> Sequential:
    """Return the modules from images (n, c, h, w), or vectors (n, p), to codes (n, d)."""
    modules = Sequential()
    if interface.units is not None:
        low, span = interface.units
        modules.add(f"Rescale({low.size})", low=low, span=span)
    references = references_of(checkpoint.tensors)
    if references is None:
        _add_encoder(modules, checkpoint, interface, layers)
    else:
        own = Sequential()
        _add_encoder(own, checkpoint, interface, layers)
        _add_references(modules, own, references, _channels_first(interface.image_shape))
    return modules


def _add_encoder(
    modules: Sequential, checkpoint: Checkpoint, interface: Interface, layers: Network
) -> None:
    order: Places | None = _channels_first(interface.image_shape)
    has_patches = isinstance(layers.encoder[0], Patches)
    if interface.of_vectors and has_patches:
        modules.add(f"nn.Unflatten(1, {_channels_first_shape(interface.image_shape)})")
    elif not interface.of_vectors and not has_patches:
        modules.add("nn.Flatten()")
    for layer in layers.encoder:
        if isinstance(layer, Patches):
            order = _add_patches(modules, layer, checkpoint)
        else:
            _add_dense(modules, layer, checkpoint, inputs=order)
            order = None


def decoder_modules(checkpoint: Checkpoint, interface: Interface, layers: Network) -> Sequential:
    """Return the modules from codes (n, d) to images (n, c, h, w), or vectors (n, p)."""
    modules = Sequential()
    order = _channels_first(interface.image_shape)
    for layer in layers.decoder:
        outputs = order if layer is layers.decoder[-1] else None
        _add_dense(modules, layer, checkpoint, outputs=outputs)
    if layers.clips and layers.decoder[-1].activation != "sigmoid":
        modules.add("nn.Hardtanh(0, 1)")
    if interface.of_vectors:
        mean, deviation = np.array(interface.data.source.columns)
        modules.add(f"InUnits({mean.size})", mean=mean, deviation=deviation)
    else:
        modules.add(f"nn.Unflatten(1, {_channels_first_shape(interface.image_shape)})")
    return modules


def _channels_first(shape: tuple[int, ...]) -> Places:
    """Return where each number of a flat (c, h, w) lies in the flat (h, w, c) of a shape."""
    places = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    return places.transpose(2, 0, 1).reshape(-1)


def _channels_first_shape(shape: ImageShape) -> ImageShape:
    height, width, channels = shape
    return channels, height, width


def _add_dense(
    modules: Sequential,
    layer: Layer,
    checkpoint: Checkpoint,
    *,
    inputs: Places | None = None,
    outputs: Places | None = None,
) -> None:
    """Add a dense layer whose inputs and outputs have another order than the run's."""
    kernel, bias = _parameters(layer, checkpoint)
    if inputs is not None:
        kernel = kernel[inputs]
    if outputs is not None:
        kernel, bias = kernel[:, outputs], bias[outputs]
    modules.add(f"nn.Linear({kernel.shape[0]}, {kernel.shape[1]})", weight=kernel.T, bias=bias)
    _add_ending(modules, layer)


def _add_patches(modules: Sequential, layer: Patches, checkpoint: Checkpoint) -> Places:
    """Add a convolution, and make its features rows; return the order that these have then."""
    kernel, bias = _parameters(layer, checkpoint)
    (top, bottom), (left, right) = layer.margins
    modules.add(f"nn.ZeroPad2d({(left, right, top, bottom)})")
    _, _, channels, features = layer.kernel
    modules.add(
        f"nn.Conv2d({channels}, {features}, {PATCH}, stride={STRIDE})",
        weight=kernel.transpose(3, 2, 0, 1),
        bias=bias,
    )
    _add_ending(modules, layer)
    modules.add("nn.Flatten()")
    return _channels_first(layer.output)


def _add_ending(modules: Sequential, layer: Layer) -> None:
    if layer.activation != "linear":
        name, *numbers = layer.activation.split()
        modules.add(_ACTIVATIONS[name].format(*numbers))
    if layer.normalize:
        modules.add(f"nn.LayerNorm({layer.output[-1]}, eps=1e-5, elementwise_affine=False)")


def _add_references(
    modules: Sequential, own: Sequential, references: References, order: Places
) -> None:
    """Add what places images among references; `own` are the modules of the encoder alone."""
    rows, width = references.coordinates.shape
    inner = own.source.replace("\n", "\n    ")
    modules.add(
        f"Placing({inner}, {len(references.mean)}, {width}, {rows}, {references.codes.shape[1]})",
        **{f"encoder.{name}": values for name, values in own.tensors.items()},
        mean=references.mean[order],
        components=references.components[:, order],
        step=references.step,
        coordinates=references.coordinates,
        codes=references.codes,
        bandwidth=references.bandwidth,
        code_bandwidth=references.code_bandwidth,
    )


def _parameters(layer: Layer, checkpoint: Checkpoint) -> tuple[Array, Array]:
    name = ".".join(["parameters", *map(str, layer.path)])
    return checkpoint.tensors[f"{name}.kernel"], checkpoint.tensors[f"{name}.bias"]


def _words(checkpoint: Checkpoint, interface: Interface) -> dict[str, str]:
    """Return what goes in and comes out, in PyTorch's order of axes."""
    shape = interface.shape
    if not interface.of_vectors:
        shape = _channels_first_shape(interface.image_shape)
    axes = f"(n, {', '.join(map(str, shape))})"
    *_, taken = interface.input_words.rpartition("), ")
    *_, given = interface.output_words.rpartition("), ")
    return {
        "input": f"{interface.name}: float32 {axes}, {taken}",
        "codes": f"codes: float32 (n, {checkpoint.config.latent})",
        "output": f"{interface.name}: float32 {axes}, {given}",
    }


def _program(encoder: Sequential, decoder: Sequential, words: Mapping[str, str]) -> str:
    """Return the program that loads both, with those classes alone that they need.

    No name of a run or of data stands in it: they are anybody's, and could end a string.
    """
    template = (files("aecli.export") / "load.py.txt").read_text("utf-8")
    made = {module.partition("(")[0] for module in encoder.modules + decoder.modules}
    blocks = [
        block
        for block in template.split("\n\n\n")
        if not block.startswith("class ") or _class_name(block) in made
        if block != "CONSTANTS" or "Placing" in made
    ]
    text = "\n\n\n".join(blocks)
    name, _, _ = words["input"].partition(":")
    for mark, filled in {
        "VERSION": __version__,
        "INPUT_WORDS": words["input"],
        "CODES_WORDS": words["codes"],
        "OUTPUT_WORDS": f"again: {words['output'].partition(': ')[2]}",
        "CONSTANTS": _CONSTANTS,
        "INPUT": name,
        "ENCODER": encoder.source,
        "DECODER": decoder.source,
    }.items():
        text = text.replace(mark, filled, 1)
    return text


def _class_name(block: str) -> str:
    return block.removeprefix("class ").partition("(")[0]


def _readme(run: str, checkpoint: Checkpoint, words: Mapping[str, str], before: str) -> str:
    """Return the page that says how the files are used."""
    name, _, _ = words["input"].partition(":")
    first = f"\nBefore they go in, as `aecli encode` does it: {before}.\n" if before else ""
    return f"""\
# {printable(run)} for PyTorch

The autoencoder that aecli {__version__} learned from {printable(checkpoint.data.name)}, {
        checkpoint.config.recipe
    } recipe, epoch {checkpoint.epoch}.

```python
from load import load  # load.py, in this folder

encoder, decoder = load()
codes = encoder({name})
again = decoder(codes)
```

- {words["input"]}
- {words["codes"]}
- again: {words["output"].partition(": ")[2]}
{first}
`encoder.safetensors` and `decoder.safetensors` are the state dicts of the two `nn.Sequential` that
`load.py` makes; they hold no code. Model {checkpoint.model_hash}.
"""
