"""Files of torch.save and safetensors are read as data: every type and form, nothing run, damage in sentences."""

import io
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors
from torch import nn

from foveate.errors import FileError
from foveate.files.weights import named_arrays, read_weights
from foveate.files.weights.tensors import MAGIC

TYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


def tensors() -> dict[str, torch.Tensor]:
    """Every type, views that share a storage, an empty one, a number, a transposed one."""
    whole = torch.arange(24.0).reshape(2, 3, 4)
    return {
        **{f"of.{name}": (torch.arange(6) % 3).reshape(2, 3).to(getattr(torch, name)) for name in TYPES},
        "views.part": whole[:, 1:, ::2],
        "views.turned": whole.permute(2, 0, 1),
        "views.parameter": nn.Parameter(whole[1]),
        "empty": torch.zeros(0, 3),
        "number": torch.tensor(2.5),
    }


def agrees(found: dict[str, np.ndarray], expected: dict[str, torch.Tensor]) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        plain = tensor.detach().float() if tensor.dtype == torch.bfloat16 else tensor.detach()
        assert found[name].shape == tuple(tensor.shape)
        assert np.array_equal(found[name], plain.numpy()), name


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_every_tensor_is_read_as_pytorch_reads_it(zipped: bool, protocol: int, tmp_path: Path):
    path = tmp_path / "weights.pt"
    torch.save(tensors(), path, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    agrees(dict(read_weights(path).arrays), tensors())


def test_safetensors_are_read(tmp_path: Path):
    path = tmp_path / "weights.safetensors"
    save_file({"a.weight": np.ones((2, 3), np.float32)}, path)
    assert read_weights(path).arrays["a.weight"].tolist() == [[1] * 3] * 2


@pytest.mark.parametrize("zipped", [True, False])
def test_a_module_saved_whole_is_read_without_its_class(zipped: bool, tmp_path: Path):
    module = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Sequential(nn.BatchNorm2d(3)))
    path = tmp_path / "module.pt"
    torch.save(module, path, _use_new_zipfile_serialization=zipped)
    weights = read_weights(path)
    state = {name: value for name, value in module.state_dict().items() if "batches" not in name}
    agrees(dict(weights.arrays), state)
    assert weights.said == ("1 batch counters (num_batches_tracked) are not needed",)


@pytest.mark.parametrize(
    ("wrapped", "said"),
    [
        (lambda d: {"state_dict": d, "epoch": 3}, ('the weights are in the entry "state_dict"',)),
        (lambda d: {"epoch": 3, "model": d, "optimizer": {"state": {0: {"m": torch.ones(2)}}}},
         ('the weights are in the entry "model"',)),
        (lambda d: {"checkpoint": d, "name": "net"}, ('the weights are in the entry "checkpoint"',)),
        (lambda d: {"model": {"state_dict": d}},
         ('the weights are in the entry "model"', 'the weights are in the entry "state_dict"')),
        (lambda d: d, ()),
    ],
)  # fmt: skip
def test_wrapping_dictionaries_are_found_and_told(wrapped, said, tmp_path: Path):
    path = tmp_path / "weights.pt"
    torch.save(wrapped({"a.weight": torch.ones(2)}), path)
    weights = read_weights(path)
    assert (list(weights.arrays), weights.said) == (["a.weight"], said)


