"""Well-known networks, as graphs; `make(name)` makes one by name.

If torchvision has a network, its name and the names of its parameters are torchvision's, except for the
shortcuts of residual networks ("shortcut" is torchvision's "downsample").
"""

from collections.abc import Sequence
from warnings import warn

from foveate.errors import GraphError
from foveate.graph import ChannelsLastWarning, Graph, nearest
from foveate.graph.joining import channels_last
from foveate.zoo.alexnet import alexnet, zfnet
from foveate.zoo.audio import audio4
from foveate.zoo.densenet import densenet121
from foveate.zoo.efficientnet import efficientnet_b0, efficientnet_lite0
from foveate.zoo.googlenet import googlenet
from foveate.zoo.lenet import lenet5
from foveate.zoo.mobilenet import mobilenet_like, mobilenet_v1, mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from foveate.zoo.network import Network, named_network
from foveate.zoo.nin import nin
from foveate.zoo.resnet import resnet18, resnet34, resnet50, resnet101, resnet152
from foveate.zoo.shufflenet import shufflenet_v1, shufflenet_v2_x1_0
from foveate.zoo.small_resnet import resnet20, resnet32, resnet44, resnet56, resnet110
from foveate.zoo.squeezenet import squeezenet1_0, squeezenet1_1
from foveate.zoo.vgg import vgg6, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn
from foveate.zoo.volume import volume3d
from foveate.zoo.wide_resnet import wide_resnet28_10

__all__ = [
    "NETWORKS",
    "Network",
    "alexnet",
    "audio4",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_lite0",
    "googlenet",
    "lenet5",
    "make",
    "mobilenet_like",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "nin",
    "resnet101",
    "resnet110",
    "resnet152",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet44",
    "resnet50",
    "resnet56",
    "shufflenet_v1",
    "shufflenet_v2_x1_0",
    "squeezenet1_0",
    "squeezenet1_1",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "vgg6",
    "volume3d",
    "wide_resnet28_10",
    "zfnet",
]

_TORCHVISION = "torchvision"
_PYTORCHCV = "pytorchcv (osmr/imgclsmob)"
_BY_HAND = "counted by hand; the paper has no such network"
_VGG = "Simonyan, Zisserman 2014"
_RESNET = "He, Zhang, Ren, Sun 2015"
_OPTION_A = "parameter-free shortcuts (option A); the paper rounds it to"

