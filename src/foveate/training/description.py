"""How a model was trained, in words that its file keeps."""

from collections.abc import Mapping
from typing import Any

from foveate.training.history import History
from foveate.training.job import Job


def training_facts(before: Mapping[str, Any], job: Job, history: History) -> dict[str, Any]:
    """How a model was trained, for its file; `before` holds the facts of its earlier training."""
    finished = 0 if history.interrupted else 1
    return {
        "trainings": whole(before.get("trainings")) + finished,
        "interrupted": history.interrupted,
        "engine": job.programs.engine.name,
        "samples": len(job.train),
        "recipe": job.recipe.to_json(),
        "history": history.to_json(),
        **({"stopped": history.stopped} if history.stopped else {}),
        **({"best": history.best} if history.best is not None else {}),
    }


def whole(value: object) -> int:
    """A whole number from a file's training facts, or 0 if there is none."""
    return value if isinstance(value, int) else 0
