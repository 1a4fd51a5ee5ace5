"""A trained encoder and decoder as ONNX graphs, written with the helpers of the package onnx.

Opset 17, which runtimes since 2022 read: layer normalization came with it, and gelu, which came
later, is written out.
"""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

from aecli import __version__
from aecli.export.interface import Interface
from aecli.model import network
from aecli.model.conv import STRIDE, Patches
from aecli.model.layers import Layer
from aecli.model.smoothing import NOTHING, SAME, Smoother, smoother_of
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

    def parameters(self, layer: Layer) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return the kernel and the bias of a layer."""
        name = ".".join(["parameters", *map(str, layer.path)])
        return self._tensors[f"{name}.kernel"], self._tensors[f"{name}.bias"]

    def model(
        self, name: str, given: "ValueInfoProto", result: "ValueInfoProto", about: Mapping[str, str]
    ) -> "ModelProto":
        """Return the whole model."""
        constants = [numpy_helper.from_array(v, name=n) for n, v in self.constants.items()]
        graph = helper.make_graph(self.nodes, name, [given], [result], constants)
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
    """Return the encoder: `interface.name`, of its type, to `codes`, float32 (n, d)."""
    graph = Graph(checkpoint.tensors)
    given = _value(interface.name, interface.dtype, interface.shape)
    rows = graph.node("Reshape", interface.name, graph.shape(math.prod(interface.shape)))
    rows = _to_unit_range(graph, rows, interface)
    smoother = smoother_of(checkpoint.tensors)
    if smoother is not None:
        rows = _smoothed(graph, rows, smoother)
    layers = network(checkpoint.config, interface.image_shape).encoder
    _layers(graph, rows, layers, "codes")
    result = _value("codes", np.dtype(np.float32), (checkpoint.config.latent,))
    return graph.model("encoder", given, result, about)


def decoder_graph(
    checkpoint: Checkpoint, interface: Interface, about: Mapping[str, str]
) -> "ModelProto":
    """Return the decoder: `codes`, float32 (n, d), to `interface.name`, float32."""
    graph = Graph(checkpoint.tensors)
    layers = network(checkpoint.config, interface.image_shape)
    given = _value("codes", np.dtype(np.float32), (checkpoint.config.latent,))
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


def _smoothed(graph: Graph, rows: str, smoother: Smoother) -> str:
    """Return what an encoder sees of rows of pixels in 0..1: see `model.smoothing`."""
    components = np.asarray(smoother.components)
    memory = graph.constant("smoother.memory", smoother.memory)
    centred = graph.node("Sub", rows, graph.constant("smoother.mean", smoother.mean))
    to_own = graph.constant("smoother.to_coordinates", components.T)
    own = graph.node("MatMul", centred, to_own)
    products = graph.node(
        "MatMul", own, graph.constant("smoother.memory_columns", smoother.memory.T)
    )
    lengths = graph.node("ReduceSumSquare", own, axes=[1], keepdims=1)
    both = graph.node("Add", lengths, graph.constant("smoother.lengths", smoother.squared_lengths))
    twice = graph.node("Mul", products, graph.constant("two", np.float32(2)))
    squared = graph.node("Sub", both, twice)
    far = graph.node("Div", squared, graph.constant("smoother.bandwidth", smoother.bandwidth))
    logits = graph.node("Sub", graph.constant("smoother.log_counts", smoother.log_counts), far)
    least = graph.node("Mul", both, graph.constant("same", np.float32(SAME)))
    equal = graph.node("LessOrEqual", squared, least)
    logits = graph.node("Where", equal, graph.constant("nothing", np.float32(NOTHING)), logits)
    weights = graph.node("Softmax", logits, axis=1)
    means = graph.node("MatMul", weights, memory)
    return graph.node("MatMul", means, graph.constant("smoother.components", components))


def _layers(graph: Graph, values: str, layers: tuple[Layer, ...], name: str | None = None) -> str:
    """Add layers one after the other, to rows of values; the last result is called `name`."""
    for layer in layers:
        values = _PRODUCTS[type(layer).__name__](graph, values, layer)
        values = _ACTIVATIONS[layer.activation](graph, values)
        if layer.normalize:
            width = layer.output[-1]
            scale = graph.constant(f"ones_{width}", np.ones(width, np.float32))
            values = graph.node("LayerNormalization", values, scale, axis=-1, epsilon=_EPSILON)
        if len(layer.output) > 1:
            values = graph.node("Reshape", values, graph.shape(math.prod(layer.output)))
    return values if name is None else graph.node("Identity", values, name=name)


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

    def number(name: str, value: float) -> str:
        return graph.constant(name, np.float32(value))

    cube = graph.node("Mul", graph.node("Mul", values, values), values)
    small = graph.node("Mul", cube, number("gelu.cubic", 0.044715))
    slope = number("gelu.slope", np.sqrt(2 / np.pi))
    inner = graph.node("Mul", graph.node("Add", values, small), slope)
    share = graph.node("Add", graph.node("Tanh", inner), number("one", 1))
    half = graph.node("Mul", values, number("half", 0.5))
    return graph.node("Mul", half, share)


def _silu(graph: Graph, values: str) -> str:
    return graph.node("Mul", values, graph.node("Sigmoid", values))


def _same_name(operator: str) -> Callable[[Graph, str], str]:
    return lambda graph, values: graph.node(operator, values)


# A new kind of layer needs its product here, a new activation its operators.
_PRODUCTS: dict[str, Callable[[Graph, str, Any], str]] = {"Dense": _dense, "Patches": _patches}
_ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "linear": lambda graph, values: values,
    "sigmoid": _same_name("Sigmoid"),
    "tanh": _same_name("Tanh"),
    "relu": _same_name("Relu"),
    "elu": _same_name("Elu"),
    "gelu": _gelu,
    "silu": _silu,
}
