"""Whether training may resume from a checkpoint: the network, the recipe and the data must be the same."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from foveate.data import Dataset
from foveate.data.shards.sharded import ShardedDataset
from foveate.errors import TrainingError
from foveate.geometry import format_sizes
from foveate.graph import Graph, Node
from foveate.tasks import Classification
from foveate.text import named, printable
from foveate.training.claim import Words, words_of
from foveate.training.folder import RunFolder
from foveate.training.job import Job

_NAMES = {
    "batch_size": "batch size",
    "buffer": "buffer of samples",
    "frozen": "frozen parameters",
    "learning_rate_factors": "learning rate factors",
}
"""What sentences call those entries of a recipe that they call by another word."""

_COMPARED = ("network", "classes", "samples", "data", "validation")
"""Entries that are told in words of their own."""

_MOST = 20
"""Differences that are listed; of more the rest is counted."""

_PIECE = 1 << 24
"""Bytes of data that are read at once."""


def configuration_of(job: Job) -> dict[str, Any]:
    """What, besides the network, must be the same for training to resume: the recipe and the data."""
    task = job.task or job.train.task
    return {
        **job.recipe.to_json(),
        "samples": len(job.train),
        "data": _checksum(job.train),
        "validation": None if job.validation is None else [len(job.validation), _checksum(job.validation)],
        **({"buffer": job.train.buffer} if isinstance(job.train, ShardedDataset) else {}),
        "preprocessing": job.preprocessing.to_json(),
        **({"classes": list(task.classes)} if isinstance(task, Classification) else {"task": task.to_json()}),
        **({"frozen": sorted(job.frozen)} if job.frozen else {}),
    }


def check_same(path: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that was made with something else.

    Args:
        path: the checkpoint.
        then: its configuration, with its graph as "network".
        now: the same of the training that would resume.

    Raises:
        TrainingError: something differs; the message lists all of it, with both values.
    """
    found = _differences(then, now)
    if not found:
        return
    more = f"\n  and {len(found) - _MOST:,} more" if len(found) > _MOST else ""
    listed = f" {found[0]}" if len(found) == 1 else "".join(f"\n  {each}" for each in found[:_MOST]) + more
    words = words_of(RunFolder(path.parent))
    end = ". " if len(found) == 1 else "\n"
    raise TrainingError(
        f"{named(path)} is from another training, so this one cannot resume from it:{listed}{end}Use the same"
        f"{_options(path.parent, words)}, {_going_on(then, now, words.extend)}or start anew with {words.overwrite} or "
        f"another {words.out}"
    )


def _differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """All that differs, in words."""
    return [
        *_networks(then["network"], now["network"]),
        *_classes(then, now),
        *_data(then, now),
        *_settings(then, now),
    ]


def _options(folder: Path, words: Words) -> str:
    """Where the options of the run in the folder are, if the command line can take them from there."""
    path = RunFolder(folder).options
    return f", as with --config {named(path)} {words.resume}" if words.out == "--out" and path.exists() else ""


def _going_on(then: Mapping[str, Any], now: Mapping[str, Any], extend: str) -> str:
    """The way out if nothing differs but that there are more epochs now."""
    before, after = then.get("epochs"), now.get("epochs")
    more = isinstance(before, int) and isinstance(after, int) and after > before
    return f"let it go on with {extend}, " if more and not _differences({**then, "epochs": after}, now) else ""


def _networks(then: Graph, now: Graph) -> Iterator[str]:
    """How the networks differ, layer by layer."""
    if then == now:
        return
    olds, news = ({node.name: node for node in graph.nodes} for graph in (then, now))
    told = False
    for name in {**olds, **news}:
        old, new = olds.get(name), news.get(name)
        if old is not None and new is not None and old.layer == new.layer and old.output_shape == new.output_shape:
            continue
        told = True
        yield f"layer {printable(name)}{_layers(old, new)}"
    if then.inputs != now.inputs:
        told = True
        yield f"input: {_shapes(then)} then, {_shapes(now)} now"
    if not told:
        yield "network: the same layers, joined in another way"


