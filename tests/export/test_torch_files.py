"""State dicts for PyTorch: by their names and shapes in numpy, and in PyTorch where it is."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from aecli.cli import main
from aecli.export.graph import decoder_graph, encoder_graph
from aecli.export.interface import interface_of
from aecli.export.torch_files import Sequential, decoder_modules, encoder_modules
from aecli.model import network
from tests.export.conftest import Untrained
from tests.export.test_onnx_files import COLOR, GRAY, VECTORS, run_onnx
from tests.kinds import KINDS


def _linear(values: Any, weight: Any, bias: Any) -> Any:
    return values @ weight.T + bias


def _conv(values: Any, weight: Any, bias: Any, stride: int) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(values, weight.shape[2:], axis=(2, 3))
    sums = np.einsum("nchwij,ocij->nohw", windows[:, :, ::stride, ::stride], weight)
    return sums + bias[:, np.newaxis, np.newaxis]


def _pad(values: Any, margins: tuple[int, int, int, int]) -> Any:
    left, right, top, bottom = margins
    return np.pad(values, [(0, 0), (0, 0), (top, bottom), (left, right)])


def _norm(values: Any) -> Any:
    centred = values - values.mean(-1, keepdims=True)
    return centred / np.sqrt(centred.var(-1, keepdims=True) + 1e-5)


# What the modules of PyTorch do, as its documentation says; each takes values and its own arrays.
NN = SimpleNamespace(
    Sequential=lambda *modules: modules,
    Linear=lambda inputs, outputs: lambda x, weight, bias: _linear(x, weight, bias),
    Conv2d=lambda i, o, k, stride: lambda x, weight, bias: _conv(x, weight, bias, stride),
    ZeroPad2d=lambda margins: lambda x: _pad(x, margins),
    Flatten=lambda: lambda x: x.reshape(len(x), -1),
    Unflatten=lambda axis, shape: lambda x: x.reshape(len(x), *shape),
    LayerNorm=lambda width, eps, elementwise_affine: _norm,
    ReLU=lambda: lambda x: np.maximum(x, 0),
    SiLU=lambda: lambda x: x / (1 + np.exp(-x)),
    Sigmoid=lambda: lambda x: 1 / (1 + np.exp(-x)),
    Hardtanh=lambda low, high: lambda x: np.clip(x, low, high),
)


def _rescale(width: int) -> Any:
    return lambda x, low, span: (x - low) / span


def _in_units(width: int) -> Any:
    return lambda x, mean, deviation: x * deviation + mean


def _largest(count: int) -> Any:
    def keep(x: Any) -> Any:
        places = np.argsort(-np.abs(x), axis=1)[:, :count]
        kept = np.zeros_like(x)
        np.put_along_axis(kept, places, np.take_along_axis(x, places, 1), 1)
        return kept

    return keep


class _Placing:
    """What `load.py` has under this name, with plain loops."""

    def __init__(self, encoder: Any, *shape: int) -> None:
        self.encoder = encoder

    def __call__(self, x: Any, **own: Any) -> Any:
        inner = {
            name.removeprefix("encoder."): values
            for name, values in own.items()
            if name.startswith("encoder.")
        }
        rows, codes = x.reshape(len(x), -1), _apply(self.encoder, inner, x)
        places = np.rint((rows - own["mean"]) @ own["components"].T / own["step"])
        placed = []
        for place, code in zip(np.clip(places, -127, 127), codes, strict=True):
            squared = np.square(own["coordinates"] - place).sum(1)
            found = np.argsort(squared, kind="stable")[:15]
            squared = squared[found]
            closer = np.minimum(squared[squared > 0].min() - squared, 0)
            weights = np.exp(closer / own["bandwidth"])
            weights = np.append(weights / weights.sum(), 0.25)
            points = np.concatenate([own["codes"][found], code[np.newaxis]])
            pairs = np.square(points[:, np.newaxis] - points).sum(-1)
            centre = points[
                (weights[:, np.newaxis] * np.exp(-pairs / own["code_bandwidth"])).sum(0).argmax()
            ]
            for _ in range(10):
                near = weights * np.exp(-np.square(points - centre).sum(1) / own["code_bandwidth"])
                centre = near @ points / near.sum()
            placed.append(centre)
        return np.array(placed)


def _apply(modules: Any, tensors: Any, values: Any) -> Any:
    for place, module in enumerate(modules):
        prefix = f"{place}."
        own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        values = module(values, **own)
    return values


def _run(modules: Sequential, values: Any) -> Any:
    names = {
        "nn": NN,
        "Rescale": _rescale,
        "InUnits": _in_units,
        "Largest": _largest,
        "Placing": _Placing,
    }
    made = [eval(source, names) for source in modules.modules]
    tensors = {name: tensor.astype(np.float64) for name, tensor in modules.tensors.items()}
    return _apply(made, tensors, values)


@pytest.mark.parametrize(
    ("images", "recipe", "settings"),
    [
        *((COLOR, recipe, settings) for recipe, settings in KINDS.values()),
        (COLOR, "plain", {"output": "linear", "activation": "relu"}),
        (GRAY, "map", {"encoder": "conv", "placing": "encoder"}),
        (VECTORS, "plain", {"activation": "relu"}),
    ],
    ids=(*KINDS, "color", "conv", "vectors"),
)
def test_the_modules_compute_what_the_onnx_models_do(
    images: Any, recipe: str, settings: dict[str, Any], untrained: Untrained
) -> None:
    checkpoint, dataset = untrained(images, recipe, **settings)
    interface = interface_of(checkpoint, "float32")
    layers = network(checkpoint.config, interface.image_shape)
    encoder, decoder = (
        make(checkpoint, interface, layers) for make in (encoder_modules, decoder_modules)
    )
    values = interface.outer(dataset.split("test").images)
    codes = run_onnx(encoder_graph(checkpoint, interface, {}), values)
    decoded = run_onnx(decoder_graph(checkpoint, interface, {}), codes)
    if not interface.of_vectors:
        values, decoded = values.transpose(0, 3, 1, 2), decoded.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(_run(encoder, values), codes, atol=1e-5 * max(1, abs(codes).max()))
    np.testing.assert_allclose(_run(decoder, codes), decoded, rtol=1e-5, atol=1e-5)


def test_the_folder_has_a_program_that_loads_the_state_dicts(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = run.rename(run.parent / 'a"""; raise SystemExit')
    assert main(["export", str(odd), "--format", "torch"]) == 0
    assert "images: float32 (n, 1, 8, 8), 0..1; before it: stretch" in capsys.readouterr().err
    folder = odd / "torch"
    program = (folder / "load.py").read_text()
    compile(program, "load.py", "exec")
    # Only what the model needs, and no name that could end a string.
    assert "class " not in program
    assert "SystemExit" not in program
    assert "nn.Linear(64, 16),\n        nn.SiLU(),\n" in program
    found = load_file(folder / "encoder.safetensors")
    assert {name: tensor.shape for name, tensor in found.items()} == {
        "1.weight": (16, 64), "1.bias": (16,), "3.weight": (8, 16), "3.bias": (8,),
        "5.weight": (2, 8), "5.bias": (2,),
    }  # fmt: skip


def test_pytorch_computes_what_aecli_does(untrained: Untrained, run: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed: pip install '.[bench]'")
    import torch

    assert main(["export", str(run), "--format", "torch"]) == 0
    assert main(["encode", str(run), "--quiet"]) == 0
    spec = importlib.util.spec_from_file_location("load", run / "torch" / "load.py")
    assert spec is not None
    assert spec.loader is not None
    program = sys.modules["load"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    encoder, _ = program.load()
    from aecli.data import open_dataset
    from aecli.pixels import unit_range

    images = unit_range(open_dataset("digits").split("test").images).transpose(0, 3, 1, 2)
    with torch.no_grad():
        codes = encoder(torch.from_numpy(images.copy())).numpy()
    np.testing.assert_allclose(codes, np.load(run / "codes.npy"), atol=1e-4)
