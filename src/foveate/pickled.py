"""A pickle read as data: nothing in it is imported, called or built.

A pickle is a program for a stack machine. This machine makes dictionaries, lists, tuples, numbers, strings and bytes;
for anything else that the program would look up or call, it only makes a note.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MOST_STEPS = 5_000_000
"""The most steps of a program, each of which may make an object: CIFAR-100's has 300,000."""

_NAMES = (str, int, float, bool, bytes, type(None))
"""The types allowed as keys; hashing a deep tuple would end the process, and no array has one as its name."""


@dataclass(frozen=True)
class Named:
    """An object that the pickle would import, by its module and name: "torch._utils _rebuild_tensor_v2"."""

    name: str


@dataclass(frozen=True)
class Stored:
    """An object outside the pickle, and how the pickle refers to it."""

    reference: Any


@dataclass(eq=False)
class Called:
    """An object that the pickle would call or build: with which arguments, and with which state."""

    what: Any
    arguments: Any
    state: Any = None
    entries: dict[Any, Any] = field(default_factory=dict)


def read_pickle(file: BinaryIO) -> Any:
    """The first object that `file` describes; the file is then positioned after it.

    Strings of Python 2 are str, each byte a character. It may raise any error if this is not a pickle, or does what no
    program that writes tensors or arrays does.
    """
    machine = _Machine()
    for step, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if opcode.name == "STOP":
            return machine.stack.pop()
        if step == MOST_STEPS:
            raise ValueError(f"it has more than {MOST_STEPS:,} steps")
        machine.run(opcode.name, argument)
    raise ValueError("it has no end")


class _Machine:
    """The stack, the marks in it, and the memo of earlier objects."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.encoded: dict[int, tuple[str, bytes]] = {}

    def run(self, name: str, argument: Any) -> None:
        """Run one step of the program."""
        if name in _PUSH:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in _NOTHING:
            raise ValueError(f"it has the step {name}")

    def since_mark(self) -> list[Any]:
        """Pop everything pushed after the last mark, and the mark."""
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def mark(self, _: Any) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def last(self, count: int) -> tuple[Any, ...]:
        """Pop the last values from the stack."""
        if len(self.stack) < count:
            raise ValueError("its stack is empty")
        taken = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return taken

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def put(self, key: Any) -> None:
        self.memo[len(self.memo) if key is None else key] = self.stack[-1]

    def append(self, values: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(values)

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1].entries if isinstance(self.stack[-1], Called) else self.stack[-1]
        entries = zip(values[::2], values[1::2], strict=True)
        target.update({name: value for name, value in entries if isinstance(name, _NAMES)})

    def call(self, what: Any, arguments: Any) -> None:
        if what == Named("collections OrderedDict") and not arguments:
            self.push({})
        elif what == Named("_codecs encode") and _is_latin(arguments):
            self.push(self.as_bytes(arguments[0]))
        else:
            self.push(Called(what, arguments))

    def as_bytes(self, text: str) -> bytes:
        """Bytes that Python 3 wrote as text for protocol 2; made once, however often the text is used."""
        if id(text) not in self.encoded:
            self.encoded[id(text)] = text, text.encode("latin-1")
        return self.encoded[id(text)][1]

    def build(self, state: Any) -> None:
        if isinstance(self.stack[-1], Called):
            self.stack[-1].state = state


_PUSH = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)
_NOTHING = frozenset({"PROTO", "FRAME"})

_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": list,
}

_STEPS: dict[str, Callable[[_Machine, Any], Any]] = {
    "MARK": _Machine.mark,
    "POP": lambda machine, _: machine.last(1),
    "POP_MARK": lambda machine, _: machine.since_mark(),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.push(machine.last(1)),
    "TUPLE2": lambda machine, _: machine.push(machine.last(2)),
    "TUPLE3": lambda machine, _: machine.push(machine.last(3)),
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "FROZENSET": lambda machine, _: machine.push(machine.since_mark()),
    "DICT": lambda machine, _: _dictionary(machine, machine.since_mark()),
    "APPEND": lambda machine, _: machine.append(list(machine.last(1))),
    "APPENDS": lambda machine, _: machine.append(machine.since_mark()),
    "ADDITEMS": lambda machine, _: machine.append(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.set_items(list(machine.last(2))),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.put,
    "GET": lambda machine, key: machine.push(machine.memo[key]),
    "BINGET": lambda machine, key: machine.push(machine.memo[key]),
    "LONG_BINGET": lambda machine, key: machine.push(machine.memo[key]),
    "GLOBAL": lambda machine, name: machine.push(Named(name)),
    "STACK_GLOBAL": lambda machine, _: machine.push(Named(" ".join(machine.last(2)))),
    "PERSID": lambda machine, reference: machine.push(Stored(reference)),
    "BINPERSID": lambda machine, _: machine.push(Stored(*machine.last(1))),
    "REDUCE": lambda machine, _: machine.call(*machine.last(2)),
    "NEWOBJ": lambda machine, _: machine.call(*machine.last(2)),
    "NEWOBJ_EX": lambda machine, _: machine.call(*machine.last(3)[:2]),
    "INST": lambda machine, name: machine.push(Called(Named(name), machine.since_mark())),
    "OBJ": lambda machine, _: _object(machine, machine.since_mark()),
    "BUILD": lambda machine, _: machine.build(*machine.last(1)),
}  # fmt: skip


def _is_latin(arguments: Any) -> bool:
    return (
        isinstance(arguments, tuple)
        and len(arguments) == 2
        and isinstance(arguments[0], str)
        and arguments[1] in ("latin1", "latin-1")
    )


def _dictionary(machine: _Machine, values: list[Any]) -> None:
    machine.push({})
    machine.set_items(values)


def _object(machine: _Machine, values: list[Any]) -> None:
    machine.push(Called(values[0], values[1:]))