def _layers(old: Node | None, new: Node | None) -> str:
    """How a layer differs: its options if its type is the same, or the size of its output if only that has changed."""
    if old is None or new is None or type(old.layer) is not type(new.layer):
        return ": {} then, {} now".format(*("none" if each is None else each.layer.describe() for each in (old, new)))
    olds, news = old.layer.options(), new.layer.options()
    changed = [f"{name} {_both(value, news[name])}" for name, value in olds.items() if value != news.get(name)]
    size = f"output {format_sizes(old.output_shape)} then, {format_sizes(new.output_shape)} now"
    return f", {type(old.layer).__name__}: {'; '.join(changed) or size}"


def _shapes(graph: Graph) -> str:
    several = len(graph.inputs) > 1
    return ", ".join(f"{name} " * several + format_sizes(shape) for name, shape in graph.inputs.items())


def _classes(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """How the names of the classes differ; other tasks are compared as settings."""
    old, new = then.get("classes"), now.get("classes")
    if old is None or new is None or old == new:  # until 0.1 they were not kept
        return
    if sorted(old) == sorted(new):
        yield f"class names: {_value(old)} then, {_value(new)} now"
        return
    gone, added = [each for each in old if each not in new], [each for each in new if each not in old]
    yield f"class names: {_value(gone)} then, {_value(added)} now (the others are the same)"


def _data(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    pairs = {"training data": [(each.get("samples"), each.get("data")) for each in (then, now)]}
    if "validation" in then:  # until 0.1 it was not kept
        pairs["validation data"] = [tuple(each["validation"] or ()) for each in (then, now)]
    for name, (old, new) in pairs.items():
        if old == new:
            continue
        counts = [f"{each[0]:,} samples" if each else "none" for each in (old, new)]
        if counts[0] == counts[1]:
            yield f"{name}: {counts[0]} then and now, but with other content"
        else:
            yield f"{name}: {counts[0]} then, {counts[1]} now"


def _settings(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    # What only one of the two has counts as well: nothing may thaw or quicken because a word was forgotten.
    for name in {**now, **then}:
        before, value = then.get(name), now.get(name)
        if before == value or name in _COMPARED:
            continue
        told = _NAMES.get(name, printable(name))
        if isinstance(before, Mapping) and isinstance(value, Mapping) and before.get("type") == value.get("type"):
            for part in {**before, **value}:
                if before.get(part) != value.get(part):
                    yield f"{told}, {printable(part)}: {_both(before.get(part), value.get(part))}"
        else:
            yield f"{told}: {_both(before, value)}"


def _both(then: Any, now: Any) -> str:
    """Both values, with as few digits as tell them apart."""
    short, exact = ((_value(then, digits), _value(now, digits)) for digits in (4, 17))
    return "{} then, {} now".format(*(exact if short[0] == short[1] else short))


def _value(value: Any, digits: int = 17) -> str:
    """A setting in a few words: a description as a call."""
    if isinstance(value, float):
        return f"{value:.{digits}g}" if digits < 17 else f"{value!r}"
    if isinstance(value, Mapping) and "type" in value:
        inside = ", ".join(f"{name}={_value(each, digits)}" for name, each in value.items() if name != "type")
        return printable(f"{value['type']}({inside})", 200)
    if isinstance(value, list | tuple):
        few = [_value(each, digits) for each in value[:_MOST]]
        return printable(", ".join(few) + " ..." * (len(value) > _MOST) or "none", 200)
    return "none" if value is None else printable(value, 200)


def _checksum(data: Dataset) -> int:
    """A checksum of the inputs and the targets, read piece by piece: they may be larger than memory."""
    if isinstance(data, ShardedDataset):
        return data.checksum
    targets = data.targets.values() if isinstance(data.targets, Mapping) else (data.targets,)
    checksum = 0
    for array in (*data.by_input.values(), *targets):
        rows = max(1, _PIECE // max(1, array.nbytes // max(1, len(array))))
        for start in range(0, len(array), rows):
            checksum = crc32(np.ascontiguousarray(array[start : start + rows]).data, checksum)
    return checksum
