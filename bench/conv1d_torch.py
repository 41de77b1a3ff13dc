"""Times PyTorch's conv1d and conv_transpose1d (cuDNN, benchmark mode) as `engine bench --conv1d` times the engine's.

usage: python3 conv1d_torch.py SUITE.csv [--precision tf32,fp16] [--shape NAME,...] [--csv OUT.csv] [--ours ENGINE.csv]

Each case runs in PyTorch's default layout (NCL), and as a two-dimensional convolution of height one on channels-last
tensors, given and left in that layout. Inputs and outputs go round several buffers, so that together they are twice as
large as the GPU's L2 cache; they are timed in rounds of at least two milliseconds, of which the median counts. A round
of short calls is one replay of a CUDA graph. Errors are |y - exact| / |exact| over a sample of the outputs, in double
precision from the values that PyTorch was given.
"""
import argparse
import csv
import math

import torch
import torch.nn.functional as F

from conv1d_results import PRECISIONS as PRECISION_NAMES
from conv1d_results import means, merge, read_ours
from conv1d_suite import SuiteCase

PRECISIONS = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
ROUND_MS = 2.0
LONGEST_ROUND_MS = 250.0
SHORT_CALL_MS = 0.5
MOST_SETS = 1 << 14
SAMPLE_PIECES = 8
PIECE_LENGTH = 8


