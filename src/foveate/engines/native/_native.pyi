"""
oneDNN primitives and kernels of our own, and the program that runs a list of them in one call.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import numpy
from numpy.typing import NDArray


class Layout:
    """The order of an array's numbers in memory (float32)."""

    @staticmethod
    def plain(dims: Sequence[int]) -> Layout:
        """First axis outermost."""

    @staticmethod
    def any(dims: Sequence[int]) -> Layout:
        """Whatever a primitive likes best."""

    @staticmethod
    def strided(dims: Sequence[int], strides: Sequence[int]) -> Layout:
        """Any distance between neighbours along each axis."""

    @staticmethod
    def none() -> Layout:
        """No array."""

    @staticmethod
    def channel_blocked(dims: Sequence[int], block: int) -> Layout:
        """Channels in blocks."""

    @property
    def dims(self) -> list[int]: ...

    @property
    def bytes(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def is_plain(self) -> bool: ...

    @property
    def strides(self) -> list[int]: ...

    @property
    def inner_blocks(self) -> list[int]: ...

    @property
    def inner_axes(self) -> list[int]: ...

    def reshaped(self, dims: list[int]) -> Layout | None:
        """
        The same bytes with other axes, or None where the layout does not allow it.
        """

    def part(self, dims: list[int], offsets: list[int]) -> Layout | None:
        """A box inside, or None where the layout's blocks do not allow it."""

    def __eq__(self, other: object, /) -> bool: ...

    def __hash__(self) -> int: ...

def reorder(source: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], source_layout: Layout, target: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu')], target_layout: Layout) -> None:
    """Copy an array from one layout to another."""

def execute(operation: Operation, operands: Sequence[tuple[str, Layout, Annotated[NDArray[numpy.float32], dict(order='C', device='cpu')]]]) -> None:
    """Run one operation outside of a program."""

def aligned_zeros(count: int) -> Annotated[NDArray[numpy.float32], dict(shape=(None,))]: ...

class Operation:
    """What a step of a program runs."""

    @property
    def name(self) -> str: ...

    @property
    def implementation(self) -> str: ...

class Primitive(Operation):
    """A oneDNN primitive."""

    def layout(self, argument: str) -> Layout:
        """
        The layout that it wants for an argument; of no bytes where it does not take it.
        """

class PostOperation:
    """A function applied to a primitive's result before it is written."""

    def __init__(self, kind: str, alpha: float = 0.0, beta: float = 0.0, other: Layout = ...) -> None: ...

class Window:
    """Kernel, stride, dilation and padding, one of each for an axis."""

    def __init__(self, kernel_size: Sequence[int], stride: Sequence[int], dilation: Sequence[int], padding_begin: Sequence[int], padding_end: Sequence[int]) -> None: ...

def convolution_forward(source: Layout, weights: Layout, bias: Layout, target: Layout, window: Window, training: bool, post_operations: Sequence[PostOperation]) -> Primitive: ...

def convolution_backward_data(source: Layout, weights: Layout, target: Layout, window: Window) -> Primitive: ...

def convolution_backward_weights(source: Layout, weights: Layout, bias: Layout, target: Layout, window: Window) -> Primitive: ...

def depthwise(source: Layout, target: Layout, window: Window, before: tuple[float, float], after: tuple[float, float]) -> Operation: ...

def vector_lanes() -> int:
    """Numbers in a vector of our kernels."""

def linear_forward(source: Layout, weights: Layout, bias: Layout, target: Layout, training: bool, post_operations: Sequence[PostOperation]) -> Primitive: ...

def linear_backward_data(source: Layout, weights: Layout, target: Layout) -> Primitive: ...

def linear_backward_weights(source: Layout, weights: Layout, bias: Layout, target: Layout) -> Primitive: ...

def pooling_forward(kind: str, source: Layout, target: Layout, window: Window, training: bool) -> Primitive: ...

def pooling_backward(kind: str, source: Layout, target: Layout, window: Window) -> Primitive: ...

class Planes:
    """What a pooling reads and writes, plane by plane; plain or in blocks."""

    def __init__(self, source: Layout, target: Layout, window: Window) -> None: ...

    @property
    def winner_bytes(self) -> int: ...

def maximum(planes: Planes) -> Operation: ...

def average(planes: Planes, counts_padding: bool) -> Operation: ...

def maximum_backward(planes: Planes) -> Operation: ...

def batch_normalization_forward(source: Layout, eps: float, affine: bool, use_running: bool, relu: bool, training: bool) -> Primitive: ...

def batch_normalization_backward(gradient: Layout, source: Layout, eps: float, affine: bool, use_running: bool, relu: bool) -> Primitive: ...

def repair_channels(layout: Layout, eps: float) -> Operation: ...

def local_response_forward(source: Layout, size: int, alpha: float, beta: float, k: float, training: bool) -> Primitive: ...

def local_response_backward(source: Layout, size: int, alpha: float, beta: float, k: float) -> Primitive: ...

def running_statistics(channels: int, momentum: float, unbiased: float) -> Operation: ...

def elementwise(kind: str, alpha: float, beta: float, count: int) -> Operation: ...

def elementwise_backward(kind: str, alpha: float, beta: float, count: int) -> Operation: ...

def reorder_operation(source: Layout, target: Layout) -> Primitive: ...

def sum(count: int, sources: int, relu: bool = False) -> Operation: ...

def pad(source: Layout, target: Layout, begin: Sequence[int]) -> Operation: ...

def concatenation(sources: Sequence[Layout], target: Layout) -> Primitive: ...

def dropout(groups: int, span: int, rate: float, key: int) -> Operation: ...

def product(count: int) -> Operation: ...

def multiply(left: Layout, right: Layout, target: Layout) -> Primitive: ...

def sum_along(source: Layout, target: Layout) -> Primitive: ...

def gather(planes: int, sizes: Sequence[int], sources: Sequence[Sequence[int]]) -> Operation: ...

def scatter(planes: int, sizes: Sequence[int], sources: Sequence[Sequence[int]]) -> Operation: ...

class Rows:
    """
    Rows of numbers that are normalised apart, and how scales repeat in them.
    """

    def __init__(self, rows: int, length: int, affine_length: int, tables: int, eps: float) -> None: ...

def group_normalization_forward(shape: Rows) -> Operation: ...

def group_normalization_backward(shape: Rows) -> Operation: ...

def resampling_forward(source: Layout, target: Layout, training: bool) -> Primitive: ...

def resampling_backward(source: Layout, target: Layout) -> Primitive: ...

def softmax(samples: int, channels: int, positions: int, logarithm: bool) -> Operation: ...

def softmax_backward(samples: int, channels: int, positions: int, logarithm: bool) -> Operation: ...

def transposed_forward(source: Layout, weights: Layout, bias: Layout, target: Layout, window: Window, training: bool, post_operations: Sequence[PostOperation]) -> Primitive: ...

def transposed_backward_data(source: Layout, weights: Layout, target: Layout, window: Window) -> Primitive: ...

def transposed_backward_weights(source: Layout, weights: Layout, bias: Layout, target: Layout, window: Window) -> Primitive: ...

def stop_at_divergence(count: int) -> Operation: ...

class LossShape:
    """Which result a loss writes, of what outputs, and its weight."""

    def __init__(self, result: int, samples: int, channels: int, positions: int, weight: float) -> None: ...

    @property
    def channels(self) -> int: ...

def cross_entropy(shape: LossShape, label_smoothing: float, class_weights: Sequence[float]) -> Operation: ...

def dice(shape: LossShape, smooth: float) -> Operation: ...

def binary_cross_entropy(shape: LossShape, pos_weight: Sequence[float]) -> Operation: ...

def focal(shape: LossShape, gamma: float, alpha: float | None) -> Operation: ...

def mean_squared_error(shape: LossShape) -> Operation: ...

def absolute_error(shape: LossShape) -> Operation: ...

def huber(shape: LossShape, delta: float) -> Operation: ...

class Stretch:
    """Neighbouring numbers that learn: weight decay, factor of the rate."""

    def __init__(self, begin: int, end: int, decays: bool, factor: float) -> None: ...

def sgd(stretches: Sequence[Stretch], nesterov: bool, weight_decay: float) -> Operation: ...

def adamw(stretches: Sequence[Stretch], second_momentum: float, eps: float, weight_decay: float) -> Operation: ...

def callback(name: str, number: int, operands: Sequence[str]) -> Operation: ...

class Slopes:
    """
    What is rectified: samples, channels, positions, and if one slope is for all.
    """

    def __init__(self, samples: int, channels: int, positions: int, shared: bool) -> None: ...

def prelu(shape: Slopes) -> Operation: ...

def prelu_backward(shape: Slopes) -> Operation: ...

class PlacedOperand:
    """An operand by name, its layout, and its bytes in a space."""

    def __init__(self, name: str, layout: Layout, space: str, offset: int, bytes: int) -> None: ...

class Step:
    """An operation of a node, with its operands."""

    def __init__(self, node: str, operation: Operation, operands: Sequence[PlacedOperand]) -> None: ...

class RunScalars:
    """Numbers that change from run to run."""

    @property
    def learning_rate(self) -> float: ...

    @learning_rate.setter
    def learning_rate(self, arg: float, /) -> None: ...

    @property
    def momentum(self) -> float: ...

    @momentum.setter
    def momentum(self, arg: float, /) -> None: ...

    @property
    def step(self) -> int: ...

    @step.setter
    def step(self, arg: int, /) -> None: ...

    @property
    def seed(self) -> int: ...

    @seed.setter
    def seed(self, arg: int, /) -> None: ...

class RunResult:
    """What a loss measured."""

    @property
    def loss(self) -> float: ...

    @property
    def correct(self) -> int: ...

    @property
    def counted(self) -> int: ...

class Program:
    """Steps over spaces; never changes."""

    def __init__(self, steps: Sequence[Step], threads: int, results: int) -> None: ...

class Session:
    """A program bound to arrays, for one caller at a time."""

    def __init__(self, program: Program) -> None: ...

    @property
    def scalars(self) -> RunScalars: ...

    @property
    def results(self) -> list[RunResult]: ...

    def bind(self, space: str, buffer: NDArray[numpy.generic]) -> None: ...

    def leave_out(self, space: str) -> None: ...

    def run(self, begin: int, end: int, functions: list[Any]) -> int: ...

    def profile(self, begin: int, end: int, functions: list[Any]) -> list[float]: ...

def set_threads(count: int) -> None: ...

def threads() -> int: ...

def exchange_callers_threads(count: int) -> int:
    """
    How many threads OpenMP gives the calling thread from now on; returns how many it gave before.
    """

def before_fork() -> None: ...

def after_fork_in_parent() -> None: ...

def after_fork_in_child() -> None: ...

def at_exit() -> None: ...

class WinogradShape:
    """Sizes of a 3x3 convolution with stride 1, and of its tiles."""

    def __init__(self, source: Sequence[int], target: Sequence[int], padding_begin: Sequence[int], tile: int) -> None: ...

    @property
    def scratch_numbers(self) -> int: ...

    @property
    def weight_numbers(self) -> int: ...

def winograd_available() -> bool:
    """
    Whether the Winograd kernels run here, within the limit of instructions.
    """

def winograd_weight_layout(dims: Sequence[int], flipped: bool) -> Layout: ...

def winograd_transform(shape: WinogradShape, flipped: bool) -> Operation: ...

def winograd_convolution(shape: WinogradShape, relu: bool, threads: int) -> Operation: ...

def winograd_weight_gradient(shape: WinogradShape, threads: int) -> Operation: ...

def warn_of_leaks(warn: bool) -> None:
    """Tell at exit which objects are still there."""
