"""`foveate conv --transposed`: the arithmetic of one transposed convolution, explained."""

from math import prod
from typing import Any

from foveate.cli.output import with_biases
from foveate.geometry import format_sizes
from foveate.layers.transposed import TransposedConvolution


def transposed_lines(layer: TransposedConvolution, found: dict[str, Any]) -> list[str]:
    """The report as text."""
    channels, groups, axes = found["input"][0], layer.groups, len(found["input"]) - 1
    letters = "*".join("F" * axes)
    per_group = f"{layer.out_channels}" + (f"/{groups}" if groups != 1 else "")
    kernel = "*".join(map(str, layer.kernel_size))
    return [
        f"{found['layer']} on {format_sizes(found['input'])}",
        "",
        f"output      {format_sizes(found['output'])}",
        "            (W - 1)S - P_begin - P_end + F_eff + output padding",
        *(f"            {step}" for step in found["size_steps"]),
        f"parameters  {found['weights']:,} weights{with_biases(found['biases'])} = {found['parameters']:,}",
        f"            weights: {letters}*C*K{'/G' if groups != 1 else ''} = {kernel}*{channels}*{per_group} = "
        f"{found['weights']:,}",
        f"MACs        {format_sizes(found['input'])} inputs * {found['macs'] // prod(found['input']):,} = "
        f"{found['macs']:,}",
        f"FLOPs       {found['flops']:,}",
        f"memory      input {found['input_bytes']:,} + output {found['output_bytes']:,} + parameters "
        f"{found['parameter_bytes']:,} bytes, one sample in float32",
    ]