_INDEX = (
    Network(lenet5, "LeNet-5", "LeCun et al. 1998", 61_706, "ReLU and max pooling, as taught today; by hand"),
    Network(
        alexnet,
        "AlexNet",
        "Krizhevsky et al. 2012, Krizhevsky 2014",
        61_100_840,
        f"{_TORCHVISION}: one column",
        f"{_TORCHVISION}'s",
    ),
    Network(
        zfnet,
        "ZFNet",
        "Zeiler, Fergus 2013",
        62_357_608,
        "figure 3, one column; counted as in pytorchcv (osmr/imgclsmob)",
        "none: pytorchcv's network normalises before it pools",
    ),
    Network(vgg6, "VGG-6", f"after {_VGG}", 298_410, _BY_HAND),
    Network(vgg11, "VGG-11", _VGG, 132_863_336, _TORCHVISION, f"{_TORCHVISION}'s"),
    Network(vgg11_bn, "VGG-11 with batch normalisation", _VGG, 132_868_840, _TORCHVISION, f"{_TORCHVISION}'s"),
    Network(vgg13, "VGG-13", _VGG, 133_047_848, _TORCHVISION, f"{_TORCHVISION}'s"),
    Network(vgg13_bn, "VGG-13 with batch normalisation", _VGG, 133_053_736, _TORCHVISION, f"{_TORCHVISION}'s"),
    Network(vgg16, "VGG-16", _VGG, 138_357_544, _TORCHVISION, f"{_TORCHVISION}'s"),
    Network(vgg16_bn, "VGG-16 with batch normalisation", _VGG, 138_365_992, _TORCHVISION, f"{_TORCHVISION}'s"),
    Network(vgg19, "VGG-19", _VGG, 143_667_240, _TORCHVISION, f"{_TORCHVISION}'s"),
    Network(vgg19_bn, "VGG-19 with batch normalisation", _VGG, 143_678_248, _TORCHVISION, f"{_TORCHVISION}'s"),
    Network(
        nin,
        "Network in network",
        "Lin, Chen, Yan 2013",
        966_986,
        "the CIFAR-10 network of the authors; counted as in pytorchcv (osmr/imgclsmob)",
        "none: pytorchcv's network pads its pooling",
    ),
    Network(
        googlenet,
        "GoogLeNet, Inception v1",
        "Szegedy et al. 2014",
        6_624_904,
        f"{_TORCHVISION}: batch normalisation, without auxiliary heads",
        f"{_TORCHVISION}'s but for the auxiliary heads, for inputs scaled by (x - 0.5)/0.5",
    ),
    Network(resnet18, "ResNet-18", _RESNET, 11_689_512, _TORCHVISION, f"{_TORCHVISION}'s"),
    Network(resnet34, "ResNet-34", _RESNET, 21_797_672, _TORCHVISION, f"{_TORCHVISION}'s"),
    Network(
        resnet50,
        "ResNet-50",
        _RESNET,
        25_557_032,
        f"{_TORCHVISION}: stride in the 3x3 convolution",
        f"{_TORCHVISION}'s",
    ),
    Network(
        resnet101,
        "ResNet-101",
        _RESNET,
        44_549_160,
        f"{_TORCHVISION}: stride in the 3x3 convolution",
        f"{_TORCHVISION}'s",
    ),
    Network(
        resnet152,
        "ResNet-152",
        _RESNET,
        60_192_808,
        f"{_TORCHVISION}: stride in the 3x3 convolution",
        f"{_TORCHVISION}'s",
    ),
    Network(resnet20, "ResNet-20", _RESNET, 269_722, f"{_OPTION_A} 0.27M"),
    Network(resnet32, "ResNet-32", _RESNET, 464_154, f"{_OPTION_A} 0.46M"),
    Network(resnet44, "ResNet-44", _RESNET, 658_586, f"{_OPTION_A} 0.66M"),
    Network(resnet56, "ResNet-56", _RESNET, 853_018, f"{_OPTION_A} 0.85M"),
    Network(resnet110, "ResNet-110", _RESNET, 1_727_962, f"{_OPTION_A} 1.7M"),
    Network(
        wide_resnet28_10,
        "WideResNet-28-10",
        "Zagoruyko, Komodakis 2016",
        36_479_194,
        f"{_PYTORCHCV}: ten classes; the paper rounds it to 36.5M",
        "pytorchcv's for CIFAR-10",
    ),
    Network(squeezenet1_0, "SqueezeNet 1.0", "Iandola et al. 2016", 1_248_424, _TORCHVISION, f"{_TORCHVISION}'s"),
    Network(squeezenet1_1, "SqueezeNet 1.1", "Iandola et al. 2016", 1_235_496, _TORCHVISION, f"{_TORCHVISION}'s"),
    Network(
        densenet121,
        "DenseNet-121",
        "Huang et al. 2016",
        7_978_856,
        _TORCHVISION,
        f"{_TORCHVISION}'s; its old files name norm.1 for norm1",
    ),
    Network(
        mobilenet_v1,
        "MobileNet v1",
        "Howard et al. 2017",
        4_231_976,
        f"{_PYTORCHCV}: width 1",
        "pytorchcv's; Keras' with variant=\"tensorflow\"",
    ),
    Network(mobilenet_v2, "MobileNet v2", "Sandler et al. 2018", 3_504_872, _TORCHVISION, f"{_TORCHVISION}'s"),
    Network(
        mobilenet_v3_large, "MobileNet v3 large", "Howard et al. 2019", 5_483_032, _TORCHVISION, f"{_TORCHVISION}'s"
    ),
    Network(
        mobilenet_v3_small, "MobileNet v3 small", "Howard et al. 2019", 2_542_856, _TORCHVISION, f"{_TORCHVISION}'s"
    ),
    Network(mobilenet_like, "MobileNet-like", "after Sandler et al. 2018", 272_362, _BY_HAND),
    Network(
        shufflenet_v1,
        "ShuffleNet v1",
        "Zhang et al. 2017",
        1_865_728,
        f"{_PYTORCHCV}: width 1, three groups",
        "pytorchcv's",
    ),
    Network(
        shufflenet_v2_x1_0,
        "ShuffleNet v2",
        "Ma et al. 2018",
        2_278_604,
        f"{_TORCHVISION}: width 1",
        f"{_TORCHVISION}'s",
    ),
    Network(
        efficientnet_b0,
        "EfficientNet-B0",
        "Tan, Le 2019",
        5_288_548,
        _TORCHVISION,
        f"{_TORCHVISION}'s; TensorFlow's with variant=\"tensorflow\"",
    ),
    Network(
        efficientnet_lite0,
        "EfficientNet-Lite0",
        "Tan, Le 2019, Liu 2020",
        4_652_008,
        "timm and KerasHub",
        'TensorFlow\'s with variant="tensorflow"',
    ),
    Network(audio4, "Four convolutions over sound", "after Dai et al. 2016", 390_890, _BY_HAND),
    Network(volume3d, "Four convolutions over volumes", "after Tran et al. 2014", 292_506, _BY_HAND),
)

NETWORKS: dict[str, Network] = {network.name: network for network in _INDEX}
"""Every network by name."""


def known(name: str) -> bool:
    """Whether there is a network of that name, however it is spelt: "ResNet-18" is resnet18."""
    return _letters(name) in map(_letters, NETWORKS)


def find(name: str) -> str:
    """The network's name in `NETWORKS`, however it is spelt: "ResNet-18" is resnet18.

    Raises:
        GraphError: there is no such network; the message lists the nearest names.
    """
    if not known(name):
        raise GraphError(f'there is no network "{name}".{nearest(str(name).lower(), NETWORKS)}')
    return next(each for each in NETWORKS if _letters(each) == _letters(name))


@named_network
def make(
    name: str, *, input_shape: Sequence[int] | None = None, classes: int | None = None, variant: str | None = None
) -> Graph:
    """The network called `name`, by default with its own input shape and number of classes.

    `variant="tensorflow"` pads and normalises as TensorFlow does, for weights that were trained there.

    Raises:
        GraphError: there is no such network, and the message lists the nearest names; or it has no such variant.
    """
    name = find(name)
    if variant is not None and not NETWORKS[name].has_variants:
        having = ", ".join(each for each, network in NETWORKS.items() if network.has_variants)
        raise GraphError(f"{name} has no variants; the networks that have any are {having}")
    options = {"input_shape": input_shape, "classes": classes, "variant": variant}
    graph = NETWORKS[name](**{key: value for key, value in options.items() if value is not None})
    if hint := channels_last(graph.input_shape, surely=True):
        warn(hint, ChannelsLastWarning, stacklevel=3)
    return graph


def _letters(name: object) -> str:
    """The letters and digits of a name, in lower case."""
    return "".join(each for each in str(name).casefold() if each.isalnum())
