#!/usr/bin/env python3
"""Writes golden.json beside this file: what PyTorch computes for every layer type.

    python3 tests/golden/make_golden.py        # needs torch; golden.json was made with 2.15

Each case holds the layer's type and attributes as a model file has them, its inputs, its parameters
under their state_dict names, and the outputs of PyTorch in fp64. Inputs and parameters are multiples
of 1/64, so that they are the same numbers in every floating-point type that matters here.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F
from torch import nn

torch.set_default_dtype(torch.float64)
cases = []

EXTREMES = torch.tensor([math.nan, math.inf, -math.inf, 1e30, -1e30, 1e4, -1e4, 90.0, -90.0, 20.5,
                         -20.5, 19.5, 5.0, -5.0, 1.0, -1.0, 2.0**-20, -(2.0**-20), 0.0])


def draw(*shape):
    return torch.round(64 * torch.randn(*shape)) / 64


def encode(tensor):
    def number(value):
        return str(value) if not math.isfinite(value) else float(f"{value:.10g}")

    values = [int(v) if not tensor.is_floating_point() else number(v) for v in tensor.flatten().tolist()]
    return {"shape": list(tensor.shape), "data": values}


def add(layer_type, attributes, function, inputs, parameters=None):
    """Records function(*inputs), whose result is a tensor or a sequence of tensors."""
    outputs = function(*inputs)
    if isinstance(outputs, torch.Tensor):
        outputs = [outputs]
    cases.append({
        "type": layer_type,
        "attributes": attributes,
        "inputs": [encode(x) for x in inputs],
        "parameters": {name: encode(p) for name, p in (parameters or {}).items()},
        "outputs": [encode(y.detach()) for y in outputs],
    })


def add_module(layer_type, attributes, module, *inputs):
    """Records a torch.nn module in eval mode, its parameters redrawn."""
    module.eval()
    parameters = {}
    for name, tensor in module.state_dict().items():
        if name == "num_batches_tracked":
            continue
        tensor.copy_(draw(*tensor.shape).abs() + 0.5 if name == "running_var" else draw(*tensor.shape))
        parameters[name] = tensor
    add(layer_type, attributes, module, inputs, parameters)


def convolutions():
    def conv(attributes, in_channels, x):
        arguments = dict(attributes)
        out_channels, kernel_size = arguments.pop("out_channels"), arguments.pop("kernel_size")
        module = nn.Conv1d(in_channels, out_channels, kernel_size, **arguments)
        add_module("Conv1d", attributes, module, x)

    conv({"out_channels": 3, "kernel_size": 3}, 2, draw(2, 2, 9))
    conv({"out_channels": 4, "kernel_size": 4, "stride": 3, "padding": 2, "dilation": 2, "groups": 2,
          "bias": False}, 4, draw(2, 4, 17))
    conv({"out_channels": 6, "kernel_size": 2, "padding": "same", "groups": 3, "dilation": 3}, 3,
         draw(1, 3, 8))
    for mode in ("reflect", "replicate", "circular"):
        conv({"out_channels": 2, "kernel_size": 5, "padding": 3, "padding_mode": mode}, 2, draw(1, 2, 6))
    conv({"out_channels": 2, "kernel_size": 4, "padding": "same", "padding_mode": "reflect"}, 1,
         draw(1, 1, 7))
    conv({"out_channels": 2, "kernel_size": 3, "padding": "valid"}, 1, draw(1, 1, 4))
    conv({"out_channels": 2, "kernel_size": 7, "padding": 3}, 1, draw(1, 1, 1))

    for padding, sides in (("causal", (4, 0)), ([3, 1], (3, 1))):
        x, weight, bias = draw(1, 2, 6), draw(2, 2, 3), draw(2)
        attributes = {"out_channels": 2, "kernel_size": 3, "dilation": 2, "padding": padding}
        add("Conv1d", attributes, lambda x: F.conv1d(F.pad(x, sides), weight, bias, dilation=2), [x],
            {"weight": weight, "bias": bias})


def transposed_convolutions():
    def conv_transpose(attributes, in_channels, x):
        arguments = dict(attributes)
        out_channels, kernel_size = arguments.pop("out_channels"), arguments.pop("kernel_size")
        module = nn.ConvTranspose1d(in_channels, out_channels, kernel_size, **arguments)
        add_module("ConvTranspose1d", attributes, module, x)

    conv_transpose({"out_channels": 3, "kernel_size": 3}, 2, draw(2, 2, 5))
    conv_transpose({"out_channels": 4, "kernel_size": 4, "stride": 2, "padding": 1, "groups": 2}, 4,
                   draw(1, 4, 6))
    conv_transpose({"out_channels": 2, "kernel_size": 3, "stride": 3, "padding": 2, "dilation": 2,
                    "output_padding": 2, "bias": False}, 2, draw(1, 2, 5))
    conv_transpose({"out_channels": 2, "kernel_size": 2, "stride": 5}, 1, draw(1, 1, 3))

    x, weight, bias = draw(1, 2, 5), draw(2, 2, 4), draw(2)
    add("ConvTranspose1d", {"out_channels": 2, "kernel_size": 4, "stride": 2, "padding": [1, 2]},
        lambda x: F.conv_transpose1d(x, weight, bias, stride=2)[..., 1:-2], [x],
        {"weight": weight, "bias": bias})


def linear_and_embedding():
    add_module("Linear", {"out_features": 3}, nn.Linear(5, 3), draw(2, 5))
    add_module("Linear", {"out_features": 4, "bias": False}, nn.Linear(3, 4, bias=False), draw(2, 2, 3))
    add_module("Embedding", {"num_embeddings": 7, "embedding_dim": 3}, nn.Embedding(7, 3),
               torch.tensor([[0, 6, 3], [1, 1, 5]]))


def normalisations():
    add_module("BatchNorm1d", {}, nn.BatchNorm1d(3), draw(2, 3, 4))
    add_module("BatchNorm1d", {"eps": 0.1, "affine": False}, nn.BatchNorm1d(3, eps=0.1, affine=False),
               draw(4, 3))
    add_module("LayerNorm", {"normalized_shape": 6}, nn.LayerNorm(6), draw(2, 3, 6))
    add_module("LayerNorm", {"normalized_shape": [3, 4], "eps": 0.01, "bias": False},
               nn.LayerNorm([3, 4], eps=0.01, bias=False), draw(2, 3, 4))
    add_module("LayerNorm", {"normalized_shape": [5], "elementwise_affine": False},
               nn.LayerNorm([5], elementwise_affine=False), draw(3, 5))
    add_module("GroupNorm", {"num_groups": 1}, nn.GroupNorm(1, 4), draw(2, 4, 5))
    add_module("GroupNorm", {"num_groups": 3, "eps": 0.1}, nn.GroupNorm(3, 6, eps=0.1), draw(1, 6, 3))
    add_module("GroupNorm", {"num_groups": 2, "affine": False}, nn.GroupNorm(2, 4, affine=False),
               draw(2, 4))
    add_module("InstanceNorm1d", {}, nn.InstanceNorm1d(3), draw(2, 3, 5))
    add_module("InstanceNorm1d", {"eps": 0.1, "affine": True},
               nn.InstanceNorm1d(2, eps=0.1, affine=True), draw(1, 2, 7))


def activations():
    pointwise = [
        ("ReLU", {}, nn.ReLU()),
        ("LeakyReLU", {}, nn.LeakyReLU()),
        ("LeakyReLU", {"negative_slope": 0.25}, nn.LeakyReLU(0.25)),
        ("ELU", {}, nn.ELU()),
        ("ELU", {"alpha": 0.5}, nn.ELU(0.5)),
        ("GELU", {}, nn.GELU()),
        ("GELU", {"approximate": "tanh"}, nn.GELU(approximate="tanh")),
        ("SiLU", {}, nn.SiLU()),
        ("Sigmoid", {}, nn.Sigmoid()),
        ("Tanh", {}, nn.Tanh()),
        ("Softplus", {}, nn.Softplus()),
        ("Softplus", {"beta": 2.0, "threshold": 3.0}, nn.Softplus(2.0, 3.0)),
    ]
    for layer_type, attributes, module in pointwise:
        add_module(layer_type, attributes, module, 3 * draw(1, 2, 12))
        add_module(layer_type, attributes, module, EXTREMES)
    add_module("PReLU", {}, nn.PReLU(), draw(2, 3, 4))
    add_module("PReLU", {"num_parameters": 3}, nn.PReLU(3), draw(2, 3, 4))
    add_module("PReLU", {"num_parameters": 3}, nn.PReLU(3), draw(4, 3))
    infinite = torch.tensor([[0.5, -math.inf, 1.0], [-math.inf] * 3, [math.inf, 0.0, 1.0],
                             [math.nan, 0.0, 1.0], [1e4, -1e4, 1e4]])
    for layer_type, module in (("Softmax", nn.Softmax), ("LogSoftmax", nn.LogSoftmax)):
        add_module(layer_type, {}, module(-1), draw(2, 3, 5))
        add_module(layer_type, {"dim": 1}, module(1), draw(2, 3, 5))
        add_module(layer_type, {"dim": 0}, module(0), draw(4, 3))
        add_module(layer_type, {}, module(-1), infinite)
    add_module("GLU", {}, nn.GLU(), draw(2, 3, 4))
    add_module("GLU", {"dim": 1}, nn.GLU(1), draw(2, 4, 3))


def pooling():
    x = draw(2, 2, 11)
    for attributes in ({"kernel_size": 3}, {"kernel_size": 4, "stride": 3, "padding": 2},
                       {"kernel_size": 3, "stride": 3, "ceil_mode": True},
                       {"kernel_size": 2, "stride": 4, "padding": 1, "ceil_mode": True}):
        add_module("MaxPool1d", attributes, nn.MaxPool1d(**attributes), x)
        add_module("AvgPool1d", attributes, nn.AvgPool1d(**attributes), x)
    longer_than_input = {"kernel_size": 5, "stride": 3, "ceil_mode": True}
    add_module("MaxPool1d", longer_than_input, nn.MaxPool1d(**longer_than_input), draw(1, 2, 4))
    add_module("AvgPool1d", longer_than_input, nn.AvgPool1d(**longer_than_input), draw(1, 2, 4))
    dilated = {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 3, "ceil_mode": True}
    add_module("MaxPool1d", dilated, nn.MaxPool1d(**dilated), x)
    add_module("MaxPool1d", {"kernel_size": 2}, nn.MaxPool1d(2),
               torch.tensor([[[math.nan, 1.0, -math.inf, -math.inf, 2.0, math.nan, math.inf, 0.0]]]))
    for ceil_mode in (False, True):
        exclusive = {"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": ceil_mode,
                     "count_include_pad": False}
        add_module("AvgPool1d", exclusive, nn.AvgPool1d(**exclusive), x)
    for output_size in (1, 3, 11, 17):
        attributes = {"output_size": output_size}
        add_module("AdaptiveAvgPool1d", attributes, nn.AdaptiveAvgPool1d(output_size), x)
        add_module("AdaptiveMaxPool1d", attributes, nn.AdaptiveMaxPool1d(output_size), x)


def elementwise():
    inputs = [draw(2, 3, 4), draw(2, 3, 4)]
    broadcast = [draw(2, 3, 1), draw(4), draw(1, 1, 4)]
    add("Add", {}, lambda a, b: a + b, inputs)
    add("Mul", {}, lambda a, b: a * b, inputs)
    add("Add", {}, lambda a, b, c: a + b + c, broadcast)
    add("Mul", {}, lambda a, b, c: a * b * c, broadcast)
    add("Mean", {}, lambda x: x.mean(-1), [draw(2, 3, 4)])
    add("Mean", {"dim": 1, "keepdim": True}, lambda x: x.mean(1, keepdim=True), [draw(2, 3, 4)])
    add("Mean", {"dim": [0, -1]}, lambda x: x.mean([0, -1]), [draw(2, 3, 4)])
    add_module("Identity", {}, nn.Identity(), draw(2, 3))


def shapes():
    x = draw(2, 6, 5)
    add("Concat", {}, lambda a, b: torch.cat([a, b], 1), [draw(2, 3, 4), draw(2, 1, 4)])
    add("Concat", {"dim": -1}, lambda *a: torch.cat(a, -1), [draw(2, 3, 4), draw(2, 3, 1), draw(2, 3, 2)])
    add("Split", {"sizes": [1, 3, 2]}, lambda x: torch.split(x, [1, 3, 2], 1), [x])
    add("Split", {"parts": 3}, lambda x: torch.chunk(x, 3, 1), [x])
    add("Split", {"dim": -1, "sizes": [4, 1]}, lambda x: torch.split(x, [4, 1], -1), [x])
    add("Slice", {"dim": 2, "start": 1, "end": 4}, lambda x: x[:, :, 1:4], [x])
    add("Slice", {"dim": 1, "start": -5, "end": -1, "step": 2}, lambda x: x[:, -5:-1:2], [x])
    add("Slice", {"dim": -1, "start": -100, "step": 3}, lambda x: x[..., -100::3], [x])
    add("Slice", {"dim": 0, "start": 1, "end": 100}, lambda x: x[1:100], [x])
    add("Flatten", {}, lambda x: torch.flatten(x, 1), [x])
    add("Flatten", {"start_dim": 0, "end_dim": 1}, lambda x: torch.flatten(x, 0, 1), [x])
    add("Reshape", {"shape": [0, -1, 3]}, lambda x: x.reshape(2, -1, 3), [x])
    add("Transpose", {}, lambda x: x.transpose(1, 2).contiguous(), [x])
    add("Transpose", {"dim0": 0, "dim1": -1}, lambda x: x.transpose(0, -1).contiguous(), [x])


def padding_and_upsampling():
    x = draw(2, 2, 5)
    add("Pad1d", {"padding": [1, 2]}, lambda x: F.pad(x, (1, 2)), [x])
    add("Pad1d", {"padding": 2, "value": -1.5}, lambda x: F.pad(x, (2, 2), value=-1.5), [x])
    for mode in ("reflect", "replicate", "circular"):
        add("Pad1d", {"padding": [4, 3], "mode": mode}, lambda x: F.pad(x, (4, 3), mode=mode), [x])
    for attributes in ({"scale_factor": 3}, {"size": 7}, {"size": 3},
                       {"scale_factor": 2, "mode": "linear"}, {"size": 8, "mode": "linear"},
                       {"size": 9, "mode": "linear", "align_corners": True},
                       {"size": 1, "mode": "linear", "align_corners": True}):
        add_module("Upsample", attributes, nn.Upsample(**attributes), x)


def main():
    for make in (convolutions, transposed_convolutions, linear_and_embedding, normalisations, activations,
                 pooling, elementwise, shapes, padding_and_upsampling):
        torch.manual_seed(1)  # so that a change of one family leaves the others alone
        make()
    lines = ",\n".join(json.dumps(case, separators=(",", ":"), allow_nan=False) for case in cases)
    path = pathlib.Path(__file__).with_name("golden.json")
    path.write_text(f"[\n{lines}\n]\n")
    print(f"{path}: {len(cases)} cases, {path.stat().st_size} bytes, torch {torch.__version__}")


if __name__ == "__main__":
    main()
