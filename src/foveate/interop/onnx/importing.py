"""From an ONNX file to a model."""

import json
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from foveate.data import Preprocessing
from foveate.engines import Engine
from foveate.engines.initializers import blank
from foveate.errors import DataError, FileError, FoveateError, GraphError, ShapeError
from foveate.files.description import LARGEST_SAMPLE
from foveate.geometry import format_sizes
from foveate.graph import Graph, GraphBuilder
from foveate.graph.builder import Value
from foveate.graph.joining import sample_shape
from foveate.interop.held import Held, held
from foveate.interop.onnx import (  # noqa: F401 (they fill the table of rules)
    quantized,
    rules,
    rules_of_arithmetic,
    rules_of_movement,
    rules_of_products,
    rules_of_reductions,
    rules_of_resizing,
    rules_of_windows,
)
from foveate.interop.onnx.batch import file_shape, translated
from foveate.interop.onnx.folding import FOLDED, fold, shape_part
from foveate.interop.onnx.naming import kept, tidy
from foveate.interop.onnx.patterns import spelt_out
from foveate.interop.onnx.reading import OWN, Body, Network, Operation, Port, read_by, read_network
from foveate.interop.onnx.table import find
from foveate.interop.onnx.taking import MOST_AXES, OURS, Fixed, Op, Taking
from foveate.interop.onnx.tensors import TYPES
from foveate.interop.walk import NotTakenError, placed
from foveate.layers import Reshape, Shape
from foveate.log import logger
from foveate.model import Model
from foveate.tasks import from_json
from foveate.text import named, printable

PROBE, OTHER_PROBE = 7, 13
"""The batches for which shapes are computed if the file leaves it open: what depends on it differs between them."""

Shapes = Mapping[str, Shape]


def imported(path: Path, input_shape: Any, engine: str | Engine | None) -> Model:
    """The model; see `from_onnx`."""
    try:
        network = read_network(path)
    except FoveateError:
        raise
    except Exception as error:
        raise _damaged(path, error) from None
    try:
        taking, graph = _taken(network, input_shape)
    except NotTakenError as error:
        raise GraphError(f"{named(path)} cannot be imported: {error}") from None
    except FoveateError as error:
        raise type(error)(f"{named(path)} cannot be imported: {error}") from None
    except Exception as error:
        raise _damaged(path, error) from None
    try:
        return _model(taking, graph, engine)
    except (DataError, FileError) as error:
        raise FileError(f"{named(path)} cannot be used: {error}") from None
    except FoveateError:
        raise
    except Exception as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> FileError:
    """What is said of a file with which nobody reckoned: a sentence, as of any other that cannot be read."""
    logger.debug("%s", path, exc_info=True)
    told = printable(f"{type(error).__name__}: {error}", 120)
    return FileError(f"{named(path)} cannot be imported: it is not as ONNX says ({told})")


def _taken(network: Network, input_shape: Any) -> tuple[Taking, Graph]:
    ports = [port for port in network.inputs if any(port.name in read_by(op) for op in network.operations)]
    if not ports:
        raise GraphError("its network has no input that anything depends on")
    shapes = {port.name: _sample(port, _given(input_shape, port, ports), alone=len(ports) == 1) for port in ports}
    batches = {port.sizes[0] if port.sizes else "?" for port in ports}
    fixed = {size for size in batches if isinstance(size, int)}
    if len(fixed) > 1:
        raise GraphError(f"its inputs have batches of different sizes: {', '.join(map(str, sorted(fixed)))}")
    if fixed:
        return _walked(network, shapes, fixed.pop())
    return _of_any_batch(network, shapes)


def _of_any_batch(network: Network, shapes: Shapes) -> tuple[Taking, Graph]:
    """The network, if it is the same whatever the batch is."""
    try:
        taking, graph = _walked(network, shapes, PROBE)
        other, again = _walked(network, shapes, OTHER_PROBE)
        place = _difference(taking, graph, other, again)
        if place:
            raise GraphError(f"what {place} computes depends on how many samples there are, and no layer knows that")
    except FoveateError as error:
        try:
            _walked(network, shapes, 1)
        except FoveateError:
            raise error from None
        raise type(error)(
            f"{error}\nThe sizes are those of a batch of several samples. A batch of one can be imported: write 1 for "
            "the batch into the shape of each input of the file"
        ) from None
    return taking, graph


