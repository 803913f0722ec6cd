"""What engines refuse, in words."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pytest

import foveate as fv
from foveate import engines
from foveate.engines import Engine, Program, State, default_engine, get_engine, register, set_threads
from foveate.graph import Graph

GRAPH = fv.Sequential(fv.Conv2d(2, 3), fv.ReLU(), fv.Flatten(), fv.Linear(3)).build((1, 5, 5))
X = np.zeros((2, 1, 5, 5))


def says(sentence: str) -> str:
    """A pattern that a whole message must match."""
    return f"^{re.escape(sentence)}$"


def training(engine: Engine, **options: Any) -> tuple[Program, State]:
    """A program that can step, and a state."""
    options = {"batch_size": 2, "mode": "training", "loss": fv.CrossEntropy()} | options
    return engine.compile(GRAPH, **options), engine.new_state(GRAPH)


@pytest.mark.parametrize(
    "options", [{"mode": "inference"}, {"loss": None}, {"mode": "inference", "loss": None}], ids=str
)
def test_a_step_needs_training_mode_and_a_loss(engine: Engine, options: dict[str, Any]):
    program, state = training(engine, **options)
    with pytest.raises(fv.EngineError, match=says('step() needs a program compiled with mode="training" and a loss')):
        program.step(state, X, [0, 1])


@pytest.mark.parametrize("other", [None, fv.AdamW()], ids=["no slots", "slots of AdamW"])
def test_a_step_with_an_optimiser_needs_its_slots(engine: Engine, other: fv.AdamW | None):
    program, _ = training(engine, optimizer=fv.SGD())
    sentence = "the state has no slots for SGD: make it with engine.new_state(graph, optimizer)"
    with pytest.raises(fv.EngineError, match=says(sentence)):
        program.step(engine.new_state(GRAPH, other), X, [0, 1])


@pytest.mark.parametrize("method", ["step", "forward"])
def test_a_state_of_another_graph_is_refused(engine: Engine, method: str):
    program, _ = training(engine)
    other = engine.new_state(fv.Sequential(fv.Flatten(), fv.Linear(3)).build((1, 5, 5)))
    run: Callable[[], Any] = {
        "step": lambda: program.step(other, X, [0, 1]),
        "forward": lambda: program.forward(other, X),
    }[method]
    with pytest.raises(fv.EngineError, match=says("the state belongs to a different graph from the program's")):
        run()


def test_a_state_of_an_equal_graph_is_accepted(engine: Engine):
    program, _ = training(engine)
    equal = fv.Sequential(fv.Conv2d(2, 3), fv.ReLU(), fv.Flatten(), fv.Linear(3)).build((1, 5, 5))
    assert program.forward(engine.new_state(equal), X)["linear1"].shape == (2, 3)


def test_backward_needs_a_differentiable_program(engine: Engine):
    program, state = training(engine)
    program.forward(state, X)
    with pytest.raises(fv.EngineError, match=says("backward() needs a program compiled with differentiable=True")):
        program.backward({"linear1": np.zeros((2, 3))})


def test_backward_needs_a_forward_pass(engine: Engine):
    program, _ = training(engine, differentiable=True)
    with pytest.raises(fv.EngineError, match="forward"):
        program.backward({"linear1": np.zeros((2, 3))})


def test_an_activation_needs_a_run(engine: Engine):
    program, _ = training(engine, keep=("relu1",))
    with pytest.raises(fv.EngineError, match="relu1"):
        program.activation("relu1")


def test_a_seed_stands_at_an_output_or_a_kept_node(engine: Engine):
    program, state = training(engine, differentiable=True)
    program.forward(state, X)
    with pytest.raises(
        fv.EngineError, match=says('"relu1" is neither an output nor kept; compile with keep=("relu1",)')
    ):
        program.backward({"relu1": np.zeros((2, 2, 3, 3))})


def test_a_seed_has_the_shape_of_its_node(engine: Engine):
    program, state = training(engine, differentiable=True)
    program.forward(state, X)
    with pytest.raises(
        fv.ShapeError, match=says("linear1 must have the shape 2x3 (batch first), but the array has 3x2")
    ):
        program.backward({"linear1": np.zeros((3, 2))})


def test_an_activation_must_be_kept(engine: Engine):
    program, state = training(engine)
    program.forward(state, X)
    with pytest.raises(fv.EngineError, match=says('"relu1" was not kept; compile with keep=("relu1",)')):
        program.activation("relu1")


def test_there_is_no_gradient_before_a_backward_pass(engine: Engine):
    program, state = training(engine)
    program.forward(state, X)
    with pytest.raises(fv.EngineError, match=r'^there is no gradient of "conv1\.weight"'):
        program.gradient("conv1.weight")


def test_there_is_no_gradient_of_an_unknown_name(engine: Engine):
    program, state = training(engine)
    program.step(state, X, [0, 1])
    with pytest.raises(fv.EngineError, match=r'^there is no gradient of "conv9\.weight"'):
        program.gradient("conv9.weight")


# Inputs, labels, weights


def test_inputs_are_named_as_in_the_graph(engine: Engine):
    program, state = training(engine)
    with pytest.raises(fv.EngineError, match=says("the network takes input, but got image, mask")):
        program.forward(state, {"image": X, "mask": X})


def test_one_array_for_several_inputs_is_refused(engine: Engine):
    builder = fv.GraphBuilder()
    graph = builder.build(builder.add(fv.Add(), builder.input((3,), "left"), builder.input((3,), "right")))
    program = engine.compile(graph, batch_size=1, mode="inference")
    with pytest.raises(fv.GraphError, match=says("the network has 2 inputs (left, right); name one of them")):
        program.forward(engine.new_state(graph), np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((3, 1, 5, 5)), "3x1x5x5"),
        (np.zeros((1, 5, 5)), "1x5x5"),
        (np.zeros((2, 5, 5, 1)), "2x5x5x1"),
        (np.zeros((0, 1, 5, 5)), "0x1x5x5"),
    ],
    ids=["another batch", "no batch axis", "channels last", "nothing"],
)
def test_an_input_of_another_shape_is_refused(engine: Engine, array: np.ndarray, found: str):
    program, state = training(engine)
    with pytest.raises(
        fv.ShapeError, match=says(f"input must have the shape 2x1x5x5 (batch first), but the array has {found}")
    ):
        program.forward(state, array)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, 1, 2], "there are 2 samples, but labels of shape 3"),
        ([[0, 1]], "there are 2 samples, but labels of shape 1x2"),
        (1, "there are 2 samples, but labels of shape one number"),
        ([0.0, 1.0], "labels must be whole numbers (class indices), but they are float64"),
        ([True, False], "labels must be whole numbers (class indices), but they are bool"),
        ([0, 3], "label 3 is outside 0 to 2: the network's output has 3 classes"),
        ([-1, 2], "label -1 is outside 0 to 2: the network's output has 3 classes"),
        ([-5, 7], "label -5 is outside 0 to 2: the network's output has 3 classes"),
    ],
    ids=str,
)
def test_labels_are_class_indices_one_for_each_sample(engine: Engine, labels: Any, sentence: str):
    program, state = training(engine)
    with pytest.raises(fv.DataError, match=says(sentence)):
        program.step(state, X, labels)


@pytest.mark.parametrize("labels", [np.array([0, 2], np.uint8), np.array([2, 1], np.int32), (1, 1)], ids=repr)
def test_labels_of_any_whole_number_type_are_accepted(engine: Engine, labels: Any):
    program, state = training(engine)
    assert program.step(state, X, labels).loss == pytest.approx(np.log(3), rel=1e-5)


@pytest.mark.parametrize(
    "weight", [[1.0], [[1.0, 1.0]], [1.0, -0.5], [0.0, 0.0], [1.0, np.nan], [1.0, np.inf]], ids=str
)
def test_sample_weights_are_numbers_of_which_one_is_positive(engine: Engine, weight: Any):
    program, state = training(engine)
    with pytest.raises(
        fv.DataError,
        match=says("sample_weight must be 2 numbers, none negative and not all zero, one for each sample"),
    ):
        program.step(state, X, [0, 1], sample_weight=weight)


def test_a_refused_step_leaves_the_state_as_it_was(engine: Engine):
    optimizer = fv.SGD()
    program, _ = training(engine, optimizer=optimizer)
    state = engine.new_state(GRAPH, optimizer)
    before = {name: state.read(name) for name in state.names(slots=True)}
    with pytest.raises(fv.DataError):
        program.step(state, X, [0, 3], learning_rate=1.0)
    assert all(np.array_equal(state.read(name), array) for name, array in before.items())
    assert state.step_count == 0


# States


@pytest.mark.parametrize("name", ["conv1.wait", "nothing", "momentum/conv1.weight"])
@pytest.mark.parametrize("method", ["read", "load"])
def test_an_unknown_array_is_refused_with_the_nearest_names(engine: Engine, method: str, name: str):
    state = engine.new_state(GRAPH)
    run: Callable[[], Any] = {"read": lambda: state.read(name), "load": lambda: state.load(name, np.zeros(1))}[method]
    with pytest.raises(fv.EngineError, match=rf'^there is no array "{name}"\. Nearest: (\w+\.\w+, )*conv1\.weight'):
        run()


@pytest.mark.parametrize(
    ("array", "found"),
    [(np.zeros((2, 1, 3)), "2x1x3"), (np.zeros((1, 2, 3, 3)), "1x2x3x3"), (1.0, "is a single number")],
    ids=["too few axes", "inputs first", "a number"],
)
def test_an_array_of_another_shape_is_not_loaded(engine: Engine, array: Any, found: str):
    state = engine.new_state(GRAPH)
    before = state.read("conv1.weight")
    with pytest.raises(
        fv.ShapeError, match=says(f"conv1.weight has the shape 2x1x3x3, but the array given for it {found}")
    ):
        state.load("conv1.weight", array)
    assert np.array_equal(state.read("conv1.weight"), before)


# Compiling


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, "2", None])
def test_a_batch_size_is_a_positive_int(engine: Engine, batch_size: Any):
    with pytest.raises(fv.EngineError, match=says(f"batch_size is {batch_size}; it must be an int of at least 1")):
        engine.compile(GRAPH, batch_size=batch_size, mode="training")


@pytest.mark.parametrize("batch_size", [2**31, 2**32, 2**64])
@pytest.mark.parametrize("layer", [fv.Linear(2), fv.Conv2d(2, 1)], ids=lambda layer: type(layer).__name__)
def test_no_array_holds_more_numbers_than_can_be_counted(engine: Engine, layer: Any, batch_size: int):
    graph = fv.Sequential(layer).build((1, 2, 2)) if isinstance(layer, fv.Conv2d) else fv.Sequential(layer).build((8,))
    name, numbers = ("input", "8") if isinstance(layer, fv.Linear) else (graph.only_output, "2x2x2")
    sentence = (
        f"{name} would hold {batch_size:,} x {numbers} = {batch_size * 8:,} numbers, but an array holds at most "
        "2,147,483,647: use at most 268,435,455 samples at a time"
    )
    with pytest.raises(fv.EngineError, match=says(sentence)):
        engine.compile(graph, batch_size=batch_size, mode="inference")


def test_no_sample_holds_more_numbers_than_can_be_counted(engine: Engine):
    graph = fv.Sequential(fv.ReLU()).build((2, 2**30))
    sentence = (
        "input would hold 1 x 2x1073741824 = 2,147,483,648 numbers, but an array holds at most 2,147,483,647: give the "
        "network smaller inputs"
    )
    with pytest.raises(fv.EngineError, match=says(sentence)):
        engine.compile(graph, batch_size=1, mode="inference")


@pytest.mark.parametrize(
    ("layer", "shape", "batch_size"),
    [(fv.Upsample(scale=2**31 - 1), (1, 1), 1), (fv.Conv1d(1, 1), (1, 1), 2**31 - 1)],
    ids=["Upsample", "Conv1d"],
)
def test_what_no_memory_holds_is_refused_at_once(
    engine: Engine, layer: Any, shape: Any, batch_size: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("foveate.engines.engine.physical_memory", lambda: 8 * 10**9)
    since = perf_counter()
    with pytest.raises(
        fv.EngineError, match=r" needs 8\.6 GB, but this machine has 8\.0 GB\. Use a smaller batch or input$"
    ):
        engine.compile(fv.Sequential(layer).build(shape), batch_size=batch_size, mode="inference", differentiable=True)
    assert perf_counter() - since < 1


@pytest.mark.parametrize("mode", ["train", "eval", None])
def test_a_mode_is_one_of_two_words(engine: Engine, mode: Any):
    with pytest.raises(fv.EngineError, match=says(f'mode is "{mode}"; it must be "inference" or "training"')):
        engine.compile(GRAPH, batch_size=2, mode=mode)


def test_only_nodes_can_be_kept(engine: Engine):
    with pytest.raises(fv.GraphError, match=r'^there is no layer "relu7"\. Nearest: relu1'):
        engine.compile(GRAPH, batch_size=2, mode="inference", keep=("relu7",))


def test_a_loss_needs_a_single_output(engine: Engine):
    builder = fv.GraphBuilder()
    x = builder.input((4,))
    graph = builder.build(builder.add(fv.Linear(2), x), builder.add(fv.Linear(3), x))
    sentence = "the network has 2 outputs (linear1, linear2); name one of them"
    with pytest.raises(fv.GraphError, match=says(sentence)):
        engine.compile(graph, batch_size=2, mode="training", loss=fv.CrossEntropy())


STARVED = {
    "features": (fv.BatchNorm1d(), (4,), "bn1 (BatchNorm1d)"),
    "1x1 images": (fv.BatchNorm2d(), (4, 1, 1), "bn1 (BatchNorm2d)"),
    "without scale and shift": (fv.BatchNorm3d(affine=False), (4, 1, 1, 1), "bn1 (BatchNorm3d)"),
}


@pytest.mark.parametrize(("layer", "shape", "node"), STARVED.values(), ids=STARVED)
def test_a_batch_norm_that_would_see_one_value_for_each_channel_says_why(
    engine: Engine, layer: fv.Layer, shape: tuple[int, ...], node: str
):
    graph = fv.Sequential(layer).build(shape)
    sentence = (
        f"{node} would see a single value for each channel: with batch_size 1 and no positions to average over, "
        "every value is its own mean and normalises to zero. Train with at least 2 samples per "
        "batch, or with frozen=True"
    )
    with pytest.raises(fv.EngineError, match=says(sentence)):
        engine.compile(graph, batch_size=1, mode="training")


@pytest.mark.parametrize(
    ("layer", "shape", "mode", "batch_size"),
    [
        (fv.BatchNorm1d(), (4,), "inference", 1),
        (fv.BatchNorm1d(frozen=True), (4,), "training", 1),
        (fv.BatchNorm1d(), (4, 2), "training", 1),
        (fv.BatchNorm1d(), (4,), "training", 2),
    ],
    ids=["inference", "frozen", "two positions", "two samples"],
)
def test_a_batch_norm_with_enough_values_compiles(
    engine: Engine, layer: fv.Layer, shape: tuple[int, ...], mode: Any, batch_size: int
):
    graph = fv.Sequential(layer).build(shape)
    program = engine.compile(graph, batch_size=batch_size, mode=mode)
    x = np.arange(batch_size * np.prod(shape), dtype=np.float32).reshape(batch_size, *shape)
    assert np.isfinite(program.forward(engine.new_state(graph), x)["bn1"]).all()


# Operations and engines


@dataclass(frozen=True)
class Unheard(fv.Layer):
    """A layer that nobody registered."""

    label = "unheard"

    def output_shape(self, input_shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        return input_shapes[0]


def test_a_layer_without_an_operation_is_refused_when_compiled(engine: Engine):
    graph = fv.Sequential(Unheard()).build((3,))
    sentence = (
        "no engine knows how Unheard computes; teach it with foveate.engines.register(Unheard, forward, backward)"
    )
    with pytest.raises(fv.EngineError, match=says(sentence)):
        engine.compile(graph, batch_size=1, mode="inference")


def test_a_layer_of_ones_own_cannot_take_the_name_of_a_built_in_one():
    @dataclass(frozen=True)
    class ReLU(fv.ElementwiseLayer):
        """Another ReLU."""

    with pytest.raises(fv.LayerError, match=says("foveate already has a layer called ReLU; choose another class name")):
        register(ReLU, lambda *_: np.zeros(1), lambda *_: ([], {}))
    assert type(Graph.from_json(GRAPH.to_json()).node("relu1").layer) is fv.ReLU


def test_an_unknown_engine_is_refused():
    for name in ("cuda", "torch:", "native:cpu"):
        sentence = f'there is no engine "{name}"; choose "native", "torch" or "reference"'
        with pytest.raises(fv.EngineError, match=says(sentence)):
            get_engine(name)


def test_an_engine_is_made_once():
    assert get_engine("reference") is get_engine("reference")
    assert get_engine("reference").name == "reference"


def test_the_native_engine_is_there_and_is_the_default():
    default_engine.cache_clear()
    assert default_engine() is get_engine("native")
    assert get_engine("native").name == "native"


@pytest.mark.parametrize("end", ["", "."])
@pytest.mark.parametrize(
    ("version", "name", "kind"), [(None, "reference", "slow reference"), ("2.13.0", "torch", "torch")]
)
def test_without_the_native_engine_another_stands_in_and_says_so_once(
    version: str | None, name: str, kind: str, end: str, monkeypatch: pytest.MonkeyPatch
):
    def all_others(name: str) -> Engine:
        if name == "native":
            raise fv.EngineError("the native engine was not built here: install a C++ compiler" + end)
        return get_engine(name)

    monkeypatch.setattr(engines, "get_engine", all_others)
    monkeypatch.setattr(engines, "torch_version", lambda: version)
    default_engine.cache_clear()
    sentence = f"the native engine was not built here: install a C++ compiler. The {kind} engine is used instead."
    with pytest.warns(UserWarning, match=says(sentence)) as told:
        chosen = [default_engine(), default_engine()]
    default_engine.cache_clear()
    assert [engine.name for engine in chosen] == [name, name]
    assert len(told) == 1


@pytest.mark.parametrize("count", [0, -2, 1.5, "4", None])
def test_a_number_of_threads_is_a_positive_int(count: Any):
    with pytest.raises(
        fv.EngineError, match=says(f"the number of threads is {count!r}; it must be an int of at least 1")
    ):
        set_threads(count)
