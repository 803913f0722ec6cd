"""The base of every layer: frozen hyper-parameters that determine shapes, parameters, costs and reach. No arrays."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError, dataclass, fields
from math import prod
from typing import Any, ClassVar, Self, TypeAlias

from foveate.calls import Called
from foveate.errors import LayerError, ShapeError
from foveate.geometry import AxisReach, Extent, Unseen, Window, format_sizes, shift_reach, unseen, window_reach

Shape: TypeAlias = tuple[int, ...]
"""Axis lengths of one sample, channels first, without the batch axis: (C, H, W), or (features,)."""


@dataclass(frozen=True)
class Parameter:
    """A trainable array: its shape, its initialisation, and whether weight decay applies to it.

    `initializer` is a name from `foveate.layers.options.INITIALIZERS`; "auto" means He if a rectifier follows, else
    Xavier; "constant 0.25" starts every element at that number. `fan_in` and `fan_out` count the inputs of one output
    and the outputs of one input.
    """

    shape: Shape
    initializer: str
    decay: bool
    fan_in: int = 1
    fan_out: int = 1
    trainable: bool = True


@dataclass(frozen=True)
class Statistic:
    """An array that training measures rather than learns, such as BatchNorm's running mean."""

    shape: Shape
    initial: float


@dataclass(frozen=True)
class Cost:
    """Arithmetic for one sample: multiply-accumulates with weights, and all floating-point operations."""

    macs: int = 0
    flops: int = 0


_INFERRED = "the input's size is inferred; leave it out"

OTHER_NAMES: Mapping[str, str] = {
    "": "the input's size is inferred, so the first value may be one too many",
    **dict.fromkeys(("in_channels", "in_features", "num_features", "num_channels", "num_parameters"), _INFERRED),
    **dict.fromkeys(("input_shape", "input_dim"), "it is an argument of build(input_shape)"),
    "activation": "an activation is a layer of its own, after this one",
    "data_format": "channels come first",
    "dim": "it is the channels",
    "filters": "it is called out_channels",
    "inplace": "leave it out; memory is planned for the whole network",
    "kernel_initializer": "it is called initializer",
    "name": "to name a layer use Named(name, layer)",
    "negative_slope": "it is called slope",
    "num_groups": "it is called groups",
    "p": "it is called rate",
    "scale_factor": "it is called scale",
    "units": "it is called out_features",
}
"""Option names from other libraries, and what to write in foveate."""

_FAMILIES: dict[type["Layer"], dict[int, type["Layer"]]] = {}
"""The layers of each family by their number of spatial axes."""


