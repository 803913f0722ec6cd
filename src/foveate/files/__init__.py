"""Model and checkpoint files: safetensors, written atomically, holding data only."""

from foveate.files.atomic import write_atomically
from foveate.files.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from foveate.files.container import ArraysInTurn, ForeignFileError
from foveate.files.description import ModelDescription
from foveate.files.locks import PARTIAL, is_at, lock, remove_partials
from foveate.files.model_file import read_description, read_model, write_model
from foveate.files.portable import Portable

__all__ = [
    "PARTIAL",
    "ArraysInTurn",
    "Checkpoint",
    "ForeignFileError",
    "ModelDescription",
    "Portable",
    "is_at",
    "lock",
    "read_checkpoint",
    "read_description",
    "read_model",
    "remove_partials",
    "write_atomically",
    "write_checkpoint",
    "write_model",
]
