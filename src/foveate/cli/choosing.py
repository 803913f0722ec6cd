"""What `foveate train` chooses from the data where nothing was typed, and what it says of the outcome."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from foveate.cli.sources import of_images
from foveate.geometry import format_sizes

if TYPE_CHECKING:
    from foveate.data import Dataset, Splits
    from foveate.graph import Optimizer
    from foveate.model import Model
    from foveate.training import Choices, History


def default_network(training: "Dataset") -> str:
    """The network for these samples."""
    from foveate.training import choose_network

    return choose_network(training)[0]


def chosen_for(
    dataset: str, data: "Splits", model: "Model", optimizer: "Optimizer", given: Mapping[str, Any]
) -> "Choices":
    """How to train `model`: as typed, and the rest chosen from the data.

    Args:
        dataset: the name or folder that was typed.
        data: its parts.
        model: what is trained.
        optimizer: how its parameters will be updated.
        given: the options of `foveate train` by their names; None if they were not typed.
    """
    from foveate.data import datasets
    from foveate.training import choose, choose_network

    known = datasets.named_data(dataset) or _packed(data)
    wanted = given["augment"]
    reasons: dict[str, str] = {}
    if given["origin"] is None and given["net"] is None:
        if of_images(data) and given["size"] is None:
            reasons["input"] = _size_line(data)
        reasons["network"] = choose_network(data.train)[1]
    choices = choose(
        data.train,
        network=model.graph,
        epochs=given["epochs"],
        batch_size=given["batch_size"],
        learning_rate=given["learning_rate"],
        flip=datasets.DATASETS[known].mirrored if wanted is None and known is not None else wanted,
        shift=0 if wanted is False and given["shift"] is None else given["shift"],
        images=True if of_images(data) or known else None,
        optimizer=optimizer,
        trained=given["origin"] is not None,
    )
    choices = replace(choices, augmentation=replace(choices.augmentation, erase=given["erase"]))
    reasons |= choices.reasons
    if wanted is None and known is not None:
        verb = "shows" if choices.augmentation.flip else "does not show"
        word = "" if choices.augmentation.flip else "not "
        reasons["mirroring"] = f"images are {word}mirrored at random: a mirrored one still {verb} its class in {known}"
    return replace(choices, reasons=reasons)


def _packed(data: "Splits") -> str | None:
    """The name of the dataset that was packed into shards; None for any other data."""
    from foveate.data import datasets

    origin = data.train.origin if isinstance(data.train, datasets.ShardedDataset) else None
    return origin if origin in datasets.DATASETS else None


def _size_line(data: "Splits") -> str:
    from foveate.data.image_folder import MANY_IMAGES, longest_side

    count = sum(map(len, (data.train, data.validation, data.test)))
    why = f", as there are more than {MANY_IMAGES:,}" if count > MANY_IMAGES else ""
    return (
        f"input {format_sizes(data.train.shape)}: the images' median size, at most {longest_side(count)} pixels on the "
        f"longer side{why}"
    )


def advice_for(data: "Splits", history: "History", choices: "Choices", accumulate: int) -> str:
    """A sentence on what went wrong and what to try; empty if all is well. A step takes `accumulate` batches."""
    from foveate.training import advice

    return advice(
        history,
        data.train.labels,
        data.validation.labels,
        batch_size=accumulate * choices.batch_size,
        learning_rate=choices.learning_rate,
        flip=choices.augmentation.flip,
    )
