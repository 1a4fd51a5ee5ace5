"""A trained encoder and decoder as ONNX graphs, written with the helpers of the package onnx.

Opset 17, which runtimes since 2022 read: layer normalization came with it, and gelu, which came
later, is written out.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

from aecli import __version__
from aecli.export.interface import Interface
from aecli.model import network
from aecli.model import references as placing
from aecli.model.conv import STRIDE, Patches
from aecli.model.layers import Layer
from aecli.model.references import References, references_of
from aecli.pixels import scale_of
from aecli.run.checkpoint import Checkpoint

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

OPSET = 17
# The version of the file format that belongs to it.
_IR_VERSION = 8
_EPSILON = 1e-5  # Of jax.nn.standardize.
_BATCH = "n"
_AXES = ["DATA_BATCH", "DATA_FEATURE", "DATA_FEATURE", "DATA_CHANNEL"]


class Graph:
    """Nodes and constants on their way into a graph; the methods return names of values."""

    def __init__(self, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, npt.NDArray[Any]] = {}
        self._tensors = tensors

    def node(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Add an operator with one output, which is called `name` where that is given."""
        output = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def constant(self, name: str, values: npt.ArrayLike) -> str:
        """Add an array."""
        self.constants[name] = np.ascontiguousarray(values)
        return name

    def shape(self, *lengths: int) -> str:
        """Add the shape of a batch of any size of values of these lengths."""
        return self.constant(f"shape_{'x'.join(map(str, lengths))}", np.array([-1, *lengths]))

    def number(self, name: str, value: float) -> str:
        """Add a number, float32."""
        return self.constant(name, np.float32(value))

    def whole(self, name: str, *values: int) -> str:
        """Add whole numbers, int64."""
        return self.constant(name, np.array(values, np.int64))

    def unsqueezed(self, values: str, axis: int) -> str:
        """Add an axis of length 1."""
        return self.node("Unsqueeze", values, self.whole(f"axis_{axis}", axis))

    def total(self, values: str, keepdims: int = 1) -> str:
        """Add the sum over the second axis."""
        return self.node("ReduceSum", values, self.whole("axis_1", 1), keepdims=keepdims)

    def smallest(self, values: str, count: int) -> tuple[str, str]:
        """Add the smallest numbers of rows, ascending, and their places; the first of equals."""
        places = f"places_{len(self.nodes)}"
        found = f"smallest_{len(self.nodes)}"
        inputs = [values, self.whole("count", count)]
        node = helper.make_node("TopK", inputs, [found, places], found, axis=1, largest=0, sorted=1)
        self.nodes.append(node)
        return found, places

    def parameters(self, layer: Layer) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return the kernel and the bias of a layer."""
        name = ".".join(["parameters", *map(str, layer.path)])
        return self._tensors[f"{name}.kernel"], self._tensors[f"{name}.bias"]

    def model(
        self,
        name: str,
        given: "Sequence[ValueInfoProto]",
        result: "ValueInfoProto",
        about: Mapping[str, str],
    ) -> "ModelProto":
        """Return the whole model."""
        constants = [numpy_helper.from_array(v, name=n) for n, v in self.constants.items()]
        graph = helper.make_graph(self.nodes, name, list(given), [result], constants)
        model = helper.make_model(
            graph,
            ir_version=_IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="aecli",
            producer_version=__version__,
        )
        helper.set_model_props(model, dict(about))
        return model


def encoder_graph(
    checkpoint: Checkpoint, interface: Interface, about: Mapping[str, str]
) -> "ModelProto":
    """Return the encoder: `interface.name`, of its type, to `codes`, float32 (n, d).

    Where images are placed by features, these go in too, as `features`.
    """
    graph = Graph(checkpoint.tensors)
    given = [_value(interface.name, interface.dtype, interface.shape)]
    if interface.features is not None:
        given.append(_value("features", np.dtype(np.float32), (interface.features,)))
    rows = graph.node("Reshape", interface.name, graph.shape(math.prod(interface.shape)))
    rows = _to_unit_range(graph, rows, interface)
    layers = network(checkpoint.config, interface.image_shape).encoder
    codes = _layers(graph, rows, layers)
    references = references_of(checkpoint.tensors)
    if references is not None:
        placed_by = rows if interface.features is None else "features"
        codes = _placed(graph, placed_by, codes, references)
    graph.node("Identity", codes, name="codes")
    result = _value("codes", np.dtype(np.float32), (checkpoint.config.latent,))
    return graph.model("encoder", given, result, about)


def decoder_graph(
    checkpoint: Checkpoint, interface: Interface, about: Mapping[str, str]
) -> "ModelProto":
    """Return the decoder: `codes`, float32 (n, d), to `interface.name`, float32."""
    graph = Graph(checkpoint.tensors)
    layers = network(checkpoint.config, interface.image_shape)
    given = [_value("codes", np.dtype(np.float32), (checkpoint.config.latent,))]
    rows = _layers(graph, "codes", layers.decoder)
    if layers.clips and layers.decoder[-1].activation != "sigmoid":
        ends = [graph.constant(f"{end}", np.float32(end)) for end in (0, 1)]
        rows = graph.node("Clip", rows, *ends)
    if interface.of_vectors:
        rows = _in_units(graph, rows, interface)
    graph.node("Reshape", rows, graph.shape(*interface.shape), name=interface.name)
    result = _value(interface.name, np.dtype(np.float32), interface.shape)
    return graph.model("decoder", given, result, about)


def _value(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> "ValueInfoProto":
    """Return an input or output: a batch of any size, of values of this shape."""
    axes = _AXES if len(shape) == 3 else _AXES[:2]
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    return helper.make_tensor_value_info(name, kind, [_BATCH, *shape], shape_denotation=axes)


def _to_unit_range(graph: Graph, rows: str, interface: Interface) -> str:
    """Return rows as the model sees them; those of a range of their own are float64 meanwhile."""
    if interface.units is None:
        if interface.dtype.kind == "f":
            return rows
        rows = graph.node("Cast", rows, to=TensorProto.FLOAT)
        return graph.node(
            "Div", rows, graph.constant("white", np.float32(scale_of(interface.dtype)))
        )
    rows = graph.node("Cast", rows, to=TensorProto.DOUBLE)
    rows = graph.node("Sub", rows, graph.constant("low", interface.units.low))
    rows = graph.node("Div", rows, graph.constant("span", interface.units.span))
    return graph.node("Cast", rows, to=TensorProto.FLOAT)


def _in_units(graph: Graph, rows: str, interface: Interface) -> str:
    """Return standardised rows in their own units."""
    mean, deviation = np.array(interface.data.source.columns)
    rows = graph.node("Cast", rows, to=TensorProto.DOUBLE)
    rows = graph.node("Mul", rows, graph.constant("deviation", deviation))
    rows = graph.node("Add", rows, graph.constant("mean", mean))
    return graph.node("Cast", rows, to=TensorProto.FLOAT)


def _placed(graph: Graph, rows: str, codes: str, references: References) -> str:
    """Return where rows are placed whose codes the encoder gives: see `model.references`."""
    squared, found = _nearest(graph, rows, references)
    far, zero = graph.number("far", placing.FAR), graph.number("zero", 0)
    others = graph.node("Where", graph.node("Greater", squared, zero), squared, far)
    nearest = graph.node("ReduceMin", others, axes=[1], keepdims=1)
    closer = graph.node("Min", graph.node("Sub", nearest, squared), zero)
    bandwidth = graph.constant("references.bandwidth", references.bandwidth)
    weights = graph.node("Exp", graph.node("Div", closer, bandwidth))
    weights = graph.node("Where", graph.node("Less", squared, far), weights, zero)
    weights = graph.node("Div", weights, graph.total(weights))
    own_weight = graph.number("own_weight", placing.OWN_WEIGHT)
    weights = graph.node("Pad", weights, graph.whole("one_column_more", 0, 0, 0, 1), own_weight)
    theirs = graph.node("Gather", graph.constant("references.codes", references.codes), found)
    points = graph.node("Concat", theirs, graph.unsqueezed(codes, 1), axis=1)
    width = graph.constant("references.code_bandwidth", references.code_bandwidth)

    def kernels(points: str, centre: str, weights: str) -> str:
        away = graph.node("Sub", points, centre)
        distances = graph.node("ReduceSumSquare", away, axes=[-1], keepdims=0)
        falling = graph.node("Exp", graph.node("Div", graph.node("Neg", distances), width))
        return graph.node("Mul", weights, falling)

    pairs = graph.unsqueezed(points, 2), graph.unsqueezed(points, 1)
    densities = graph.total(kernels(*pairs, graph.unsqueezed(weights, 2)), keepdims=0)
    densest = graph.unsqueezed(graph.node("ArgMax", densities, axis=1, keepdims=1), 2)
    latent = references.codes.shape[1]
    densest = graph.node("Expand", densest, graph.whole("each_number", 1, 1, latent))
    centre = graph.node("GatherElements", points, densest, axis=1)
    for _ in range(placing.STEPS):
        near = graph.unsqueezed(kernels(points, centre, weights), 2)
        sums = graph.total(graph.node("Mul", near, points))
        centre = graph.node("Div", sums, graph.total(near))
    return graph.node("Reshape", centre, graph.shape(latent))


def _nearest(graph: Graph, rows: str, references: References) -> tuple[str, str]:
    """Return the squared distances of rows to the nearest references, and which these are.

    As `References` finds them, so that of equally near ones the same are taken.
    """
    centred = graph.node("Sub", rows, graph.constant("references.mean", references.mean))
    components = graph.constant("references.components", np.asarray(references.components).T)
    own = graph.node("MatMul", centred, components)
    own = graph.node("Div", own, graph.constant("references.step", references.step))
    ends = graph.number("lowest", -placing.LEVELS), graph.number("highest", placing.LEVELS)
    own = graph.node("Clip", graph.node("Round", own), *ends)
    total = len(references.coordinates)
    count, groups = min(placing.NEIGHBORS, total), -(-total // placing.GROUP)
    filled = groups * placing.GROUP - total if groups >= count else 0
    squared = _squared_distances(graph, own, np.asarray(references.coordinates), filled)
    if groups < count:
        return graph.smallest(squared, count)
    grouped = graph.node("Reshape", squared, graph.shape(placing.GROUP, groups))
    _, within = graph.smallest(graph.node("ReduceMin", grouped, axes=[1], keepdims=0), count)
    spread = graph.whole("each_of_a_group", 1, placing.GROUP, 1)
    chosen = graph.node("Expand", graph.unsqueezed(within, 1), spread)
    left = graph.node("GatherElements", grouped, chosen, axis=2)
    left = graph.node("Reshape", left, graph.shape(placing.GROUP * count))
    nearest, place = graph.smallest(left, count)
    per_row = graph.whole("count", count)
    group = graph.node("GatherElements", within, graph.node("Mod", place, per_row), axis=1)
    first = graph.node("Mul", graph.node("Div", place, per_row), graph.whole("groups", groups))
    found = graph.node("Add", first, group)
    return nearest, graph.node("Min", found, graph.whole("last", total - 1))


def _squared_distances(
    graph: Graph, own: str, coordinates: npt.NDArray[np.int8], filled: int
) -> str:
    """Return the squared distances of whole numbers to others: one product, as `References` has it.

    To what is `filled` in they are `FAR`.
    """
    lengths = np.square(coordinates.astype(np.float32)).sum(axis=1)
    ends = np.stack([np.ones_like(lengths), lengths])
    ends = np.pad(ends, [(0, 0), (0, filled)])
    ends[1, len(lengths) :] = placing.FAR
    whole = np.pad(coordinates, [(0, filled), (0, 0)]).T
    columns = graph.constant("references.coordinates", whole)
    columns = graph.node("Cast", columns, to=TensorProto.FLOAT)
    right = graph.node("Concat", columns, graph.constant("references.ends", ends), axis=0)
    own_lengths = graph.node("ReduceSumSquare", own, axes=[1], keepdims=1)
    margins = graph.whole("one_column_more", 0, 0, 0, 1)
    own_ends = graph.node("Pad", own_lengths, margins, graph.number("one", 1))
    twice = graph.node("Mul", own, graph.number("minus_two", -2))
    return graph.node("MatMul", graph.node("Concat", twice, own_ends, axis=1), right)


def _layers(graph: Graph, values: str, layers: tuple[Layer, ...]) -> str:
    """Add layers one after the other, to rows of values."""
    for layer in layers:
        values = _PRODUCTS[layer.kind](graph, values, layer)
        name, *numbers = layer.activation.split()
        values = _ACTIVATIONS[name](graph, values, *map(int, numbers))
        if layer.normalize:
            width = layer.output[-1]
            scale = graph.constant(f"ones_{width}", np.ones(width, np.float32))
            values = graph.node("LayerNormalization", values, scale, axis=-1, epsilon=_EPSILON)
        if len(layer.output) > 1:
            values = graph.node("Reshape", values, graph.shape(math.prod(layer.output)))
    return values


def _dense(graph: Graph, values: str, layer: Layer) -> str:
    kernel, bias = graph.parameters(layer)
    name = ".".join(map(str, layer.path))
    constants = graph.constant(f"{name}.kernel", kernel), graph.constant(f"{name}.bias", bias)
    return graph.node("Gemm", values, *constants)


def _patches(graph: Graph, values: str, layer: Patches) -> str:
    """Add a convolution: rows of images (h, w, c) to features (n, rows, columns, f)."""
    kernel, bias = graph.parameters(layer)
    name = ".".join(map(str, layer.path))
    images = graph.node("Reshape", values, graph.shape(*layer.input))
    channels_first = graph.node("Transpose", images, perm=[0, 3, 1, 2])
    constants = (
        graph.constant(f"{name}.kernel", kernel.transpose(3, 2, 0, 1)),
        graph.constant(f"{name}.bias", bias),
    )
    (top, bottom), (left, right) = layer.margins
    pads = [top, left, bottom, right]
    strides = [STRIDE, STRIDE]
    features = graph.node("Conv", channels_first, *constants, pads=pads, strides=strides)
    return graph.node("Transpose", features, perm=[0, 2, 3, 1])


def _gelu(graph: Graph, values: str) -> str:
    """Add gelu by its tangent: x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))."""
    cube = graph.node("Mul", graph.node("Mul", values, values), values)
    small = graph.node("Mul", cube, graph.number("gelu.cubic", 0.044715))
    slope = graph.number("gelu.slope", np.sqrt(2 / np.pi))
    inner = graph.node("Mul", graph.node("Add", values, small), slope)
    share = graph.node("Add", graph.node("Tanh", inner), graph.number("one", 1))
    half = graph.node("Mul", values, graph.number("half", 0.5))
    return graph.node("Mul", half, share)


def _silu(graph: Graph, values: str) -> str:
    return graph.node("Mul", values, graph.node("Sigmoid", values))


def _largest(graph: Graph, values: str, count: int) -> str:
    """Add rows with their largest numbers alone, by size: see `model.sparse`."""
    smaller = graph.node("Neg", graph.node("Abs", values))
    found, _ = graph.smallest(smaller, count + 1)
    first_gone = graph.node("ReduceMax", found, axes=[1], keepdims=1)
    stays = graph.node("Less", smaller, first_gone)
    return graph.node("Where", stays, values, graph.number("zero", 0))


def _same_name(operator: str) -> Callable[[Graph, str], str]:
    return lambda graph, values: graph.node(operator, values)


# A new kind of layer needs its product here, a new activation its operators.
_PRODUCTS: dict[str, Callable[[Graph, str, Any], str]] = {"Dense": _dense, "Patches": _patches}
_ACTIVATIONS: dict[str, Callable[..., str]] = {
    "linear": lambda graph, values: values,
    "sigmoid": _same_name("Sigmoid"),
    "tanh": _same_name("Tanh"),
    "relu": _same_name("Relu"),
    "elu": _same_name("Elu"),
    "gelu": _gelu,
    "silu": _silu,
    "largest": _largest,
}
