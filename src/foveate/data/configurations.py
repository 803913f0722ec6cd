"""Other libraries' descriptions of preprocessing, read as ours: those of timm, torchvision and Transformers."""

import json
from collections.abc import Mapping, Sequence
from math import floor
from numbers import Real
from pathlib import Path
from typing import Any, TypeAlias

from foveate.calls import kind
from foveate.errors import DataError, FileError
from foveate.opening import open_regular
from foveate.text import named, printable

Options: TypeAlias = dict[str, Any]

LARGEST = 1 << 20
"""The most bytes of a configuration."""

_RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic")
"""Interpolations by Pillow's numbers, which Transformers uses."""

_SAYS = 'have "input_size" (timm) or "image_mean" (Transformers), or be torchvision\'s transforms'


def options_of(configuration: Any) -> Options:
    """The options for making a `Preprocessing`; arguments and errors are those of
    `Preprocessing.from_configuration`."""
    if isinstance(configuration, str | Path):
        configuration = _read(Path(configuration))
    if isinstance(configuration, Mapping):
        known = configuration.get("pretrained_cfg", configuration)
        if isinstance(known, Mapping) and "input_size" in known:
            return _of_timm(known)
        if "image_mean" in configuration:
            return _of_transformers(configuration)
        raise DataError(f"the configuration has no known entry; it must {_SAYS}")
    if all(hasattr(configuration, name) for name in ("crop_size", "resize_size", "mean", "std")):
        return _of_torchvision(configuration)
    raise DataError(f"the configuration is {kind(configuration)}; give a mapping or a JSON file, which must {_SAYS}")


def _read(path: Path) -> Any:
    try:
        with open_regular(path, LARGEST) as file:
            return json.loads(file.read(LARGEST))
    except OSError as error:
        raise FileError(f"{named(path)} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise FileError(f"{named(path)} is not JSON: {printable(error)}") from None


def _of_timm(told: Mapping[str, Any]) -> Options:
    channels, height, width = _sizes(told["input_size"], 3, "input_size")
    share = told.get("crop_pct") or 1.0
    if not isinstance(share, Real) or not 0 < float(share) <= 1:
        raise DataError(
            f"crop_pct is {share!r}; it must be above 0 and at most 1: the fraction of the image that the crop keeps"
        )
    mode = told.get("crop_mode") or "center"
    if mode not in ("center", "squash"):
        raise DataError(f'crop_mode is {mode!r}; only "center" and "squash" are known')
    grown = tuple(floor(side / float(share)) for side in (height, width))
    return {
        "shape": (channels, height, width),
        "mean": _entry(told, "mean"),
        "std": _entry(told, "std"),
        "resize": grown if mode == "squash" else max(grown),
        "interpolation": told.get("interpolation") or "bilinear",
    }


def _of_torchvision(told: Any) -> Options:
    (side,) = _sizes(told.crop_size, 1, "crop_size")
    (shorter,) = _sizes(told.resize_size, 1, "resize_size")
    interpolation = getattr(told, "interpolation", "bilinear")
    return {
        "shape": (3, side, side),
        "mean": told.mean,
        "std": told.std,
        "resize": shorter,
        "interpolation": getattr(interpolation, "value", interpolation),
    }


def _of_transformers(told: Mapping[str, Any]) -> Options:
    cut = told.get("crop_size") if told.get("do_center_crop") else None
    size = told.get("size")
    shorter = size.get("shortest_edge") if isinstance(size, Mapping) else None
    whole = None if shorter is not None else _height_and_width(size, "size")
    height, width = _height_and_width(cut, "crop_size") if cut is not None else whole or (0, 0)
    if not height:
        raise DataError(f"size is {size!r} without a crop_size, so the network's input has no height and width")
    number = told.get("resample", 2)
    if number not in range(len(_RESAMPLING)):
        raise DataError(f"resample is {number!r}; the numbers 0 to 3 are known: {', '.join(_RESAMPLING)}")
    channels = len(told.get("image_mean") or (0, 0, 0))
    normal = told.get("do_normalize", True)
    return {
        "shape": (channels, height, width),
        "mean": _entry(told, "image_mean") if normal else (0.0,) * channels,
        "std": _entry(told, "image_std") if normal else (1.0,) * channels,
        "resize": shorter if shorter is not None else whole,
        "interpolation": _RESAMPLING[number],
        "scale": told.get("rescale_factor", 1 / 255) if told.get("do_rescale", True) else 1,
    }


def _entry(told: Mapping[str, Any], name: str) -> Any:
    if told.get(name) is None:
        raise DataError(f'the configuration has no "{name}"')
    return told[name]


def _height_and_width(given: Any, name: str) -> tuple[int, int]:
    if isinstance(given, Mapping) and {"height", "width"} <= set(given):
        given = (given["height"], given["width"])
    height, width = _sizes((given, given) if isinstance(given, int) else given, 2, name)
    return height, width


def _sizes(given: Any, count: int, name: str) -> tuple[int, ...]:
    """`count` sizes of at least 1, from a list or, for a single one, an int."""
    sizes = (given,) if isinstance(given, int) else given
    fits = isinstance(sizes, Sequence) and all(isinstance(size, int) and size > 0 for size in sizes)
    if not fits or len(sizes) != count:
        raise DataError(f"{name} is {printable(given)}; give {count} positive {'int' if count == 1 else 'ints'}")
    return tuple(sizes)