def _difference(one: Taking, graph: Graph, other: Taking, again: Graph) -> str:
    """The first place at which the networks of two batches differ, in a word; none if they are the same."""
    for node, its in zip_longest(graph.nodes, again.nodes):
        if node is None or its is None:
            return str(graph.name)
        if (node.name, node.layer, node.inputs, node.parameters) != (its.name, its.layer, its.inputs, its.parameters):
            return printable(one.places.get(node.name) or node.name)
    for name in {**one.made, **one.names, **other.made, **other.names}:
        mine, its = one.made.get(name), other.made.get(name)
        equal = mine is its or (mine is not None and its is not None and np.array_equal(mine, its, equal_nan=True))
        if one.names.get(name) != other.names.get(name) or not equal:
            return printable(one.places.get(name.rpartition(".")[0]) or name)
    same = graph.outputs == again.outputs and one.notes == other.notes and one.columns.keys() == other.columns.keys()
    return "" if same else str(graph.name)


def _given(input_shape: Any, port: Port, ports: Sequence[Port]) -> Any:
    if isinstance(input_shape, Mapping):
        unknown = sorted(set(input_shape) - {each.name for each in ports})
        if unknown:
            known = ", ".join(printable(each.name) for each in ports)
            raise GraphError(f'it has no input "{printable(unknown[0])}"; its inputs are {known}')
        return input_shape.get(port.name)
    if input_shape is not None and len(ports) > 1:
        raise GraphError(
            f"it has {len(ports)} inputs: give input_shape as a mapping from their names, "
            f"{', '.join(printable(each.name) for each in ports)}, to shapes"
        )
    return input_shape


def _sample(port: Port, given: Any, *, alone: bool) -> Shape:
    """The shape of a sample of an input, which may be the only one."""
    name = printable(port.name)
    if port.kind and TYPES.get(port.kind, "unknown").startswith(("string", "complex", "unknown")):
        raise GraphError(f"its input {name} has elements of the type {TYPES.get(port.kind, 'unknown')}")
    if port.sizes is None:
        if given is None:
            raise ShapeError(
                f"its input {name} has no shape; give the sizes of one sample, {_such_as((3, 224, 224), name, alone)}"
            )
        return sample_shape(given)
    if len(port.sizes) < 2:
        raise GraphError(f"its input {name} has {len(port.sizes)} axes; besides the batch at least one is needed")
    if len(port.sizes) > MOST_AXES:
        raise GraphError(f"its input {name} has {len(port.sizes)} axes; at most {MOST_AXES} are computed with")
    told = " x ".join(map(printable, port.sizes))
    if given is None:
        if not all(isinstance(size, int) for size in port.sizes[1:]):
            example = tuple(
                size if isinstance(size, int) else 3 if place == 1 else 224 for place, size in enumerate(port.sizes)
            )[1:]
            raise ShapeError(
                f"its input {name} is {told}; give the sizes of one sample, {_such_as(example, name, alone)}"
            )
        return sample_shape(port.sizes[1:])
    wanted = sample_shape(given, "input_shape")
    differs = len(wanted) != len(port.sizes) - 1 or any(
        isinstance(size, int) and size != own for size, own in zip(port.sizes[1:], wanted, strict=True)
    )
    if differs:
        hint = "; leave the batch out" if len(wanted) == len(port.sizes) else ""
        raise ShapeError(f"input_shape is {format_sizes(wanted)}, but its input {name} is {told} in the file{hint}")
    return wanted


def _such_as(example: Shape, name: str, alone: bool) -> str:
    return f"such as input_shape={example if alone else f'{{{chr(34)}{name}{chr(34)}: {example}}}'}"


def _walked(network: Network, shapes: Shapes, batch: int) -> tuple[Taking, Graph]:
    name = printable(network.name).replace("/", "_") or "network"
    taking = Taking(GraphBuilder(name=name[:200]), network, batch)
    spelt = spelt_out(taking)
    for port_name, shape in shapes.items():
        ours = taking.free(kept(port_name) if taking.is_ours else tidy(port_name) or "input")
        taking.places[ours] = port_name
        taking.known[port_name] = held(taking.builder.input(shape, ours))
    kinds = {port.name: TYPES.get(port.kind, "") for port in network.inputs if port.name in shapes}
    taking.wholes.update({name: kind for name, kind in kinds.items() if kind.startswith(("int", "uint", "bool"))})
    refused: list[str] = []
    for operation in network.operations:
        if operation.outputs[0] not in spelt.parts:
            _take(taking, operation, spelt.replaced.get(operation.outputs[0], operation), refused)
    if refused:
        count = "an operator" if len(refused) == 1 else f"{len(refused)} operators"
        raise GraphError(f"it has {count} that no layer in foveate computes:\n  " + "\n  ".join(refused))
    return taking, _built(taking)


