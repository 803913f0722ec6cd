"""Plain data and arrays of bytes from a pickle, read without running it: CIFAR's Python files are pickles.

A pickle is a program for a small stack machine, which may import anything and call it. This machine knows the
instructions that plain data need. The few names that a NumPy array's pickle mentions are taken as words: nothing is
imported, and nothing but the functions below is called.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.text import printable

MOST_INSTRUCTIONS = 2_000_000
"""The most instructions that are followed: CIFAR-100 needs about 300,000."""

_MARK = object()
_ENCODINGS = ("latin1", "latin-1")


class NotPlainError(Exception):
    """Why a pickle is not read, in words that follow the name of its file."""


@dataclass
class _Type:
    """An array's type, before it is known to be bytes."""

    code: str


@dataclass
class _Array:
    """An array that has no content yet."""

    content: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class _Name:
    """Something that the pickle wants imported."""

    path: str


_RECONSTRUCT = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
_FROM_BUFFER = ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")

Value: TypeAlias = Any
"""None, bool, int, bytes, str, a list, a dict keyed by text, or an array of bytes."""


def plain_data(content: bytes | bytearray) -> Value:
    """What a pickle of protocol 2 to 5 holds.

    Args:
        content: the pickle. Texts of Python 2 become bytes as they are; keys of dicts become str in either case.

    Returns:
        None, booleans, ints, bytes, str, lists, dicts and uint8 arrays, nested; arrays share `content`.

    Raises:
        NotPlainError: it holds anything else, or is damaged.

    >>> import pickle
    >>> plain_data(pickle.dumps({"labels": [3, 5]}, protocol=2))
    {'labels': [3, 5]}
    """
    return _Machine(content).run()


