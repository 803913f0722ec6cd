"""What `foveate train` starts from: a new network, a trained model, or a network with published weights."""

import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from foveate.cli.choosing import default_network
from foveate.cli.models import is_onnx, open_model
from foveate.cli.output import EngineName
from foveate.cli.sources import FolderOptions, earlier_record, is_folder, load_data
from foveate.errors import FileError
from foveate.text import named

if TYPE_CHECKING:
    from foveate.data import Splits
    from foveate.model import Model
    from foveate.training import Words


def is_first(context: typer.Context, engine: EngineName | None) -> bool:
    """Whether this process is the first, or only, one that trains; the others print nothing but errors."""
    from foveate.engines.choice import processes

    rank, size = processes()
    if size > 1 and engine != EngineName.TORCH:
        raise typer.BadParameter(f"{size} processes were started, and only --engine torch trains in several; give it")
    if rank > 0:
        context.with_resource(redirect_stdout(StringIO()))
        context.with_resource(redirect_stderr(StringIO()))
    return rank == 0


def begin(
    dataset: str,
    net: str | None,
    variant: str | None,
    origin: Path | None,
    *,
    seed: int,
    engine: str | None,
    folder: FolderOptions,
    out: Path,
) -> "tuple[Splits, Model]":
    """The data, and the model to train on them.

    Args:
        dataset: a name, or a folder.
        net: the name of a network of the zoo (default: chosen from the data, or that of the file `origin`).
        variant: the variant of that network.
        origin: a model file; or, with `net`, weights from PyTorch.
        seed: for the split and the initialisation.
        engine: the engine to use.
        folder: how the images of a folder are read.
        out: where the run will be; a split that is kept there is kept.
    """
    from foveate import zoo
    from foveate.model import Model

    if variant is not None and net is None:
        raise typer.BadParameter("--variant belongs to a network of the zoo; name one with --net")
    earlier = earlier_record(out, seed, folder)
    if origin is None:
        if net is not None:
            _check_fits(dataset, net, variant, folder.given().get("size", _own_size(net)))
        data = load_data(dataset, folder, seed=seed, size=_own_size(net), record=earlier)
        name = net or default_network(data.train)
        graph = zoo.make(name, input_shape=data.train.shape, classes=len(data.classes), variant=variant)
        model = Model(graph, classes=data.classes, preprocessing=data.preprocessing, seed=seed, engine=engine)
    else:
        known = _model(origin, engine) if net is None else _published(origin, net, variant, engine)
        earlier = earlier or (known.splits if folder.split is None else None)
        prepared, shape = known.preprocessing, known.graph.input_shape
        data = load_data(dataset, folder, seed=seed, preprocessing=prepared, shape=shape, record=earlier)
        if prepared is None and data.found:
            known.preprocessing = data.preprocessing
        model = known.with_head(data.classes, seed=seed)
        model.splits = dict(known.splits)
    return data, model


def default_folder(dataset: str) -> Path:
    """Where a run on these data is written unless told otherwise."""
    from foveate.data import datasets

    return Path("runs") / (datasets.named_data(dataset) or Path(dataset).resolve().name)


def typed_words() -> "Words":
    """What the ways out of errors in the output folder are called on the command line."""
    from foveate.training import Words

    return Words(
        "--resume",
        "--overwrite",
        "--extend",
        "--out",
        "Make room or mend the folder; then the same command with --resume goes on from the last checkpoint",
    )


def _check_fits(dataset: str, net: str, variant: str | None, size: int | tuple[int, int] | None) -> None:
    """Refuse a size that does not fit the network before images are decoded to it, which may take minutes."""
    from foveate import zoo

    if size is None or not is_folder(dataset):
        return
    height, width = (size, size) if isinstance(size, int) else size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # told when the network is made for good
        zoo.make(net, input_shape=(3, height, width), variant=variant)


def _own_size(net: str | None) -> tuple[int, int] | None:
    """Height and width of the images that a network of the zoo was made for; None if that network takes any."""
    from foveate import zoo

    if net is None or zoo.find(net) == "vgg6":
        return None
    shape = zoo.NETWORKS[zoo.find(net)].input_shape
    return (shape[1], shape[2]) if len(shape) == 3 else None


def _model(path: Path, engine: str | None) -> "Model":
    """The model in a file; if the file holds weights alone, the error says how to name their network."""
    from foveate.files import ForeignFileError
    from foveate.files.weights import read_weights
    from foveate.model import load

    if is_onnx(path):
        return open_model(path, engine)
    try:
        return load(path, engine=engine)
    except ForeignFileError as error:
        try:
            weights = read_weights(path)
        except FileError:
            raise error from None
        raise FileError(
            f"{named(path)} holds {len(weights.arrays)} arrays, but not the network that they belong to; name it with "
            "--net, such as --net resnet18 (`foveate zoo` lists the networks)"
        ) from None


def _published(path: Path, net: str, variant: str | None, engine: str | None) -> "Model":
    """A network of the zoo with weights from PyTorch, and the preprocessing with which they were trained."""
    from foveate import zoo
    from foveate.data import Preprocessing
    from foveate.model import Model

    graph = zoo.make(net, variant=variant)
    if _holds_model(path):
        raise typer.BadParameter("--from has its own network; leave --net out")
    scaling = zoo.NETWORKS[zoo.find(net)].scaling(variant)
    preprocessing = None if scaling is None else Preprocessing(graph.input_shape, *scaling, fit="crop")
    return Model(graph, preprocessing=preprocessing, engine=engine).load_torch(path)


def _holds_model(path: Path) -> bool:
    from foveate.files import ForeignFileError, read_description

    try:
        read_description(path)
    except ForeignFileError:
        return False
    except FileError:
        if path.exists():
            raise
        return False
    return True