def _built(taking: Taking) -> Graph:
    values: list[Value] = []
    if len({port.name for port in taking.network.outputs}) < len(taking.network.outputs):
        raise GraphError("two of its outputs are one tensor")
    for port in taking.network.outputs:
        found = taking.known.get(port.name)
        if not isinstance(found, Held):
            raise GraphError(f"its output {printable(port.name)} does not depend on its input")
        maker = next((op for op in taking.network.operations if port.name in op.outputs), None)
        if maker is None:
            raise GraphError(f"its output {printable(port.name)} is its input unchanged")
        value = taking.done(found, maker)
        lead = taking.leads.get(port.name)
        if lead is not None and lead.extra and taking.batch != 1:
            raise GraphError(f"its output {printable(port.name)} puts positions of several samples into one axis")
        if lead is not None:
            taking.note(f"its output {printable(port.name)} has the batch as its first axis here")
        if port.name in taking.scales:
            value = quantized.as_in_file(Op(taking, maker), value, *taking.scales[port.name])
        used = {*taking.builder.partial().inputs, *(each.name for each in values)}
        if value.name in used:  # each output is a layer of its own
            value = taking.add(Reshape(value.shape), value, node=maker)
        values.append(value)
        taking.places[value.name] = port.name
    graph = taking.builder.build(*values, quiet=True)
    for name, shape in graph.shapes.items():
        if prod(shape) > LARGEST_SAMPLE:
            raise GraphError(
                f"{taking.places.get(name) or name} makes {prod(shape):,} numbers of one sample; at most "
                f"{LARGEST_SAMPLE:,} are computed"
            )
    return graph


def _take(taking: Taking, operation: Operation, instead: Operation, refused: list[str]) -> None:
    """Import one operation: record what represents its results, or a line on why nothing does."""
    if operation.outputs[0] in taking.ready:
        taking.known[operation.outputs[0]] = taking.ready[operation.outputs[0]]
        return
    for name in filter(None, operation.outputs):
        taking.known[name] = None
    if operation.kind == "If" and operation.domain in OWN and _branched(taking, operation, refused):
        return
    op = Op(taking, instead)
    inputs = [taking.known.get(name) if name else None for name in instead.inputs]
    if any(name and found is None for name, found in zip(instead.inputs, inputs, strict=True)):
        return  # what comes after an operation that is refused is not its own fault
    told = operation.told
    try:
        results = _results(op, inputs)
    except NotTakenError as error:
        refused.append(f"{told}, because {error}")
    except FoveateError as error:
        refused.append(f"{told}, because {str(error).splitlines()[0]}")
    except Exception as error:
        logger.debug("%s", told, exc_info=True)
        refused.append(f"{told}, whose inputs or attributes are not those of the operator ({printable(error, 80)})")
    else:
        taking.known.update({name: each for name, each in zip(operation.outputs, results, strict=False) if name})
        kind = _whole(op)
        if kind and not any(part in operation.kind for part in ("Cast", "uantize", "Integer", "QLinear", "Shape")):
            taking.wholes.update(dict.fromkeys(operation.outputs, kind))
        _quantized_alike(taking, operation)


def _branched(taking: Taking, operation: Operation, refused: list[str]) -> bool:
    """Import the branch that is taken whatever the input is; tells whether there is one."""
    condition = taking.known.get(next(iter(operation.inputs), ""))
    if not isinstance(condition, Fixed) or condition.tensor.size != 1:
        return False
    body = operation.attributes.get("then_branch" if condition.tensor.all() else "else_branch")
    if not isinstance(body, Body):
        return False
    taking.known.update({name: Fixed(array, name) for name, array in body.arrays.items()})
    for inner in body.operations:
        if inner.outputs:
            _take(taking, inner, inner, refused)
    for name, result in zip(operation.outputs, body.outputs, strict=False):
        taking.known[name] = taking.known.get(result)
        if result in taking.leads:
            taking.leads[name] = taking.leads[result]
    return True