class _Machine:
    """A stack, a memory of numbered values, and a place in the content."""

    def __init__(self, content: bytes | bytearray) -> None:
        self._content = memoryview(content)
        self._place = 0
        self._stack: list[Value] = []
        self._memory: dict[int, Value] = {}
        self._encoded = 0

    def run(self) -> Value:
        """Follow the instructions up to the end of the pickle."""
        if bytes(self._bytes(1)) != b"\x80" or not 2 <= self._number(1) <= 5:
            raise NotPlainError("is not a pickle of protocol 2 to 5")
        for _ in range(MOST_INSTRUCTIONS):
            code = bytes(self._bytes(1))
            if code == b".":
                return _finished(self._pop())
            step = _STEPS.get(code)
            if step is None:
                raise NotPlainError(f"holds more than plain data and arrays (instruction {code!r})")
            step(self)
        raise NotPlainError(f"has more than {MOST_INSTRUCTIONS:,} instructions")

    # ---------------------------------------------------------------------------------------------- the content

    def _bytes(self, count: int) -> memoryview:
        piece = self._content[self._place : self._place + count]
        if len(piece) < count:
            raise NotPlainError("ends too soon")
        self._place += count
        return piece

    def _number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self._bytes(size), "little", signed=signed)

    def _line(self) -> str:
        """A name, up to the end of its line."""
        piece = bytes(self._content[self._place : self._place + 200])
        line, found, _ = piece.partition(b"\n")
        if not found:
            raise NotPlainError("holds a name without an end")
        self._place += len(line) + 1
        return line.decode("latin-1")

    def _text(self, size: int) -> str:
        try:
            return str(self._bytes(size), "utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise NotPlainError("holds damaged text") from None

    # ------------------------------------------------------------------------------------------------ the stack

    def push(self, value: Value) -> None:
        """Put a value onto the stack."""
        self._stack.append(value)

    def _pop(self) -> Value:
        if not self._stack or self._stack[-1] is _MARK:
            raise NotPlainError("takes a value that it does not have")
        return self._stack.pop()

    def _last(self, kind: type) -> Value:
        if not self._stack or not isinstance(self._stack[-1], kind):
            wanted = "an array" if kind is _Array else f"a {kind.__name__}"
            raise NotPlainError(f"takes something else for {wanted}")
        return self._stack[-1]

    def _since_mark(self) -> list[Value]:
        """What was put onto the stack since the last mark, taken off together with the mark."""
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _MARK:
                values = self._stack[place + 1 :]
                del self._stack[place:]
                return values
        raise NotPlainError("lacks a mark")

    # ----------------------------------------------------------------------------------------- the instructions

    def push_bytes(self, size: int, *, text: bool = False) -> None:
        """Bytes or text whose length follows as a number of `size` bytes."""
        length = self._number(size)
        self.push(self._text(length) if text else self._bytes(length))

    def push_number(self, size: int, *, signed: bool = False) -> None:
        """A number of `size` bytes."""
        self.push(self._number(size, signed=signed))

    def push_long(self) -> None:
        """A number that says how many bytes it has."""
        self.push_number(self._number(1), signed=True)

    def push_tuple(self, count: int | None = None) -> None:
        """A tuple of the last `count` values, or of those since the mark."""
        values = self._since_mark() if count is None else [self._pop() for _ in range(count)][::-1]
        self.push(tuple(values))

    def extend(self, *, one: bool = False) -> None:
        """Add one value, or all since the mark, to the list below."""
        values = [self._pop()] if one else self._since_mark()
        self._last(list).extend(values)

    def set_items(self, *, one: bool = False) -> None:
        """Enter one pair, or all since the mark, into the dict below."""
        values = [self._pop(), self._pop()][::-1] if one else self._since_mark()
        if len(values) % 2:
            raise NotPlainError("has a key without a value")
        self._last(dict).update((_key(key), value) for key, value in zip(values[::2], values[1::2], strict=True))

    def remember(self, size: int | None = None) -> None:
        """Keep the last value under the number that follows, or the next one."""
        number = len(self._memory) if size is None else self._number(size)
        if not self._stack:
            raise NotPlainError("remembers a value that it does not have")
        self._memory[number] = self._stack[-1]

    def recall(self, size: int) -> None:
        """A value that was kept."""
        number = self._number(size)
        if number not in self._memory:
            raise NotPlainError("recalls a value that it does not have")
        self.push(self._memory[number])

    def push_name(self, *, stacked: bool = False) -> None:
        """A name to import, of which only the words are kept."""
        if stacked:
            name, module = self._pop(), self._pop()
            self.push(_Name(f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "?"))
        else:
            self.push(_Name(f"{self._line()}.{self._line()}"))

    def call(self) -> None:
        """What a call would give: an array to be filled, a type, bytes written as text; or a refusal."""
        arguments, name = self._pop(), self._pop()
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise NotPlainError("calls something that is no function")
        match name.path, arguments:
            case path, (_Name("numpy.ndarray"), *_) if path in _RECONSTRUCT:
                self.push(_Array())
            case "numpy.dtype", (str() | memoryview() as code, *_):
                self.push(_Type(code if isinstance(code, str) else bytes(code[:8]).decode("latin-1")))
            case "_codecs.encode", (str() as text, str() as encoding) if encoding in _ENCODINGS:
                self.push(self._encode(text))
            case "builtins.bytes" | "__builtin__.bytes", ():
                self.push(b"")
            case path, (buffer, kind, shape, order) if path in _FROM_BUFFER:
                self.push(_Array(_shaped(buffer, kind, shape, columns=order == "F")))
            case _:
                raise NotPlainError(f'wants to call "{printable(name.path)}", which could run code; nothing is called')

    def fill(self) -> None:
        """Give an array its shape, type and content; what a type says of itself is not needed."""
        state = self._pop()
        if self._stack and isinstance(self._stack[-1], _Type):
            return
        array = self._last(_Array)
        if not isinstance(state, tuple) or len(state) != 5:
            raise NotPlainError("holds a damaged array")
        _, shape, kind, columns, content = state
        array.content = _shaped(content, kind, shape, columns=columns is True)

    def skip(self, size: int) -> None:
        """Pass over what only a reader in pieces needs."""
        self._bytes(size)

    def drop(self) -> None:
        """Take the last value off, or the mark."""
        if not self._stack:
            raise NotPlainError("takes a value that it does not have")
        self._stack.pop()

    def drop_since_mark(self) -> None:
        """Take off all since the mark."""
        self._since_mark()

    def _encode(self, text: str) -> bytes:
        """The bytes that Python 3 wrote as text for protocol 2; no more in all than the pickle has."""
        self._encoded += len(text)
        if self._encoded > len(self._content):
            raise NotPlainError("unpacks to more than it holds")
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            raise NotPlainError("holds damaged bytes") from None


def _key(key: Value) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, memoryview | bytes):
        return bytes(key).decode("latin-1")
    raise NotPlainError("has a key that is no text")


