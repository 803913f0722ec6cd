"""Model files: what is written is read again, and whatever else a file holds ends as one sentence."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from benchmarks.packing import packed
from foveate.errors import FileError
from foveate.files import ArraysInTurn, container, read_description, read_model, write_model
from foveate.files.container import KEY, LARGEST_HEADER, write_container
from foveate.opening import open_regular
from foveate.tasks import Classification, Several
from tests.files.support import document_of, rewritten


@pytest.fixture
def path(tmp_path, arrays, description):
    write_model(tmp_path / "model.safetensors", arrays, description)
    return tmp_path / "model.safetensors"


def refused(path, match):
    with pytest.raises(FileError, match=match) as caught:
        read_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_round_trip(path, arrays, description):
    read, found = read_model(path)
    assert found == description
    assert read_description(path) == description
    assert set(read) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == np.float32


def test_equal_models_are_equal_files(path, tmp_path, arrays, description):
    write_model(tmp_path / "again", arrays, description)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_the_bytes_are_those_of_the_safetensors_library(tmp_path, arrays):
    mixed = {**arrays, "ç.\n": np.zeros(3), "b": np.ones((0, 2), np.float32), "a": np.array([2.5])}
    write_container(tmp_path / "file", "model", mixed, {"remarks": "ö \\ \x7f"})
    document = document_of(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == packed(mixed, document)


def test_arrays_are_read_in_turn(tmp_path, arrays):
    """Each once, and each gone before the next is read."""
    made, asked = [], []

    def read(name):
        assert not any(reference() is not None for reference in made)
        asked.append(name)
        array = arrays[name].copy()
        made.append(weakref.ref(array))
        return array

    shapes = {name: array.shape for name, array in arrays.items()}
    turn = ArraysInTurn(shapes, np.dtype(np.float32), read)
    write_container(tmp_path / "turn", "model", turn, {})
    assert sorted(asked) == sorted(arrays)
    write_container(tmp_path / "whole", "model", arrays, {})
    assert (tmp_path / "turn").read_bytes() == (tmp_path / "whole").read_bytes()


def test_arrays_that_are_views_are_written_right(tmp_path, arrays, description):
    strided = {name: np.repeat(array, 2, axis=0)[::2] for name, array in arrays.items()}
    strided["conv1.weight"] = np.asfortranarray(arrays["conv1.weight"])
    write_model(tmp_path / "model", strided, description)
    for name, array in read_model(tmp_path / "model")[0].items():
        np.testing.assert_array_equal(array, arrays[name])


def test_float64_stays_float64(tmp_path, arrays, description):
    write_model(tmp_path / "model", {name: array.astype(np.float64) for name, array in arrays.items()}, description)
    assert all(array.dtype == np.float64 for array in read_model(tmp_path / "model")[0].values())


def test_without_classes_and_preprocessing(tmp_path, arrays, description):
    plain = replace(description, task=None, preprocessing=None, training={})
    write_model(tmp_path / "model", arrays, plain)
    assert read_model(tmp_path / "model")[1] == plain


def test_a_file_cut_anywhere_is_one_sentence(path):
    content = path.read_bytes()
    for length in [*range(0, 40), *range(40, len(content), 37), len(content) - 1]:
        path.write_bytes(content[:length])
        refused(path, r"is empty|is cut short|is not a safetensors file")


def test_a_file_with_any_bit_changed_is_one_sentence(path):
    content = path.read_bytes()
    random = np.random.default_rng(0)
    for place in {*range(12), *random.integers(0, len(content), 400).tolist()}:
        changed = bytearray(content)
        changed[place] ^= 1 << int(random.integers(8))
        path.write_bytes(changed)
        refused(path, ".")


def test_a_damaged_file_is_read_once_more_to_know_that(path, monkeypatch):
    content = bytearray(path.read_bytes())
    place = content.index(b"Conv2d")
    content[place : place + 6] = b"Conv9d"
    path.write_bytes(content)
    opened = []
    monkeypatch.setattr(container, "open_regular", lambda *given: opened.append(given) or open_regular(*given))
    refused(path, "is damaged: its content does not match its checksum")
    assert len(opened) == 2


@pytest.mark.parametrize("content", [b"PK\x03\x04" + b"x" * 100, b"\x89PNG\r\n\x1a\n" + b"0" * 50, b"\xff" * 64])
def test_another_kind_of_file(path, content):
    path.write_bytes(content)
    refused(path, "is not a safetensors file; expected one written by foveate")


def test_missing(tmp_path):
    refused(tmp_path / "nowhere", "does not exist; expected a file written by foveate")


def test_a_folder(tmp_path):
    refused(tmp_path, "cannot be read: Is a directory")


def test_a_header_that_is_not_json(path):
    path.write_bytes((9).to_bytes(8, "little") + b"{nothing}" + b" " * 10)
    refused(path, "is damaged: its header is not valid JSON")


def test_a_header_nested_without_end(path):
    header = b'{"a":' + b"[" * 200_000
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    refused(path, "is damaged: its header is not valid JSON")


def test_a_header_that_describes_an_array_wrongly(path):
    header = b'{"__metadata__":{"foveate":"{}"},"a":{"dtype":"F32","shape":3,"data_offsets":[0]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    refused(path, "is damaged: its header describes a wrongly")


def test_bytes_that_belong_to_no_array(path):
    path.write_bytes(path.read_bytes() + b"more")
    refused(path, "is damaged: .*Copy or write it again")


def test_another_dtype(path, arrays):
    rewritten(path, arrays={name: array.astype(np.int32) for name, array in arrays.items()})
    refused(path, "holds I32, but foveate writes F32 and F64 only")


def test_safetensors_of_somebody_else(path, arrays):
    path.write_bytes(save(arrays, {"format": "pt"}))
    refused(path, "is a safetensors file, but not one of foveate's: it has no description of a network")
    foreign = {"weight": np.ones(3, np.float16), "num_batches_tracked": np.ones((), np.int64)}
    for given in (arrays, foreign):  # PyTorch's have counters and halves, which are no damage
        path.write_bytes(save(given))
        refused(path, r"not one of foveate's: .* let it take the weights: Model\(graph\)\.load_torch\(path\)$")


def test_a_description_that_is_no_object(path, arrays):
    path.write_bytes(save(arrays, {KEY: "[1]"}))
    refused(path, "its description is not a JSON object")
    path.write_bytes(save(arrays, {KEY: "{"}))
    refused(path, "its description is not valid JSON")


def test_another_format_version(path):
    rewritten(path, lambda document: document.update(format_version=99, foveate_version="9.9"))
    refused(path, r"has format version 99, but this foveate reads the versions up to 2; install .* it \(9\.9\)")


def test_another_kind_of_foveate_file(tmp_path, arrays, description):
    write_container(tmp_path / "x", "poem", arrays, description.to_json())
    refused(tmp_path / "x", "holds a poem; expected a model or a checkpoint")


def test_no_network(path):
    rewritten(path, lambda document: document.pop("graph"))
    refused(path, "is damaged: it has no network")


def test_a_network_of_another_version(path):
    rewritten(path, lambda document: document["graph"].update(format_version=2))
    refused(path, "cannot be used: its network has format version 2")


def test_a_layer_that_nobody_knows(path):
    rewritten(path, lambda document: document["graph"]["nodes"][0].update(type="os.system"))
    refused(path, "cannot be used: .*there is no layer type 'os.system'")


def test_a_network_that_does_not_fit(path):
    rewritten(path, lambda document: document["graph"]["inputs"].update(input=[1, 2, 2]))
    refused(path, "cannot be used: layer 1, conv1")


def test_an_array_missing(path, arrays):
    del arrays["bn1.weight"]
    rewritten(path, arrays=arrays)
    refused(path, "its network has an array bn1.weight, but the file does not")


def test_an_array_of_another_shape(path, arrays):
    arrays["bn1.weight"] = np.ones(3, np.float32)
    rewritten(path, arrays=arrays)
    refused(path, r"bn1.weight has the shape \[3\] in the file, \[2\] in its network")


def test_an_array_too_many(path, arrays):
    rewritten(path, arrays={**arrays, "extra": np.ones(3, np.float32)})
    refused(path, "it has an array extra that its network does not have")


def test_a_million_outputs_need_no_memory_before_they_are_refused(path):
    rewritten(path, lambda document: document["graph"]["nodes"][-1]["options"].update(out_features=10**9))
    refused(path, "the network has 1,000,000,000 outputs, but there are 3 class names")
    rewritten(path, lambda document: document.pop("task"))
    refused(path, r"linear1.weight has the shape \[3, 8\] in the file, \[1000000000, 8\]")


def test_an_activation_that_no_memory_holds(path):
    """Fault 45: padding that makes a plane of some gigabytes."""
    pool = {"name": "pool", "type": "GlobalAvgPool2d", "options": {}, "inputs": ["relu1"], "parameters": "pool"}
    rewritten(
        path,
        lambda document: (
            document["graph"]["nodes"][0]["options"].update(padding=[[1, 1], [10**8, 10**9]]),
            document["graph"]["nodes"].insert(3, pool),
            document["graph"]["nodes"][4].update(inputs=["pool"]),
        ),
    )
    refused(path, "conv1 of its network outputs 8,800,000,016 numbers for one sample; at most 2,147,483,648")


def test_more_layers_than_any_network_has(path):
    rewritten(path, lambda document: document["graph"].update(nodes=[{}] * 100_001))
    refused(path, "its network has 100,001 layers; at most 100,000 are read")


def test_an_array_that_would_be_larger_than_the_file(path):
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"shape":[2]', b'"shape":[9]', 1))
    refused(path, "is damaged: its content does not match its checksum")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task": {"kind": "classification", "classes": ["a", 2, "c"]}}, "cannot be used: .*class"),
        ({"task": {"kind": "magic"}}, "there is no task of kind 'magic'"),
        ({"task": [1]}, "a task is described by a JSON object"),
        ({"preprocessing": [1]}, "is damaged: its preprocessing is not a JSON object"),
        ({"remarks": "good"}, "is damaged: its remarks is not a JSON object"),
        ({"frozen": "conv1.weight"}, "what it calls frozen is not a list of its parameters"),
        ({"frozen": ["conv7.weight"]}, "what it calls frozen is not a list of its parameters"),
        ({"frozen": [1]}, "what it calls frozen is not a list of its parameters"),
        ({"names": {"conv7.weight": "stem"}}, "its names are not a map from its arrays to words"),
        ({"names": {"conv1.weight": 1}}, "its names are not a map from its arrays to words"),
        ({"features": "task"}, "its features are not a list of words"),
        ({"format_version": True}, "has format version True"),
    ],
)
def test_facts_that_are_none(path, change, said):
    rewritten(path, lambda document: document.update(change))
    refused(path, said)


def test_a_feature_of_tomorrow_is_refused_by_name(path):
    rewritten(path, lambda document: document.update(features=["task", "quantized"], foveate_version="9.9"))
    refused(path, r"has the feature 'quantized', which this foveate \(.*\) does not know; install .*\(9\.9\)")


def test_a_file_lists_the_features_that_it_uses(tmp_path, arrays, description):
    everything = replace(
        description,
        frozen=frozenset({"conv1.weight", "bn1.running_mean"}),
        splits={"by": "folder", "test": [1, 2]},
        names={"conv1.weight": "stem.0.weight"},
        remarks={"author": "me", "of tomorrow": {"nested": [1.5, None]}},
    )
    write_model(tmp_path / "model", arrays, everything)
    assert document_of(tmp_path / "model")["features"] == ["task", "preprocessing", "frozen", "splits", "names"]
    assert read_model(tmp_path / "model")[1] == everything
    write_model(tmp_path / "bare", arrays, replace(description, task=None, preprocessing=None))
    assert document_of(tmp_path / "bare")["features"] == []


def test_a_network_of_two_tasks(tmp_path, arrays, description):
    write_model(tmp_path / "model", arrays, replace(description, task=Several({"linear1": (description.task, 0.5)})))
    assert read_model(tmp_path / "model")[1].task == Several({"linear1": (Classification(("a", "b", "ç")), 0.5)})


@pytest.mark.parametrize("remark", [float("nan"), {1, 2}, {"deep": [object()]}])
def test_remarks_that_are_no_json_are_not_written(path, arrays, description, remark):
    before = path.read_bytes()
    with pytest.raises(FileError, match=r"was not written: its description is not valid JSON \(.*\)\. What was there"):
        write_model(path, arrays, replace(description, remarks={"mine": remark}))
    assert path.read_bytes() == before


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_parameters_are_refused_when_read(path, arrays, value):
    arrays["linear1.bias"][1] = value
    rewritten(path, arrays=arrays)
    refused(path, "is damaged: linear1.bias holds NaN or infinity where numbers are expected")


def test_nan_parameters_are_not_written_over_good_ones(path, arrays, description):
    before = path.read_bytes()
    arrays["linear1.bias"][1] = np.nan
    with pytest.raises(FileError, match=r"was not written: linear1.bias holds NaN or infinity\. What was there"):
        write_model(path, arrays, description)
    assert path.read_bytes() == before


def test_more_than_would_be_read_again_is_not_written(path, arrays, description):
    before = path.read_bytes()
    noted = replace(description, remarks={"note": "x" * LARGEST_HEADER})
    with pytest.raises(
        FileError, match=r"was not written: everything but its arrays takes 32,00\d,\d+ bytes, and at most 32"
    ):
        write_model(path, arrays, noted)
    assert path.read_bytes() == before