def _quantized_alike(taking: Taking, operation: Operation) -> None:
    """What only moves quantised values leaves them quantised."""
    scales = next((taking.scales[name] for name in operation.inputs if name in taking.scales), None)
    if scales is not None and "uantize" not in operation.kind and operation.kind not in _UNQUANTIZED:
        taking.scales.update({name: scales for name in operation.outputs if name not in taking.scales})


_UNQUANTIZED = ("ConvInteger", "MatMulInteger", "Shape", "Size")


def _whole(op: Op) -> str:
    """The type of whole numbers that an operation reads, if they depend on the input."""
    return next((op.taking.wholes[name] for name in op.node.inputs if name in op.taking.wholes), "")


_ROUNDED = ("Div", "Pow", "Mod", "Mean", "ReduceMean", "AveragePool", "GlobalAveragePool", "Sqrt", "Reciprocal")
"""Operators that round whole numbers."""

_WRAPPED = ("Add", "Sub", "Mul", "Neg", "Sum", "ReduceSum", "ReduceSumSquare", "ReduceL1", "MatMul", "Gemm")
"""Operators that leave the range of narrow types."""


def _check_whole(op: Op) -> None:
    kind = _whole(op)
    narrow = kind.startswith("uint") or kind in ("int8", "int16", "bool")
    if kind and (op.node.kind in _ROUNDED or (narrow and op.node.kind in _WRAPPED)):
        raise NotTakenError(
            f"it computes with whole numbers of the type {kind}, which are floats here; cast them to float before it"
        )


def _results(op: Op, inputs: Sequence[Any]) -> list[Any]:
    node = op.node
    if all(each is None or isinstance(each, Fixed) for each in inputs) and node.domain in OWN and node.kind in FOLDED:
        return list(fold(op, inputs))
    if node.kind in ("Shape", "Size") and node.domain in OWN:
        full = file_shape(op)
        return [Fixed(shape_part(op, full) if node.kind == "Shape" else np.array(np.prod(full), np.int64))]
    _check_whole(op)
    moved = translated(op)
    if moved is not None:
        return moved
    found = find(node, op.opset)
    if found is None:
        raise NotTakenError("there is no such layer")
    result = found(op)
    return result if isinstance(result, list) else [result]


def _model(taking: Taking, graph: Graph, engine: str | Engine | None) -> Model:
    told = _told(taking.network)
    task, plain = told.get("task"), told.get("preprocessing")
    with blank():
        model = Model(
            graph,
            task=None if task is None else from_json(task),
            preprocessing=None if plain is None else Preprocessing.from_json(plain),
            engine=engine,
        )
    arrays = taking.network.arrays
    found = {name: arrays[target] for name, target in taking.names.items()} | taking.made
    for name, array in found.items():
        model.state.load(name, placed(np.asarray(array, np.float32), taking.columns.get(name)))
    known = {*graph.parameters, *graph.statistics}
    frozen = told.get("frozen")
    theirs = {name for name in frozen if isinstance(name, str) and name in known} if isinstance(frozen, list) else set()
    model.frozen = frozenset(taking.frozen | theirs)
    model.names = {name: printable(target, 1000) for name, target in taking.names.items()}
    model.remarks = {"onnx": _remarks(taking, graph)}
    for note in taking.notes:
        logger.warning("%s: %s", graph.name, note)
    return model


def _told(network: Network) -> Mapping[str, Any]:
    """What `to_onnx` recorded about the model, if it wrote the file."""
    if OURS not in network.about or not network.producer.startswith(OURS):
        return {}
    try:
        told = json.loads(network.about[OURS])
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise FileError("what the file says about the model is not a JSON object")
    return told


def _remarks(taking: Taking, graph: Graph) -> dict[str, Any]:
    """The names that nodes had, and what the user was told."""
    places = {ours: printable(name, 1000) for ours, name in taking.places.items() if name and ours in graph.shapes}
    told = {"nodes": places, "notes": taking.notes, "producer": taking.network.producer}
    return {"opset": taking.network.opset, **{name: value for name, value in told.items() if value}}
