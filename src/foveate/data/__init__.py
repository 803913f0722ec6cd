"""Images, sounds and labels: datasets, what is done to inputs before a network sees them, and batches."""

import foveate.data.datasets as datasets  # noqa: PLR0402
from foveate.data.augmentation import Augmentation
from foveate.data.batches import batch_indices
from foveate.data.dataset import Dataset, Splits
from foveate.data.preprocessing import Preprocessing

__all__ = ["Augmentation", "Dataset", "Preprocessing", "Splits", "batch_indices", "datasets"]