class Layer(metaclass=Called):
    """Base of every layer: a frozen dataclass of hyper-parameters.

    Layers marked with `typing.final` have no subclasses: engines look them up by their exact type.
    """

    call_hints: ClassVar[Mapping[str, str]] = OTHER_NAMES

    label: ClassVar[str]
    """The stem of an unnamed layer's name in a network: `label` and a number."""

    notation: ClassVar[str] = ""
    """The function in TeX, if it is one of a single number; <slope> stands for the value of that option."""

    inputs_expected: ClassVar[tuple[int, int | None]] = (1, 1)
    """Fewest and most inputs; None for any number."""

    rectifies: ClassVar[bool] = False
    """Whether it belongs to ReLU's family, so that the weights before it are initialised by He's rule."""

    keeps_signal: ClassVar[bool] = False
    """Whether the search for that rectifier looks past this layer (normalisation, pooling, dropout)."""

    pads_less_than_window: ClassVar[bool] = False
    """Whether padding as long as the window is refused, because some window would see nothing else."""

    takes_flat: ClassVar[bool] = False
    """Whether its input has no spatial axes, so Flatten or a global pooling belongs before it."""

    scatters: ClassVar[bool] = False
    """Whether each input is multiplied by its weights and added to the outputs, instead of the other way round."""

    spatial_ranks: ClassVar[tuple[int, ...]] = ()
    """The numbers of spatial axes that this member of its family covers."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for base in cls.__mro__[1:]:
            if "__final__" in vars(base):
                raise LayerError(_is_final(base, cls.__name__))
        family = cls.__bases__[0]
        if family.__module__ != __name__:  # the bases below are open to all layers, and no families
            for axes in vars(cls).get("spatial_ranks", ()):
                _FAMILIES.setdefault(family, {}).setdefault(axes, cls)

    def __setattr__(self, name: str, value: object) -> None:
        # The members of a family add no fields to it and are not dataclasses of their own, but as frozen as one.
        if "__final__" in vars(type(self)):
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super().__setattr__(name, value)

    @classmethod
    def over(cls, axes: int) -> type[Self]:
        """The layer of this family over the given number of spatial axes: `Convolution.over(2)` is Conv2d.

        Raises:
            LayerError: the family has no such layer.
        """
        family = next((_FAMILIES[base] for base in cls.__mro__ if base in _FAMILIES), {})
        if not family:
            raise LayerError(f"{cls.__name__} has no variants for different numbers of spatial axes")
        if axes not in family:
            known = ", ".join(map(str, sorted(family)))
            raise LayerError(f"there is no {cls.__name__} over {axes} spatial axes; there is one for {known}")
        return family[axes]  # type: ignore[return-value]

    @abstractmethod
    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """Shape of the output for one sample, or a ShapeError that says what would fit."""

    def parameters(self, input_shapes: Sequence[Shape]) -> Mapping[str, Parameter]:
        """The trainable arrays by name; none unless a layer says otherwise."""
        return {}

    def statistics(self, input_shapes: Sequence[Shape]) -> Mapping[str, Statistic]:
        """The measured arrays by name; none unless a layer says otherwise."""
        return {}

    def windows(self, input_shapes: Sequence[Shape]) -> tuple[Window, ...] | None:
        """The sliding window of each spatial axis with its padding resolved, or None if nothing slides."""
        return None

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """What each output position depends on, for every spatial axis of every input.

        Each is a `Reach` if it follows a pattern, otherwise `Extent.EVERYTHING` or `Extent.UNKNOWN`. By default it is
        what the layer's windows see of the first input; without windows it is unknown.
        """
        unknown = tuple((Extent.UNKNOWN,) * (len(shape) - 1) for shape in input_shapes)
        windows = self.windows(input_shapes)
        return unknown if windows is None else (tuple(map(window_reach, windows)), *unknown[1:])

    def unseen(self, input_shapes: Sequence[Shape]) -> tuple[Unseen, ...]:
        """The positions on each axis of the first input that no window sees; empty if nothing slides."""
        windows = self.windows(input_shapes)
        if windows is None:
            return ()
        return tuple(map(unseen, input_shapes[0][1:], windows, self.output_shape(input_shapes)[1:]))

    def dropped(self, input_shapes: Sequence[Shape]) -> tuple[int, ...]:
        """How many positions at the two ends of each axis no window sees; empty if nothing slides."""
        return tuple(axis.dropped for axis in self.unseen(input_shapes))

    def skipped(self, input_shapes: Sequence[Shape]) -> tuple[int, ...]:
        """How many positions on each axis lie between windows, seen by none; empty if nothing slides."""
        return tuple(axis.skipped for axis in self.unseen(input_shapes))

    def size_steps(self, input_shapes: Sequence[Shape]) -> tuple[str, ...]:
        """Lines of Markdown that derive the output's sizes with the numbers filled in; none if they are obvious."""
        return ()

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """Arithmetic for one sample; nothing unless a layer says otherwise."""
        return Cost()

    def describe(self) -> str:
        """The type and its hyper-parameters in a few words, for summaries and errors."""
        return type(self).__name__

    def options(self) -> dict[str, Any]:
        """Hyper-parameters by name, as plain values from which the layer can be rebuilt."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.init}  # type: ignore[arg-type]

    def with_options(self, **options: Any) -> Self:
        """The same layer with some hyper-parameters changed, checked as in its constructor."""
        return type(self)(**{**self.options(), **options})

    def check_inputs(self, input_shapes: Sequence[Shape]) -> None:
        """Raise a ShapeError if this layer does not take this number of inputs."""
        least, most = self.inputs_expected
        if len(input_shapes) < least or (most is not None and len(input_shapes) > most):
            wanted = f"exactly {least}" if least == most else f"at least {least}"
            plural = "" if least == 1 else "s"
            raise ShapeError(f"takes {wanted} input{plural}, but {len(input_shapes)} are connected to it")

    def refuse(self, sentence: str) -> LayerError:
        """A LayerError that begins with this layer's type."""
        return LayerError(f"{type(self).__name__}: {sentence}")


