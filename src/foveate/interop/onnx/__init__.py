"""ONNX in and out. Nothing of other libraries is needed: the format is read and written here."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from foveate.calls import called, path_from
from foveate.engines import Engine
from foveate.model import Model


@called()
def from_onnx(
    path: str | Path,
    input_shape: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
    *,
    engine: str | Engine | None = None,
) -> Model:
    """The model that computes what the network in an ONNX file computes.

    Every operator becomes a layer, named after the module that wrote it if its name or those of its arrays say which;
    `names` has the file's names of all arrays, `remarks["onnx"]` those of all nodes. Nothing in the file is executed.
    Weights of any floating-point type become float32; a quantised network is imported as the one that it approximates,
    and `remarks["onnx"]["notes"]` says so. A task and a preprocessing that `to_onnx` wrote are restored.

    Args:
        path: the file; arrays outside it must be in its folder.
        input_shape: the shape of one sample, without the batch, if the file leaves sizes open; for several inputs a
            mapping from their names.
        engine: as for `Model`.

    Raises:
        FileError: the file is missing, damaged or not ONNX, or refers to files outside its folder.
        ShapeError: the file leaves sizes open, or `input_shape` is not what it says.
        GraphError: it has operators that no layer computes; the message lists all of them, with their names.
    """
    from foveate.interop.onnx.importing import imported

    return imported(path_from(path, "path"), input_shape, engine)


@called()
def to_onnx(model: Model, path: str | Path, *, fuse: bool = False) -> float:
    """Write a model to an ONNX file, run that, and compare.

    The batch is open; layers and arrays keep their names. The task, the preprocessing and everything else in a model's
    file are recorded in the metadata under "foveate", class names and preprocessing as entries of their own too.
    The file is written in version 21 of ONNX's operators.

    Args:
        model: the model, which is left unchanged.
        path: the file to write.
        fuse: fold batch normalisations into the layers before them, as `Model.fuse` does.

    Returns:
        the largest difference between the outputs of the model and of the file for two random samples, relative to the
        largest output. The file is run by onnxruntime if that is installed and can, else it is imported again and run
        by the reference engine.

    Raises:
        EngineError: ONNX has no counterpart of a layer.
        FileError: the file cannot be written, or would be larger than readers of ONNX take.
    """
    from foveate.interop.onnx.writing import write_onnx

    return write_onnx(model.fuse() if fuse else model, path_from(path, "path")).difference
