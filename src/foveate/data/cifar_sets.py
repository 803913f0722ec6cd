"""CIFAR-10 and CIFAR-100 by name: their files, checksums and classes."""

from pathlib import Path

from foveate.data.cifar import Batch, CifarSet
from foveate.data.dataset import Splits
from foveate.data.preprocessing import Preprocessing

# Each preprocessing is Preprocessing.measure over all 50,000 training images, rounded to 4 digits.

_BATCHES_10 = (
    Batch(
        "data_batch_1", True, 10_000,
        python="54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
        binary="cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    ),
    Batch(
        "data_batch_2", True, 10_000,
        python="766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
        binary="a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    ),
    Batch(
        "data_batch_3", True, 10_000,
        python="0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
        binary="bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    ),
    Batch(
        "data_batch_4", True, 10_000,
        python="3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
        binary="014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    ),
    Batch(
        "data_batch_5", True, 10_000,
        python="d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
        binary="755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    ),
    Batch(
        "test_batch", False, 10_000,
        python="f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
        binary="8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    ),
)  # fmt: skip

_BATCHES_100 = (
    Batch(
        "train", True, 50_000,
        python="735e79b04f092ca3d2e6d07f368c0a7d70d48c48d28865950cc24454cf45129b",
        binary="f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
    ),
    Batch(
        "test", False, 10_000,
        python="4b67687d9933c4db8f0831104447f15b93774f4f464bd0516f0f0f2ac83b7864",
        binary="d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
    ),
)  # fmt: skip

CIFAR10 = CifarSet(
    name="cifar10",
    title="CIFAR-10",
    description="60,000 colour 32x32 pictures of animals and vehicles in 10 classes (170 MB)",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    preprocessing=Preprocessing((3, 32, 32), mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
    forms=(
        ("cifar-10-binary.tar.gz",),
        ("cifar-10-python.tar.gz",),
        tuple(f"{each.name}.bin" for each in _BATCHES_10),
        tuple(each.name for each in _BATCHES_10),
    ),
    subfolders=("cifar10", "cifar-10-batches-bin", "cifar-10-batches-py"),
    batches=_BATCHES_10,
    archives={
        "cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    },
    labels=("labels",),
)

CIFAR100 = CifarSet(
    name="cifar100",
    title="CIFAR-100",
    description="60,000 colour 32x32 pictures of animals, plants and things in 100 classes (169 MB)",
    classes=(
        "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl", "boy",
        "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock",
        "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish",
        "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
        "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange",
        "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine",
        "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk",
        "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
        "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale",
        "willow_tree", "wolf", "woman", "worm",
    ),
    preprocessing=Preprocessing((3, 32, 32), mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762)),
    forms=(
        ("cifar-100-binary.tar.gz",),
        ("cifar-100-python.tar.gz",),
        tuple(f"{each.name}.bin" for each in _BATCHES_100),
        tuple(each.name for each in _BATCHES_100),
    ),
    subfolders=("cifar100", "cifar-100-binary", "cifar-100-python"),
    batches=_BATCHES_100,
    archives={
        "cifar-100-binary.tar.gz": "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        "cifar-100-python.tar.gz": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    },
    labels=("coarse_labels", "fine_labels"),
)  # fmt: skip


def cifar10(*, seed: int = 0, folder: str | Path | None = None, progress: bool = True) -> Splits:
    """CIFAR-10: 45,000 training, 5,000 validation and 10,000 test images, 3x32x32, in 10 classes.

    Photographs of animals and vehicles (Krizhevsky, 2009).

    Args:
        seed: chooses which of the 50,000 training images are for validation; the test images are always the same.
        folder: where the files are: the binary or the Python archive, the archive itself, or the files unpacked from
            one. The pickles in the Python archive are read without being run. None looks in the user's cache, in the
            folder that the environment variable FOVEATE_DATA names, and in /usr/share/datasets, and otherwise fetches
            the binary archive.
        progress: whether to show a live bar, on a terminal or in a notebook, if fetching takes over two seconds.

    Raises:
        DataError: the files are not found and cannot be fetched; the message says what was tried.
        FileError: a file is damaged, or does not hold what it should.
    """
    return CIFAR10.load(seed=seed, folder=folder, progress=progress)


def cifar100(*, seed: int = 0, folder: str | Path | None = None, progress: bool = True) -> Splits:
    """CIFAR-100: 45,000 training, 5,000 validation and 10,000 test images, 3x32x32, in 100 classes.

    Photographs of animals, plants and things (Krizhevsky, 2009); the classes are the fine ones. Arguments and errors
    are those of `cifar10`.
    """
    return CIFAR100.load(seed=seed, folder=folder, progress=progress)