class SpatialLayer(Layer):
    """A layer over 1, 2 or 3 spatial axes, for inputs C x L, C x H x W or C x D x H x W."""

    spatial_axes: ClassVar[int]

    def __init_subclass__(cls, **options: Any) -> None:
        if "spatial_axes" in vars(cls):
            cls.spatial_ranks = (cls.spatial_axes,)
        super().__init_subclass__(**options)

    def spatial_input(self, input_shapes: Sequence[Shape]) -> tuple[int, Shape]:
        """Channels and spatial sizes of the only input, or a ShapeError that says what it should look like."""
        self.check_inputs(input_shapes)
        shape = input_shapes[0]
        if len(shape) != self.spatial_axes + 1:
            letters = SPATIAL_LETTERS[self.spatial_axes]
            raise ShapeError(
                f"needs an input of C x {letters}, but gets {format_sizes(shape)} ({len(shape)} axes). "
                f"{self._other_rank(len(shape) - 1)}"
            )
        return shape[0], shape[1:]

    def _other_rank(self, axes: int) -> str:
        try:
            other = type(self).over(axes).__name__
        except LayerError:
            return _WHERE_IT_BELONGS[axes == 0]
        return f"Use {other}, or give the input {SPATIAL_LETTERS[self.spatial_axes]} after its channels."


class ElementwiseLayer(Layer):
    """A layer that keeps the shape of its only input, whatever that is, and does the same at each position."""

    call_hints: ClassVar[Mapping[str, str]] = {**OTHER_NAMES, "": OTHER_NAMES["inplace"]}

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The input's shape."""
        self.check_inputs(input_shapes)
        return input_shapes[0]

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """Its own position."""
        return positionwise(input_shapes)

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """One operation for each element."""
        return Cost(flops=prod(input_shapes[0]))


SPATIAL_LETTERS = {1: "L", 2: "H x W", 3: "D x H x W"}

_WHERE_IT_BELONGS = (
    "A sample has 1 to 3 spatial axes after its channels.",
    "Put it before Flatten and the linear layers.",
)


def axis_letters(spatial_axes: int) -> tuple[str, ...]:
    """The letters of 0 to 3 spatial axes.

    >>> axis_letters(2)
    ('H', 'W')
    """
    return tuple(SPATIAL_LETTERS[spatial_axes].split(" x ")) if spatial_axes else ()


def positionwise(input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
    """The reach of a layer that treats every position separately."""
    return tuple((shift_reach(0),) * (len(shape) - 1) for shape in input_shapes)


def everything(input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
    """The reach of a layer that connects every output to all positions."""
    return tuple((Extent.EVERYTHING,) * (len(shape) - 1) for shape in input_shapes)


def _is_final(base: type[Layer], name: str) -> str:
    """Which base a subclass of `base` should have instead."""
    kind = next(each for each in (SpatialLayer, ElementwiseLayer, Layer) if issubclass(base, each)).__name__
    return (
        f"{base.__name__} is final, because engines compute it by its exact type. Derive {name} from "
        f"foveate.{kind} and register how it computes with foveate.engines.register"
    )
