"""From an exported PyTorch module to a model."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from foveate.calls import kind
from foveate.data import Preprocessing
from foveate.engines import Engine
from foveate.engines.torch.own import FrozenNorm
from foveate.errors import CallError, FoveateError, GraphError
from foveate.geometry import format_sizes
from foveate.graph import Graph, GraphBuilder
from foveate.interop.held import Held, held
from foveate.interop.pytorch import (  # noqa: F401 (they fill the table of rules)
    rules_of_arithmetic,
    rules_of_movement,
    rules_of_products,
    rules_of_reductions,
    rules_of_windows,
)
from foveate.interop.pytorch.patterns import Spelt, spelt_out
from foveate.interop.pytorch.rules import FREE, RULES, operation
from foveate.interop.pytorch.rules_of_movement import batch_second
from foveate.interop.pytorch.taking import Taking, later_users, path_of, shape_of
from foveate.interop.walk import NotTakenError, placed
from foveate.model import Model
from foveate.tasks import from_json

AGREEMENT = 1e-3
"""The largest difference from the module's output, relative to its norm: far more than rounding ever causes."""

_IGNORED = ("sym_size", "_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range_for_size")


def imported(module: nn.Module, example_input: Any, engine: str | Engine | None) -> Model:
    """The model; see `from_torch`."""
    _check_module(module)
    example = example_input if isinstance(example_input, tuple) else (example_input,)
    _check_example(example)
    statistics = _kept_statistics(module)
    with _inference(module):
        program = _exported(module, example)
        expected = _outputs(module, example)
    taking, graph = _taken(program, type(module).__name__)
    about = getattr(module, "about", None)
    plain = getattr(about, "preprocessing", None)
    task = getattr(about, "task", None)
    model = Model(
        graph,
        task=None if task is None else from_json(task),
        preprocessing=None if plain is None else Preprocessing.from_json(plain),
        engine=engine,
    )
    found = {name: taking.arrays[target] for name, target in taking.names.items()} | taking.made
    for name, tensor in found.items():
        model.state.load(name, placed(_numbers(tensor), taking.columns.get(name)))
    frozen = {name for name, target in taking.names.items() if target in statistics}
    model.frozen, model.names = frozenset(taking.frozen | frozen), taking.names
    _compare(model, example, expected)
    return model


def _check_module(module: object) -> None:
    if not isinstance(module, nn.Module):
        what = f"the class {module.__name__}" if isinstance(module, type) else kind(module)
        raise CallError(f"module is {what}; give a module of PyTorch, an instance of torch.nn.Module")
    arrays = chain(module.named_parameters(), module.named_buffers())
    empty = next((name for name, array in arrays if array.is_meta), None)
    if empty is not None:
        raise GraphError(f"the module's {empty} is on the device meta, without numbers; load its weights first")


def _check_example(example: tuple[Any, ...]) -> None:
    for tensor in example:
        if not _is_plain(tensor) or tensor.dim() < 2:
            raise GraphError(
                "example_input must be a tensor of floating-point numbers, batch first, or a tuple of them; "
                f"it has {_described(tensor)}"
            )


def _is_plain(value: Any) -> bool:
    """Whether this is a tensor of real numbers that has its values."""
    if not isinstance(value, torch.Tensor):
        return False
    return value.is_floating_point() and value.layout == torch.strided and not value.is_meta


