"""Which array is which: by names, by order and shape where only one order is possible, else a table."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import foveate as fv
from foveate.errors import FileError
from foveate.files.weights import Weights, fit_weights, named_arrays, read_weights
from foveate.graph import Graph
from tests.support import Arrays, random_arrays


def chain() -> Graph:
    """Two convolutions of one shape, one after the other, and a head."""
    return fv.Sequential(
        fv.Conv2d(3, 3, padding=1), fv.BatchNorm2d(), fv.Conv2d(3, 3, padding=1), fv.GlobalAvgPool2d(), fv.Linear(2)
    ).build((3, 5, 5))


def side_by_side() -> Graph:
    """Two convolutions of one shape, neither before the other."""
    return fv.Sequential(
        fv.Concat(fv.Conv2d(3, 1), fv.Conv2d(3, 1)), fv.GlobalAvgPool2d(), fv.Linear(2)
    ).build((3, 5, 5))  # fmt: skip


def renamed(arrays: Arrays, names: dict[str, str]) -> Arrays:
    """With other names for modules, in the same order."""
    return {f"{names.get((p := name.rpartition('.'))[0], p[0])}.{p[2]}": array for name, array in arrays.items()}


def fitted(graph: Graph, arrays: dict) -> tuple[Arrays, tuple[str, ...]]:
    found = fit_weights(graph, named_arrays("the dictionary", arrays))
    assert all(array.dtype == np.float32 for array in found.arrays.values())
    return dict(found.arrays), found.said


def same(found: Arrays, arrays: Arrays) -> bool:
    return found.keys() == arrays.keys() and all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_names_that_agree_are_taken_in_any_order():
    graph = chain()
    arrays = random_arrays(graph)
    found, said = fitted(graph, dict(reversed(arrays.items())))
    assert same(found, arrays)
    assert said == ()


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model."])
def test_what_stands_before_every_name_is_found_and_told(prefix: str):
    graph = chain()
    arrays = random_arrays(graph)
    found, said = fitted(graph, {prefix + name: array for name, array in arrays.items()})
    assert same(found, arrays)
    assert said == tuple(f'every name begins with "{each}."' for each in prefix.split(".")[:-1])


def test_the_words_of_other_libraries_are_known():
    graph = chain()
    arrays = random_arrays(graph)
    words = {"bn1.weight": "bn1.gamma", "bn1.bias": "bn1.beta", "bn1.running_var": "bn1.moving_var"}
    assert same(fitted(graph, {words.get(name, name): array for name, array in arrays.items()})[0], arrays)


def test_other_names_are_found_by_their_order_and_shape():
    graph = chain()
    arrays = random_arrays(graph)
    others = {"conv1": "features.0", "bn1": "features.1", "conv2": "features.2", "linear1": "classifier"}
    found, said = fitted(graph, renamed(arrays, others))
    assert same(found, arrays)
    assert said == ("10 arrays were matched by order and shape, because their names differ",)


def test_a_few_other_names_are_found_beside_those_that_agree():
    graph = chain()
    arrays = random_arrays(graph)
    found, said = fitted(graph, renamed(arrays, {"linear1": "fc"}))
    assert same(found, arrays)
    assert said == ("2 arrays were matched by order and shape, because their names differ",)


def test_order_proves_nothing_for_layers_side_by_side():
    graph = side_by_side()
    arrays = random_arrays(graph)
    names = [name.rpartition(".")[0] for name in arrays]
    assert same(fitted(graph, renamed(arrays, {names[-1]: "fc"}))[0], arrays)
    with pytest.raises(FileError, match="does not fit the network, neither by name nor by order and shape"):
        fitted(graph, renamed(arrays, {name: f"m{n}" for n, name in enumerate(dict.fromkeys(names))}))


def in_the_order_of_safetensors(arrays: Arrays, tmp_path: Path) -> Weights:
    save_file(arrays, tmp_path / "weights.safetensors")
    return read_weights(tmp_path / "weights.safetensors")


def loaded_from_safetensors(arrays: Arrays, tmp_path: Path) -> Weights:
    save_file(arrays, tmp_path / "weights.safetensors")
    return named_arrays("the dictionary", load_file(tmp_path / "weights.safetensors"))


def twelve() -> Graph:
    """As many convolutions of one shape as make "10" stand before "2"."""
    return fv.Sequential(*(fv.Conv2d(3, 3, padding=1) for _ in range(12))).build((3, 5, 5))


@pytest.mark.parametrize("read", [in_the_order_of_safetensors, loaded_from_safetensors])
def test_an_alphabetical_order_is_not_taken_for_that_of_the_layers(read, tmp_path: Path):
    graph = twelve()
    arrays = {name: array.astype(np.float32) for name, array in random_arrays(graph).items()}
    others = renamed(arrays, {f"conv{n + 1}": f"features.{n}" for n in range(12)})
    with pytest.raises(FileError, match=r"neither by name nor by shape:\n(.*\n)*.*Give the module's own state_dict"):
        fit_weights(graph, read(others, tmp_path))
    assert same(fitted(graph, others)[0], arrays)  # the way out
    assert same(dict(fit_weights(graph, read(arrays, tmp_path)).arrays), arrays)


def test_shapes_that_occur_once_need_no_order(tmp_path: Path):
    graph = fv.Sequential(fv.Conv2d(4, 3), fv.Conv2d(3, 3), fv.GlobalAvgPool2d(), fv.Linear(2)).build((3, 9, 9))
    arrays = {name: array.astype(np.float32) for name, array in random_arrays(graph).items()}
    others = renamed(arrays, {"conv1": "z", "conv2": "y", "linear1": "a"})
    found = fit_weights(graph, in_the_order_of_safetensors(others, tmp_path))
    assert same(dict(found.arrays), arrays)
    assert found.said == ("6 arrays were matched by shape, because their names differ",)


def test_two_arrays_of_one_name_are_never_taken_for_one():
    """The table names the one that is left over; without names neither is taken."""
    graph = chain()
    arrays = random_arrays(graph)
    twice = {"bn1.gamma": np.zeros(3), **arrays}
    with pytest.raises(FileError, match=r"by order and shape:\n  unexpected \(1\):\n    bn1\.gamma 3$"):
        fitted(graph, twice)
    with pytest.raises(FileError, match=r"unexpected \(5\):\n    b\.gamma 3\n    b\.weight 3"):
        fitted(graph, renamed(twice, {"bn1": "b"}))


def test_a_dictionary_without_arrays_fits_no_network():
    with pytest.raises(FileError, match=r"the dictionary does not fit .*:\n  missing \(10\):"):
        fit_weights(chain(), Weights("the dictionary", {}))


def test_zoo_networks_take_torchvisions_names():
    graph = fv.zoo.resnet18(input_shape=(3, 32, 32), classes=3)
    arrays = random_arrays(graph)
    found, said = fitted(graph, {name.replace("shortcut", "downsample"): array for name, array in arrays.items()})
    assert same(found, arrays)
    assert said == ()
    dense = fv.zoo.densenet121(input_shape=(3, 32, 32), classes=3)
    arrays = random_arrays(dense)
    old = {name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): array for name, array in arrays.items()}
    assert same(fitted(dense, old)[0], arrays)


def test_what_does_not_fit_is_a_table_with_both_shapes():
    graph = chain()
    arrays = random_arrays(graph)
    arrays["linear1.weight"] = np.ones((5, 3))
    arrays["extra.weight"] = arrays.pop("conv2.bias")
    with pytest.raises(FileError) as caught:
        fitted(graph, arrays)
    assert str(caught.value).splitlines() == [
        "the dictionary does not fit the network, neither by name nor by order and shape:",
        "  missing (1):",
        "    conv2.bias 3",
        "  unexpected (1):",
        "    extra.weight 3",
        "  of another shape (1):",
        "    linear1.weight 2x3 in the network, 5x3 in the weights",
    ]


def test_other_classes_are_told_with_the_way_out():
    graph = chain()
    arrays = random_arrays(graph) | {"linear1.weight": np.ones((5, 3)), "linear1.bias": np.ones(5)}
    with pytest.raises(
        FileError, match=r"Make the network with as many classes and channels as the weights were trained for$"
    ):
        fitted(graph, arrays)


def test_names_of_strangers_move_no_cursor():
    with pytest.raises(FileError, match=r"unexpected \(1\):\n    a\\x1b\[2J 1$"):
        fitted(fv.zoo.lenet5(), {"a\x1b[2J": np.ones(1)})


def test_a_long_table_is_cut():
    with pytest.raises(FileError, match=r"missing \(102\):\n(    .*\n){12}    and 90 more\n"):
        fitted(fv.zoo.resnet18(), {"a": np.ones(1)})


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (np.full((2, 3), np.nan), r"the dictionary cannot be used: linear1\.weight holds NaN or infinity"),
        (np.full((2, 3), 1e200), r"the dictionary cannot be used: linear1\.weight holds numbers too large for float32"),
        (
            np.ones((2, 3), complex),
            r"the dictionary cannot be used: linear1\.weight holds complex128, not real numbers",
        ),
    ],
)
def test_arrays_that_hold_no_numbers_are_refused(broken: np.ndarray, message: str):
    graph = chain()
    with pytest.raises(FileError, match=f"^{message}$"):
        fitted(graph, random_arrays(graph) | {"linear1.weight": broken})


def test_modules_of_one_shape_come_in_the_files_order():
    graph = chain()
    arrays = random_arrays(graph)
    others = {"conv1": "b", "conv2": "a"}
    found, _ = fitted(graph, renamed(arrays, others))
    assert same(found, arrays)
