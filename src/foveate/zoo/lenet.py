"""LeNet-5."""

from collections.abc import Sequence

from foveate.graph import Graph, Sequential
from foveate.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU
from foveate.zoo.network import named_network


@named_network
def lenet5(*, input_shape: Sequence[int] = (1, 28, 28), classes: int = 10) -> Graph:
    """LeNet-5 as it is taught today: ReLU and max pooling; 61,706 parameters at 28x28 grey and ten classes.

    LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998.
    """
    return Sequential(
        Conv2d(6, 5, padding=2), ReLU(), MaxPool2d(2),
        Conv2d(16, 5), ReLU(), MaxPool2d(2),
        Flatten(),
        Linear(120), ReLU(),
        Linear(84), ReLU(),
        Linear(classes),
    ).build(input_shape, quiet=True, name="lenet5")  # fmt: skip