def _shaped(content: Value, kind: Value, shape: Value, *, columns: bool) -> NDArray[np.uint8]:
    """An array of bytes, checked against its shape."""
    if not isinstance(kind, _Type) or kind.code.lstrip("|") not in ("u1", "B"):
        raise NotPlainError(f"holds an array of {printable(getattr(kind, 'code', '?'))}, not of bytes")
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not all(type(size) is int and 0 <= size < 2**31 for size in sizes) or len(sizes) > 8:
        raise NotPlainError("holds an array without a shape")
    if not isinstance(content, memoryview | bytes) or not content or len(content) != prod(sizes):
        raise NotPlainError(f"holds an array whose content does not fit its shape {printable(sizes)}")
    return np.frombuffer(content, np.uint8).reshape(sizes, order="F" if columns else "C")


def _finished(value: Value) -> Value:
    """The value with arrays and bytes in the place of what stood for them; lists and dicts are changed in place."""
    made: dict[int, bytes] = {}
    seen: set[int] = set()
    root = [value]
    waiting: list[Any] = [root]
    while waiting:
        holder = waiting.pop()
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        pairs = list(holder.items()) if isinstance(holder, dict) else list(enumerate(holder))
        for key, each in pairs:
            holder[key] = _final(each, made)
            if isinstance(each, list | dict):
                waiting.append(each)
    return root[0]


def _final(value: Value, made: dict[int, bytes]) -> Value:
    """A value as it is handed out; bytes that are used many times are made once."""
    if isinstance(value, memoryview):
        if id(value) not in made:
            made[id(value)] = bytes(value)
        return made[id(value)]
    if isinstance(value, _Array):
        if value.content is None:
            raise NotPlainError("holds an array without content")
        return value.content
    if isinstance(value, _Name | _Type | tuple):
        raise NotPlainError("holds a function, a type or a tuple instead of data")
    return value


_Step: TypeAlias = Callable[[_Machine], None]

_STEPS: dict[bytes, _Step] = {
    b"\x95": lambda machine: machine.skip(8),
    b"(": lambda machine: machine.push(_MARK),
    b"0": _Machine.drop,
    b"1": _Machine.drop_since_mark,
    b"N": lambda machine: machine.push(None),
    b"\x88": lambda machine: machine.push(True),
    b"\x89": lambda machine: machine.push(False),
    b"J": lambda machine: machine.push_number(4, signed=True),
    b"K": lambda machine: machine.push_number(1),
    b"M": lambda machine: machine.push_number(2),
    b"\x8a": _Machine.push_long,
    b"U": lambda machine: machine.push_bytes(1),
    b"T": lambda machine: machine.push_bytes(4),
    b"C": lambda machine: machine.push_bytes(1),
    b"B": lambda machine: machine.push_bytes(4),
    b"\x8e": lambda machine: machine.push_bytes(8),
    b"\x96": lambda machine: machine.push_bytes(8),
    b"\x8c": lambda machine: machine.push_bytes(1, text=True),
    b"X": lambda machine: machine.push_bytes(4, text=True),
    b"\x8d": lambda machine: machine.push_bytes(8, text=True),
    b"]": lambda machine: machine.push([]),
    b"}": lambda machine: machine.push({}),
    b")": lambda machine: machine.push(()),
    b"t": _Machine.push_tuple,
    b"\x85": lambda machine: machine.push_tuple(1),
    b"\x86": lambda machine: machine.push_tuple(2),
    b"\x87": lambda machine: machine.push_tuple(3),
    b"a": lambda machine: machine.extend(one=True),
    b"e": _Machine.extend,
    b"s": lambda machine: machine.set_items(one=True),
    b"u": _Machine.set_items,
    b"q": lambda machine: machine.remember(1),
    b"r": lambda machine: machine.remember(4),
    b"\x94": _Machine.remember,
    b"h": lambda machine: machine.recall(1),
    b"j": lambda machine: machine.recall(4),
    b"c": _Machine.push_name,
    b"\x93": lambda machine: machine.push_name(stacked=True),
    b"R": _Machine.call,
    b"b": _Machine.fill,
}
"""What each instruction does; those that plain data do not need are missing."""
