"""`foveate conv --transposed`: the arithmetic of one transposed convolution, explained."""

from math import prod
from typing import Any

from foveate.geometry import format_sizes
from foveate.graph.joining import Joining
from foveate.graph.nodes import Nodes
from foveate.layers import Shape
from foveate.layers.transposed import TransposedConvolution

BYTES = 4


def transposed_report(layer: TransposedConvolution, shape: Shape) -> dict[str, Any]:
    """What the layer does to an input of that shape, as plain data; a ShapeError where nothing comes out."""
    joining = Joining(Nodes)
    joining.input(shape)
    node = joining.fitted("conv1", layer, ["input"])
    counts = {name: prod(each.shape) for name, each in layer.parameters([shape]).items()}
    weights, biases = counts["weight"], counts.get("bias", 0)
    return {
        "layer": layer.describe(),
        "input": list(shape),
        "output": list(node.output_shape),
        "size_steps": [step.replace("`", "") for step in layer.size_steps([shape])],
        "parameters": weights + biases,
        "weights": weights,
        "biases": biases,
        "macs": node.cost.macs,
        "flops": node.cost.flops,
        "input_bytes": BYTES * prod(shape),
        "output_bytes": BYTES * prod(node.output_shape),
        "parameter_bytes": BYTES * (weights + biases),
    }


def transposed_lines(layer: TransposedConvolution, found: dict[str, Any]) -> list[str]:
    """The report as text."""
    channels, groups, axes = found["input"][0], layer.groups, len(found["input"]) - 1
    letters = "*".join("F" * axes)
    per_group = f"{layer.out_channels}" + (f"/{groups}" if groups != 1 else "")
    kernel = "*".join(map(str, layer.kernel_size))
    biases = found["biases"]
    added = f" + {biases:,} {'bias' if biases == 1 else 'biases'}" if biases else ", no biases"
    return [
        f"{found['layer']} on {format_sizes(found['input'])}",
        "",
        f"output      {format_sizes(found['output'])}",
        "            (W - 1)S - P_begin - P_end + F_eff + output padding",
        *(f"            {step}" for step in found["size_steps"]),
        f"parameters  {found['weights']:,} weights{added} = {found['parameters']:,}",
        f"            weights: {letters}*C*K{'/G' if groups != 1 else ''} = {kernel}*{channels}*{per_group} = "
        f"{found['weights']:,}",
        f"MACs        {format_sizes(found['input'])} inputs * {found['macs'] // prod(found['input']):,} = "
        f"{found['macs']:,}",
        f"FLOPs       {found['flops']:,}",
        f"memory      input {found['input_bytes']:,} + output {found['output_bytes']:,} + parameters "
        f"{found['parameter_bytes']:,} bytes, one sample in float32",
    ]
