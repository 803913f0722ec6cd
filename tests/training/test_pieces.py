"""The small parts of training: recipe, programs, prefetch, interruption, compatibility."""

import signal
import threading

import numpy as np
import pytest

from foveate import (
    SGD,
    AdamW,
    Constant,
    Conv2d,
    CrossEntropy,
    DataError,
    Flatten,
    Linear,
    OneCycle,
    Sequential,
    TrainingError,
)
from foveate.data import Augmentation, Dataset, Preprocessing
from foveate.engines import Program
from foveate.tasks import Classification
from foveate.training import (
    Programs,
    Recipe,
    check_classes,
    check_dataset,
    check_preprocessing,
    class_count,
    default_schedule,
)
from foveate.training.interruption import interruptible
from foveate.training.prefetch import prefetch


@pytest.mark.parametrize("name", ["epochs", "batch_size"])
@pytest.mark.parametrize("value", [0, -1, 2.5, True])
def test_a_recipe_checks_its_counts(name, value):
    with pytest.raises(TrainingError, match=f"{name} is {value!r}; it must be an int of at least 1"):
        Recipe(**{name: value})


def test_a_recipe_as_plain_data_tells_recipes_apart():
    plain = Recipe(schedule=OneCycle(0.2), augmentation=Augmentation(shift=1)).to_json()
    assert plain["optimizer"] == {"type": "SGD", "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}
    assert plain["schedule"] == {"type": "OneCycle", "learning_rate": 0.2, "warmup": 0.3, "momentum": [0.85, 0.95]}
    others = [
        Recipe(),
        Recipe(schedule=Constant(0.1)),
        Recipe(loss=CrossEntropy(0.1)),
        Recipe(seed=1),
        Recipe(epochs=6),
    ]
    assert len({str(other.to_json()) for other in others}) == len(others)


def test_default_schedules():
    assert default_schedule(SGD()) == OneCycle(0.1)
    assert default_schedule(AdamW()) == OneCycle(0.003)


def test_programs_are_compiled_once_and_the_oldest_is_given_up(engine, graph):
    programs = Programs(engine, graph, capacity=2)

    def training(size: int) -> Program:
        return programs.get(batch_size=size, mode="training", loss=CrossEntropy(), optimizer=SGD())

    first, second = training(3), training(5)
    assert training(3) is first
    training(6)
    assert len(programs) == 2
    assert training(3) is first
    assert training(5) is not second


def test_few_programs_serve_batches_of_any_size(engine, graph):
    programs, state = Programs(engine, graph), engine.new_state(graph)
    inputs = np.random.default_rng(0).standard_normal((300, *graph.input_shape)).astype(np.float32)
    whole = engine.compile(graph, batch_size=300, mode="inference").forward(state, inputs)[graph.only_output]
    for count in (1, 2, 3, 7, 40, 255, 256, 300):
        outputs = programs.outputs(state, {graph.only_input: inputs[:count]})[graph.only_output]
        np.testing.assert_allclose(outputs, whole[:count], rtol=1e-4, atol=1e-5)
    assert len(programs) == 9


def test_prefetch_keeps_the_order_and_stays_at_most_so_far_ahead():
    asked = []
    batches = prefetch(lambda item: item, (asked.append(item) or item for item in range(10)), ahead=2)
    assert next(batches) == 0
    assert asked == [0, 1, 2]
    assert list(batches) == list(range(1, 10))


def test_prefetch_works_in_another_thread():
    assert all(
        name.startswith("foveate-prefetch") for name in prefetch(lambda _: threading.current_thread().name, "ab")
    )


def test_prefetch_raises_an_error_in_its_place():
    batches = prefetch(lambda item: 1 // item, [1, 0, 1])
    assert next(batches) == 1
    with pytest.raises(ZeroDivisionError):
        next(batches)


def test_prefetch_can_be_closed_early():
    made = []
    batches = prefetch(lambda item: made.append(item) or item, range(1000), ahead=2)
    next(batches)
    batches.close()
    assert len(made) <= 4


def test_the_first_interrupt_is_noted_and_the_second_acts():
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as interrupted:
        assert not interrupted()
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_ignored_interrupt_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible() as interrupted:
            signal.raise_signal(signal.SIGINT)
            assert not interrupted()
    finally:
        signal.signal(signal.SIGINT, before)


def test_interrupts_are_left_alone_outside_the_main_thread():
    found = []

    def work():
        with interruptible() as interrupted:
            found.append((interrupted(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(False, signal.getsignal(signal.SIGINT))]


def test_class_count_wants_a_row_of_numbers():
    with pytest.raises(DataError, match=r"output conv1 is 2x4x4, not one number for each class; end it with Flatten"):
        class_count(Sequential(Conv2d(2, 3)).build((1, 6, 6)))


def test_class_names_must_be_as_many_as_outputs(graph):
    check_classes(graph, ("a", "b", "c"))
    check_classes(graph, None)
    names = tuple("abcde")
    with pytest.raises(
        DataError, match=r"3 outputs, but there are 5 class names \(a, b, c, ... 5 in all\).*Linear\(5\)"
    ):
        check_classes(graph, names)


def test_preprocessing_must_give_the_networks_shape(graph):
    check_preprocessing(graph, None)
    with pytest.raises(DataError, match="the preprocessing makes 1x6x7, but the network takes 1x6x6"):
        check_preprocessing(graph, Preprocessing((1, 6, 7), (0.5,), (0.2,)))


def test_data_must_have_the_networks_shape_and_the_models_classes(graph, data):
    check_dataset(graph, data.task, data)
    with pytest.raises(
        DataError, match=r"a sample is 1x5x5, but the network takes 1x6x6; build it with input_shape=\(1, 5, 5\)"
    ):
        check_dataset(graph, None, Dataset(np.zeros((2, 1, 5, 5), np.uint8), [0, 1], ("a", "b", "c")))
    with pytest.raises(DataError, match="the model's classes are x, y, z, but the data's are a, b, c; the same names"):
        check_dataset(graph, Classification(("x", "y", "z")), data)
    other = Sequential(Flatten(), Linear(2)).build((1, 6, 6))
    with pytest.raises(DataError, match="2 outputs, but there are 3 class names"):
        check_classes(other, data.classes)