def _described(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return "None" if value is None else kind(value)
    plain = value.layout == torch.strided and not value.is_meta
    where = "" if plain else f" ({value.layout}, on {value.device})"
    return f"a tensor of {value.dtype} with {value.dim()} axes{where}"


@contextmanager
def _inference(module: nn.Module) -> Iterator[None]:
    """Put the module in inference mode, and afterwards restore its mode."""
    before = {each: each.training for each in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for each, training in before.items():
            each.training = training


def _kept_statistics(module: nn.Module) -> set[str]:
    """Running statistics that training leaves unchanged: of normalisations kept in inference mode, or frozen.

    `to_torch` writes the former as modules of their own; if it says so, frozen ones may still update theirs.
    """
    found, ours = set(), hasattr(getattr(module, "about", None), "inputs")
    for path, each in module.named_modules():
        if not isinstance(each, nn.modules.batchnorm._BatchNorm):
            continue
        parameters = list(each.parameters(recurse=False))
        still = bool(parameters) and not any(parameter.requires_grad for parameter in parameters) and not ours
        if still or isinstance(each, FrozenNorm) or (module.training and not each.training):
            found |= {f"{path}.{name}" if path else name for name in ("running_mean", "running_var")}
    return found


def _exported(module: nn.Module, example: tuple[torch.Tensor, ...]) -> torch.export.ExportedProgram:
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return torch.export.export(module, example)
    except Exception as error:  # whatever PyTorch raises, it is about the module
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise GraphError(f"PyTorch cannot export {type(module).__name__}: {reason}") from error


def _outputs(module: nn.Module, example: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    """What the module returns, in torch.export's order."""
    with torch.no_grad():
        made: list[Any] = tree_leaves(module(*example))
    for each in made:
        if not _is_plain(each):
            raise GraphError(
                f"{type(module).__name__} returns {_described(each)}; let it return a tensor of floating-point "
                "numbers, or several in a tuple or dict"
            )
    if not made:
        raise GraphError(f"{type(module).__name__} returns nothing; let it return a tensor, or several")
    return made


def _taken(program: torch.export.ExportedProgram, name: str) -> tuple[Taking, Graph]:
    signature = program.graph_signature
    targets = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    arrays = {**dict(program.named_parameters()), **dict(program.named_buffers()), **program.constants}
    taking = Taking(GraphBuilder(name=name), arrays, targets)
    refused: list[str] = []
    outputs: list[Any] = []
    spelt = spelt_out(program.graph)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name not in targets:
            taking.known[node] = held(taking.builder.input(shape_of(node), taking.free(node.name)))
        elif node.op == "call_function" and node not in spelt.parts and operation(node)[0] not in _IGNORED:
            if not taking.compute(node):
                _take(taking, node, refused, spelt)
        elif node.op == "output":
            outputs = list(node.args[0])
    if refused:
        count = "an operation" if len(refused) == 1 else f"{len(refused)} operations"
        raise GraphError(
            f"{name} has {count} that no layer in foveate computes:\n  " + "\n  ".join(refused) + "\n"
            "Replace them in the module, or give from_torch the part before them"
        )
    return taking, _built(taking, outputs)


def _built(taking: Taking, outputs: list[Any]) -> Graph:
    try:
        values = [taking.value(output) for output in outputs]
    except NotTakenError as error:
        raise GraphError(f"the module's result cannot be used: {error}") from None
    inputs = [value.name for value in values if value.name in taking.builder.partial().inputs]
    if inputs:
        raise GraphError(f"the module returns its input {inputs[0]} unchanged; let it compute something")
    if len({value.name for value in values}) < len(values):
        raise GraphError("the module returns one tensor twice; return each once")
    return taking.builder.build(*values, quiet=True)


def _take(taking: Taking, node: fx.Node, refused: list[str], spelt: Spelt) -> None:
    """Convert one operation: record what represents its result, or a line on why nothing does."""
    name, in_place = operation(node)
    layer, source = spelt.layers.get(node, (None, node))
    needed = node.all_input_nodes if layer is None else [source]
    missing = [each for each in needed if each not in taking.computed and taking.known.get(each, taking) is None]
    taking.known[node] = None
    path, _ = path_of(node)
    where = path or "the module itself"
    if layer is None and name not in RULES:
        refused.append(f"{where}: {name}")
        return
    if missing:  # what comes after an operation that is refused is not the module's fault
        return
    try:
        if layer is not None:
            taking.known[node] = held(taking.add(layer, taking.value(source), node=node))
        else:
            taking.known[node] = RULES[name](taking, node, arguments(node))
            _check_shape(node, taking.known[node])
        if in_place:
            _mutate(taking, node)
    except NotTakenError as error:
        refused.append(f"{where}: {name}, because {error}")
    except FoveateError as error:
        refused.append(f"{where}: {name}, because {str(error).splitlines()[0]}")


def _check_shape(node: fx.Node, result: Any) -> None:
    """Check that the result has PyTorch's shape; only a mistake in a rule could give it another."""
    if (
        isinstance(result, Held)
        and operation(node)[0] not in ("expand", "expand_as")
        and not batch_second(node)
        and result.shape != shape_of(node)
    ):
        raise NotTakenError(
            f"its result is {format_sizes(shape_of(node))} in PyTorch, {format_sizes(result.shape)} in foveate"
        )


def _mutate(taking: Taking, node: fx.Node) -> None:
    """After an in-place operation its input is the result too, as is any other name for the same tensor."""
    source = node.args[0]
    before = taking.known[source]  # type: ignore[index]
    for other in (each for each in _same_memory(source) if each < node):  # type: ignore[arg-type]
        if other is source or taking.known.get(other) is before:
            taking.known[other] = taking.known[node]
        elif any(later_users(other, node)):
            raise NotTakenError(f"it changes {other.name} in place too, which is read afterwards")


_VIEWS = {
    *FREE,
    *("view", "reshape", "flatten", "squeeze", "unsqueeze", "_unsafe_view", "unflatten", "transpose", "to"),
    *("expand", "expand_as", "chunk", "split", "split_with_sizes", "getitem", "slice", "dropout", "feature_dropout"),
    *("permute", "swapaxes", "swapdims", "mT", "movedim", "moveaxis", "select", "narrow", "unbind", "tensor_split"),
}
"""Operations whose result may be the same memory as their input."""


def _same_memory(node: fx.Node) -> set[fx.Node]:
    """The nodes that may share the memory of `node`: those that it is a view of, and their views."""
    root = node
    while root.op == "call_function" and (operation(root)[0] in _VIEWS or operation(root)[1]):
        root = root.args[0]  # type: ignore[assignment]
    found, waiting = {root}, [root]
    while waiting:
        for user in waiting.pop().users:
            if (
                user not in found
                and user.op == "call_function"
                and (operation(user)[0] in _VIEWS or operation(user)[1])
            ):
                found.add(user)
                waiting.append(user)
    return found


def arguments(node: fx.Node) -> Mapping[str, Any]:
    """An operation's arguments by the names in its schema, with defaults filled in."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return dict(node.kwargs)
    given = dict(zip((each.name for each in schema.arguments), node.args, strict=False)) | dict(node.kwargs)
    return {each.name: given.get(each.name, each.default_value) for each in schema.arguments}


def _numbers(tensor: torch.Tensor) -> Any:
    return tensor.detach().cpu().to(torch.float32).numpy()


def _compare(model: Model, example: tuple[torch.Tensor, ...], expected: list[torch.Tensor]) -> None:
    """Compare the model with the module on the example."""
    inputs = {name: _numbers(tensor) for name, tensor in zip(model.graph.inputs, example, strict=True)}
    made = model.outputs(inputs)
    for name, theirs in zip(model.graph.outputs, map(_numbers, expected), strict=True):
        difference = float(np.linalg.norm(made[name].reshape(theirs.shape) - theirs))
        if not difference <= AGREEMENT * float(np.linalg.norm(theirs)) + 1e-6:
            raise GraphError(
                f"the model's {name} is not the module's on the example: it differs by "
                f"{difference / (float(np.linalg.norm(theirs)) or 1):.2g} of its norm"
            )