class Case(SuiteCase):
    """One row of a suite, computed by PyTorch."""

    def __init__(self, row):
        super().__init__(row)
        self.weight_shape = (
            (self.in_channels, self.out_channels // self.groups, self.kernel_size)
            if self.transposed
            else (self.out_channels, self.in_channels // self.groups, self.kernel_size)
        )

    def set_bytes(self, dtype):
        return self.elements() * dtype.itemsize

    def run(self, x, weight, bias):
        """x is NCL, or NCHW with H = 1."""
        flat = x.dim() == 3
        sizes = [(value,) if flat else (other, value)
                 for value, other in ((self.stride, 1), (self.padding, 0), (self.dilation, 1))]
        stride, padding, dilation = sizes
        if self.transposed:
            function = F.conv_transpose1d if flat else F.conv_transpose2d
            return function(x, weight, bias, stride, padding, 0, self.groups, dilation)
        function = F.conv1d if flat else F.conv2d
        return function(x, weight, bias, stride, padding, dilation, self.groups)


def exact_columns(case, x, weight, bias, sample, positions):
    """The outputs of one sample at those positions in double precision: [out_channels, positions]."""
    taps = torch.arange(case.kernel_size, device=x.device)[:, None]
    if case.transposed:
        scaled = positions[None, :] + case.padding - taps * case.dilation
        source = torch.div(scaled, case.stride, rounding_mode="floor")
        valid = (scaled % case.stride == 0) & (source >= 0) & (source < case.length)
    else:
        source = positions[None, :] * case.stride - case.padding + taps * case.dilation
        valid = (source >= 0) & (source < case.length)
    columns = x[sample].double()[:, source.clamp(0, case.length - 1)] * valid
    columns = columns.reshape(case.groups, -1, len(positions))
    w = weight.double()
    if case.transposed:
        w = w.reshape(case.groups, -1, case.out_channels // case.groups, case.kernel_size).transpose(1, 2)
    w = w.reshape(case.groups, case.out_channels // case.groups, -1)
    return (w @ columns).reshape(case.out_channels, -1) + bias.double()[:, None]


def relative_error(case, x, weight, bias, y):
    """Over a few pieces of the length, in all channels: both ends and anywhere between."""
    generator = torch.Generator().manual_seed(1)
    length = min(PIECE_LENGTH, case.out_length)
    error_squares = exact_squares = 0.0
    for piece in range(SAMPLE_PIECES):
        sample = int(torch.randint(case.batch, (), generator=generator))
        first = int(torch.randint(case.out_length - length + 1, (), generator=generator))
        first = {0: 0, 1: case.out_length - length}.get(piece, first)
        positions = torch.arange(first, first + length, device=x.device)
        exact = exact_columns(case, x, weight, bias, sample, positions)
        found = y[sample][:, positions].double()
        error_squares += float((found - exact).square().sum())
        exact_squares += float(exact.square().sum())
    return math.sqrt(error_squares / exact_squares)


def timed_ms(work):
    start, end = torch.cuda.Event(True), torch.cuda.Event(True)
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def median_ms(call, inputs, budget_ms):
    """Median time of call(x) over `inputs`, one after another."""
    for x in inputs:
        call(x)  # cuDNN looks for a kernel for each alignment, which it cannot while a graph is recorded
    once = max(min(timed_ms(lambda: call(inputs[0])) for _ in range(3)), 1e-3)
    sets = max(1, min(len(inputs), int(LONGEST_ROUND_MS / once)))
    calls = sets * int(min(max(ROUND_MS / (once * sets), 1), 1000))
    outputs = [None] * sets  # kept, so that each set has memory of its own

    def one_round():
        for i in range(calls):
            outputs[i % sets] = None
            outputs[i % sets] = call(inputs[i % sets])

    if once < SHORT_CALL_MS:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            one_round()
        one_round = graph.replay
    spent = timed_ms(one_round)
    while spent < 0.2 * budget_ms:
        spent += timed_ms(one_round)
    rounds = []
    while len(rounds) < 3 or sum(rounds) < budget_ms:
        rounds.append(timed_ms(one_round))
    return sorted(rounds)[len(rounds) // 2] / calls


def measure(case, precision, budget_ms):
    """Milliseconds in NCL and channels-last, and the error in each."""
    dtype = PRECISIONS[precision]
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    sets = min(2 * cache // case.set_bytes(dtype) + 1, MOST_SETS)
    fan_in = case.in_channels // case.groups * case.kernel_size
    shape = (case.batch, case.in_channels, case.length)
    x = [torch.randn(shape, device="cuda").to(dtype) for _ in range(sets)]  # each begins at a boundary of its own
    weight = (torch.randn(case.weight_shape, device="cuda") / fan_in**0.5).to(dtype)
    bias = torch.randn(case.out_channels, device="cuda").to(dtype)
    result = []
    with torch.no_grad():
        for channels_last in (False, True):
            inputs, w = x, weight
            if channels_last:
                w = weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
                inputs = [one.unsqueeze(2).contiguous(memory_format=torch.channels_last) for one in inputs]
            y = case.run(inputs[0], w, bias)
            error = relative_error(case, x[0], weight, bias, y.reshape(y.shape[0], y.shape[1], -1))
            del y
            result += [median_ms(lambda one: case.run(one, w, bias), inputs, budget_ms), error]
            del inputs
            torch.cuda.empty_cache()
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("suite")
    parser.add_argument("--precision", default=",".join(PRECISION_NAMES))
    parser.add_argument("--shape")
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--csv")
    parser.add_argument("--ours")
    args = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    ours = read_ours(args.ours) if args.ours else {}
    versions = {"torch": torch.__version__, "cudnn": torch.backends.cudnn.version(), "device": torch.cuda.get_device_name()}
    print(*versions.values(), sep="; ")
    with open(args.suite, newline="") as file:
        cases = [Case(row) for row in csv.DictReader(file)]
    if args.shape:
        cases = [case for case in cases if case.name in args.shape.split(",")]
    width = max(len(case.name) for case in cases)
    print(f"{'case':{width}}  prec     NCL ms     NLC ms  NCL error  NLC error    ours ms  ours/NCL  ours/best")
    rows = []
    for case in cases:
        for precision in args.precision.split(","):
            ncl_ms, ncl_error, nlc_ms, nlc_error = measure(case, precision, 1e3 * args.seconds)
            rows.append({"name": case.name, "precision": precision, "ncl_ms": ncl_ms, "nlc_ms": nlc_ms,
                         "ncl_error": ncl_error, "nlc_error": nlc_error, **versions})
            line = f"{case.name:{width}}  {precision} {ncl_ms:10.4f} {nlc_ms:10.4f}  {ncl_error:9.1e}  {nlc_error:9.1e}"
            our = ours.get((case.name, precision))
            if our:
                ms = float(our["ms"])
                line += f" {ms:10.4f} {ms / ncl_ms:9.3f} {ms / min(ncl_ms, nlc_ms):10.3f}"
            print(line, flush=True)
            if args.csv:
                with open(args.csv, "w", newline="") as file:
                    writer = csv.DictWriter(file, rows[0].keys())
                    writer.writeheader()
                    writer.writerows(rows)
    for line in means(merge(ours, rows)):
        print(line)


if __name__ == "__main__":
    main()