class Bomb:
    """Whoever unpickles it runs its code."""

    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_no_code_in_a_file_runs(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, zipped in (("new.pt", True), ("old.pt", False)):
        torch.save({"a": torch.ones(2), "b": Bomb(), "c": [Bomb()]}, name, _use_new_zipfile_serialization=zipped)
        assert list(read_weights(Path(name)).arrays) == ["a"]
    assert not Path("exploded").exists()


def test_what_contains_itself_ends(tmp_path: Path):
    inside: dict = {"a": torch.ones(1)}
    inside["again"] = inside
    torch.save(inside, tmp_path / "weights.pt")
    assert list(read_weights(tmp_path / "weights.pt").arrays) == ["a"]


def test_tensors_of_a_dictionary_need_no_file():
    weights = named_arrays("the dictionary", {"a": torch.ones(2, dtype=torch.bfloat16), "b": np.zeros(3)})
    assert {name: array.dtype.name for name, array in weights.arrays.items()} == {"a": "float32", "b": "float64"}


def zipped(tmp_path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(f"archive/{name}", content)
    return path


def tensor_pickle(
    *, kind: str = "FloatStorage", sizes: object = (2,), strides: object = (1,), offset: object = 0
) -> bytes:
    """A pickle of one tensor, described in any way."""
    file = io.BytesIO()

    class Writer(pickle.Pickler):
        def persistent_id(self, value):
            return ("storage", getattr(torch, kind), "0", "cpu", 2) if value == "here" else None

    class Tensor:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, ("here", offset, sizes, strides, False, {})

    Writer(file, 2).dump({"a": Tensor()})
    return file.getvalue()


def written(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "weights.pt").write_bytes(content)


def archived(data: bytes = b"", compression: int = zipfile.ZIP_STORED, **storages: bytes) -> Callable[[Path], object]:
    entries = {"data.pkl": data, **{name.replace("_", "/"): content for name, content in storages.items()}}
    return lambda folder: zipped(folder, entries, compression)


WRONG, UNREAD = "is damaged: it describes a tensor wrongly", "is damaged: its description of its tensors"
DAMAGED: list[tuple[str, Callable[[Path], object]]] = [
    ("is neither a safetensors file nor one that torch.save wrote", written(b"hello, world")),
    (
        "is a zip archive, but not one of torch.save's: it has no data.pkl",
        lambda folder: zipped(folder, {"other": b""}),
    ),
    (
        f"{UNREAD} cannot be read (Truncated central directory)",
        written(b"PK\x03\x04" + bytes(60) + b"PK\x05\x06" + bytes(8) + b"\x09" + bytes(3) + b"\x01" + bytes(5)),
    ),
    ("was written on a big-endian machine; save it again on another", archived(byteorder=b"big")),
    ("is damaged: it names a storage data/0, but does not have it", archived(tensor_pickle())),
    (
        "is damaged: archive/data.pkl is compressed, which torch.save never does",
        archived(tensor_pickle(), zipfile.ZIP_DEFLATED),
    ),
    ("is damaged: a tensor of 2 numbers has a storage of 1", archived(tensor_pickle(), data_0=bytes(4))),
    (
        "is damaged: a tensor of 100,000,000 numbers has a storage of 2",
        archived(tensor_pickle(sizes=(100_000_000,), strides=(0,)), data_0=bytes(8)),
    ),
    (WRONG, archived(tensor_pickle(strides=(-1,)), data_0=bytes(8))),
    (WRONG, archived(tensor_pickle(strides=(1, 1)), data_0=bytes(8))),
    (WRONG, archived(tensor_pickle(sizes=3), data_0=bytes(8))),
    (
        "has a tensor of ComplexFloatStorage, which is not read; make it a dense one of float32 and save it again",
        archived(tensor_pickle(kind="ComplexFloatStorage"), data_0=bytes(16)),
    ),
    (f"{UNREAD} cannot be read (pop from empty list)", archived(b"\x80\x02}q\x00e.")),
    (f"{UNREAD} cannot be read (pickle exhausted before seeing STOP)", archived(b"\x80\x02}q\x00")),
    (f"{UNREAD} cannot be read (it has the step EXT1)", archived(b"\x80\x02\x82\x01.")),
    (
        "is a pickle, but not one of torch.save's; save the model's state_dict with torch.save",
        written(pickle.dumps({"a": 1}, 2)),
    ),
    (
        "has no arrays by name; give a state_dict, or a file that holds one",
        lambda folder: torch.save({"a": 1}, folder / "weights.pt"),
    ),
]


@pytest.mark.parametrize(("message", "write"), DAMAGED, ids=[message for message, _ in DAMAGED])
def test_a_file_that_cannot_be_used_ends_in_a_sentence(message: str, write: Callable[[Path], object], tmp_path: Path):
    write(tmp_path)
    with pytest.raises(FileError, match=rf'weights\.pt" {re.escape(message)}$'):
        read_weights(tmp_path / "weights.pt")


def test_a_file_that_is_not_there_or_a_folder(tmp_path: Path):
    with pytest.raises(FileError, match=r"does not exist; expected a safetensors file, or one of torch\.save's$"):
        read_weights(tmp_path / "nowhere.pt")
    with pytest.raises(FileError, match=r"cannot be read: Is a directory$"):
        read_weights(tmp_path)


def test_a_damaged_safetensors_file(tmp_path: Path):
    path = tmp_path / "weights.safetensors"
    save_file({"a": np.ones(4, np.float32)}, path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(FileError, match=r'weights\.safetensors" is damaged: '):
        read_weights(path)


@pytest.mark.parametrize("use_zip", [True, False])
def test_a_file_cut_anywhere_ends_in_a_sentence(use_zip: bool, tmp_path: Path):
    path = tmp_path / "weights.pt"
    torch.save({"a": torch.ones(20), "b": {"c": torch.ones(3)}}, path, _use_new_zipfile_serialization=use_zip)
    content = path.read_bytes()
    for length in range(0, len(content) - 1, 7):
        path.write_bytes(content[:length])
        with pytest.raises(FileError, match=r'weights\.pt" (is|has) '):
            read_weights(path)


FORMS: dict[str, Callable[[dict, Path], object]] = {
    "zip": torch.save,
    "before 1.6": lambda tensors, path: torch.save(tensors, path, _use_new_zipfile_serialization=False),
    "safetensors": save_tensors,
}


@pytest.mark.parametrize("form", FORMS)
def test_any_byte_may_be_another(form: str, tmp_path: Path):
    """Either it is read all the same, or refused in a sentence."""
    path = tmp_path / "weights"
    FORMS[form]({"a.b": torch.ones(3), "c": torch.ones(2, 2)}, path)
    content, random = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for place in random.integers(0, len(content), 400):
        changed = bytearray(content)
        changed[place] = random.integers(256)
        path.write_bytes(changed)
        try:
            read_weights(path)
        except FileError:
            refused += 1
    assert refused > 60


def test_in_an_archive_another_byte_changes_no_tensor(tmp_path: Path):
    """Its checksums find what the description of the tensors alone would bear."""
    path = tmp_path / "weights.pt"
    torch.save({"a": torch.zeros(3), "b": torch.ones(3)}, path)
    content = path.read_bytes()
    second = content.index(b"X\x01\x00\x00\x001") + 5  # the key of the second storage
    path.write_bytes(content[:second] + b"0" + content[second + 1 :])
    with pytest.raises(FileError, match=r"cannot be read \(Bad CRC-32 for file 'weights/data\.pkl'\)$"):
        read_weights(path)


DEEP, TWICE = b")" + b"\x85" * 150_000, b")" + b"2\x86" * 60
CALLED = b"\x80\x02}X\x01\x00\x00\x00a"
TENSOR, PARAMETER = b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch._utils\n_rebuild_parameter\n"
STORAGE = b"((Ncx\nFloatStorage\nX\x01\x00\x00\x000tQK\x00"
HOSTILE = {
    "a name that is a tuple within tuples": b"\x80\x02}" + DEEP + b"K\x01s.",
    "a name that refers to such a tuple": b"\x80\x02}" + DEEP + b"QK\x01s.",
    "a value that is a tuple within tuples": CALLED + DEEP + b"s.",
    "a name that is twice a tuple that is twice a tuple": b"\x80\x02}" + TWICE + b"K\x01s.",
    "a storage that is called so": CALLED + TENSOR + b"((Ncx\nFloatStorage\n" + TWICE + b"tQK\x00))tRs.",
    "a parameter of a parameter": CALLED + PARAMETER * 9999 + b"N" + b"\x85R" * 9999 + b"s.",
    "a parameter of nothing": CALLED + PARAMETER + b")Rs.",
    "a tensor of more axes than arrays have":
        CALLED + TENSOR + STORAGE + (b"(" + b"K\x01" * 99 + b"t") * 2 + b"tRs.",
    "a number in place of what is called": CALLED + b"K\x01)Rs.",
    "a number in place of a dictionary": b"\x80\x02K\x01K\x02K\x03s.",
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_pickle_that_no_program_wrote_ends_in_a_sentence(hostile: str, tmp_path: Path):
    path = zipped(tmp_path, {"data.pkl": HOSTILE[hostile], "data/0": bytes(400)})
    with pytest.raises(FileError, match=r'weights\.pt" (is damaged: |has no arrays by name)'):
        read_weights(path)
    before = b"".join(pickle.dumps(number, 2) for number in (MAGIC, 1001, {}))
    path.write_bytes(before + HOSTILE[hostile] + pickle.dumps(["0"], 2) + (100).to_bytes(8, "little") + bytes(400))
    with pytest.raises(FileError, match=r'weights\.pt" (is damaged: |has no arrays by name)'):
        read_weights(path)


def test_an_encrypted_archive_is_refused_in_a_sentence(tmp_path: Path):
    path = zipped(tmp_path, {"data.pkl": tensor_pickle(), "data/0": bytes(8)})
    path.write_bytes(path.read_bytes().replace(b"\x14\x00\x00\x00\x00\x00", b"\x14\x00\x01\x00\x00\x00"))
    with pytest.raises(FileError, match=r'weights\.pt" is damaged: .*encrypted'):
        read_weights(path)


def test_dictionaries_that_hold_one_another_twice_end(tmp_path: Path):
    """At forty levels the innermost has 2^40 names."""
    inside: dict = {"a": torch.ones(1)}
    for _ in range(40):
        inside = {"left": inside, "right": inside}
    torch.save(inside, tmp_path / "weights.pt")
    message = "holds more than 100,000 nested dictionaries; give a state_dict, or a file that holds one$"
    with pytest.raises(FileError, match=message):
        read_weights(tmp_path / "weights.pt")
    with pytest.raises(FileError, match=message):
        named_arrays("the dictionary", inside)


def test_a_module_that_is_held_twice_has_both_names(tmp_path: Path):
    tied = nn.Linear(2, 2)
    module = nn.Sequential(tied, nn.ReLU(), tied)
    torch.save(module, tmp_path / "weights.pt")
    assert list(read_weights(tmp_path / "weights.pt").arrays) == list(module.state_dict())


def test_every_type_of_safetensors_is_read_or_named(tmp_path: Path):
    path = tmp_path / "weights.safetensors"
    plain = {name: tensor.contiguous().clone() for name, tensor in tensors().items()}
    save_tensors(plain, path)
    agrees(dict(read_weights(path).arrays), dict(sorted(plain.items())))
    for name in ("float8_e4m3fn", "float8_e5m2", "complex64"):
        save_tensors({"a": torch.ones(2).to(getattr(torch, name))}, path)
        with pytest.raises(
            FileError,
            match=r'weights\.safetensors" has a tensor of \w+, which is not read; make it a dense one of float32 and '
            r"save it again$",
        ):
            read_weights(path)


UNREAD_TENSORS = {
    "a tensor of float8_e4m3fn": torch.ones(2).to(torch.float8_e4m3fn),
    "a tensor of uint16": torch.ones(2).to(torch.uint16),
    "a sparse tensor": torch.eye(3).to_sparse(),
    "a tensor without numbers": torch.ones(2, device="meta"),
}


@pytest.mark.parametrize("what", UNREAD_TENSORS)
def test_a_tensor_of_another_kind_is_named(what: str, tmp_path: Path):
    torch.save({"a": UNREAD_TENSORS[what], "b": torch.ones(1)}, tmp_path / "weights.pt")
    with pytest.raises(
        FileError,
        match=rf'weights\.pt" has {what}, which is not read; make it a dense one of float32 and save it again$',
    ):
        read_weights(tmp_path / "weights.pt")


def test_a_tensor_with_attributes_is_read(tmp_path: Path):
    tensor = torch.ones(2)
    tensor.note = "a remark"  # type: ignore[attr-defined]
    torch.save({"a": tensor}, tmp_path / "weights.pt")
    assert read_weights(tmp_path / "weights.pt").arrays["a"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.ones(2, device="meta"), "torch.float32, torch.strided, on meta"),
        (torch.eye(3).to_sparse(), "torch.float32, torch.sparse_coo, on cpu"),
    ],
)
def test_a_tensor_of_which_no_array_can_be_made_is_named(tensor: torch.Tensor, words: str):
    with pytest.raises(
        FileError,
        match=rf"^the dictionary cannot be used: a is a tensor of {words}, which cannot be made an array; give dense "
        "tensors that hold numbers$",
    ):
        named_arrays("the dictionary", {"a": tensor})


def test_a_tensor_that_repeats_a_number_is_read(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({"weight": torch.full((1,), 3.0).expand(2, 144)}, path)
    np.testing.assert_array_equal(read_weights(path).arrays["weight"], np.full((2, 144), 3, np.float32))
