"""A training's claim on its output folder: tried first, held by one training at a time, not overwritten by mistake."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import Any, TypeVar, cast

from foveate.calls import path_from
from foveate.data.folders import LOCK
from foveate.errors import FileError, TrainingError
from foveate.files import PARTIAL, is_at, lock, remove_partials
from foveate.text import named
from foveate.training.folder import RunFolder
from foveate.training.interruption import saved_first

Fit = TypeVar("Fit", bound=Callable[..., Any])

_TRIED = "tried"


@dataclass(frozen=True)
class Words:
    """What the ways out are called where the folder was given."""

    resume: str = "resume=True"
    overwrite: str = "overwrite=True"
    extend: str = "extend=True"
    out: str = "out"
    unsaved: str = "What was learnt is in the model: model.save(path) writes it elsewhere"


_held: ContextVar[Mapping[Path, Words]] = ContextVar("held", default=MappingProxyType({}))
"""The folders that are claimed further up in this thread."""


def words_of(folder: RunFolder) -> Words:
    """What the ways out are called where this folder was claimed."""
    return _held.get().get(folder.path.resolve(), Words())


@contextmanager
def claimed(folder: RunFolder, *, resume: bool, overwrite: bool, words: Words = Words()) -> Iterator[None]:
    """Hold the folder for one training; within the block, claiming it again does nothing.

    It is made if it is missing, and deleted again if nothing was written to it.

    Args:
        folder: the folder.
        resume: whether to continue the run in it.
        overwrite: whether a run in it may be replaced.
        words: what to call these in sentences.

    Raises:
        TrainingError: another training writes to it; it holds a run that is neither to be continued nor replaced; or
            there is nothing to continue.
        FileError: it cannot be written to.
    """
    place = folder.path.resolve()
    if place in _held.get():
        yield
        return
    if resume and overwrite:
        raise TrainingError(f"{words.resume} and {words.overwrite} exclude each other; give one of them")
    if resume and not folder.checkpoints():
        raise TrainingError(nothing_to_resume(folder, words))
    made = _make(folder.path, words)
    try:
        with _locked(folder.path, words):
            if not resume and not overwrite:
                _check_unused(folder, words)
            _try_to_write(folder.path, words)
            remove_partials(place, [*folder.names(), _TRIED])
            token = _held.set({**_held.get(), place: words})
            try:
                yield
            finally:
                _held.reset(token)
    finally:
        for path in made:
            try:
                path.rmdir()
            except OSError:  # something was written to it
                break


def in_claimed_folder(fit: Fit) -> Fit:
    """Let a function with the options `out`, `resume` and `overwrite` claim its folder before it does anything."""

    @wraps(fit)
    def claiming(self: Any, *args: Any, **options: Any) -> Any:
        out = options.get("out")
        resume, overwrite = bool(options.get("resume")), bool(options.get("overwrite"))
        if self.engine.group.rank > 0:  # the first writes for all; a signal must not end the others before it has
            with nullcontext() if out is None else saved_first():
                return fit(self, *args, **options)
        if out is None:
            if resume:
                raise TrainingError("resume=True needs out=, the folder that holds the checkpoint")
            return fit(self, *args, **options)
        with claimed(RunFolder(path_from(out, "out")), resume=resume, overwrite=overwrite), saved_first():
            return fit(self, *args, **options)

    return cast(Fit, claiming)


def _make(folder: Path, words: Words) -> list[Path]:
    """Make a folder and those above it that are missing; those that were made, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists() and not path.is_symlink()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{named(folder)} cannot be made: {_reason(error)}; give another {words.out}") from None
    return missing


def _try_to_write(folder: Path, words: Words) -> None:
    """Write a file and delete it again."""
    path = folder / f".{_TRIED}.{token_hex(4)}{PARTIAL}"
    try:
        try:
            with path.open("xb") as file:
                file.write(b"foveate")
        finally:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"{named(folder)} cannot be written to: {_reason(error)}; give another {words.out}") from None


def _reason(error: OSError) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "a file is in the way"
    return error.strerror or str(error)


def _check_unused(folder: RunFolder, words: Words) -> None:
    """Refuse a folder that holds a run."""
    found = [path.name for path in folder.run_files()]
    if not found:
        return
    files = found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"
    goes_on = f"continue it with {words.resume}, " if folder.checkpoints() else ""
    raise TrainingError(
        f"{named(folder.path)} already holds a run: {files}; {goes_on}replace it with {words.overwrite}, or give "
        f"another {words.out}"
    )


def nothing_to_resume(folder: RunFolder, words: Words) -> str:
    """Why training cannot resume, with folders beside it that hold a checkpoint."""
    try:
        beside = sorted(path for path in folder.path.parent.iterdir() if RunFolder(path).checkpoints())[:3]
    except OSError:
        beside = []
    others = f"; there is one in {' and in '.join(named(path) for path in beside)}" if beside else ""
    state = "holds no checkpoint" if folder.path.exists() else "does not exist"
    return (
        f"{named(folder.path)} {state}, so there is nothing to resume{others}. Check {words.out}, or leave "
        f"{words.resume} out to start a new training"
    )


@contextmanager
def _locked(folder: Path, words: Words) -> Iterator[None]:
    """Hold the lock of a folder; the system ends it with the process, however that ends."""
    path = folder / LOCK
    descriptor = _lock_file(folder, path, words)
    try:
        yield
    finally:
        # Deleted before it is free: whoever opened it meanwhile sees that it is no longer there.
        with suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock_file(folder: Path, path: Path, words: Words) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        except OSError as error:
            raise FileError(
                f"{named(folder)} cannot be written to: {_reason(error)}; give another {words.out}"
            ) from None
        try:
            if not lock(descriptor):
                raise TrainingError(_in_use(folder, os.read(descriptor, 300), words))
            if is_at(descriptor, path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode())
                return descriptor
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError):
                raise FileError(
                    f"{named(folder)} cannot be written to: {_reason(error)}; give another {words.out}"
                ) from None
            raise
        os.close(descriptor)


def _in_use(folder: Path, holder: bytes, words: Words) -> str:
    """Who trains into a folder, and what to do."""
    number, _, host = holder.decode("utf-8", "replace").strip().partition(" ")
    if number == str(os.getpid()):
        return f"another thread of this program is training into {named(folder)}; give another {words.out}"
    known = number.isdecimal()
    where = "" if not host or host == socket.gethostname() else f" on {named(host)}"
    who = f"process {number}{where}" if known else "another process"
    stop = f", stop it (kill {number}{where})" if known else ""
    return f"{who} is training into {named(folder)}; wait until it has ended{stop}, or give another {words.out}"
