"""What lets a model be inspected: its layers, and the steps that its engine runs; `Model` inherits it."""

from foveate.engines import Program, StepInfo
from foveate.engines.base import Mode
from foveate.graph import SGD, CrossEntropy, Graph, Summary
from foveate.tasks import AnyTask, heads
from foveate.training.programs import Programs


class Inspected:
    """A graph with its compiled programs."""

    graph: Graph
    task: AnyTask | None
    _programs: Programs

    def program(self, batch_size: int = 1, mode: Mode = "inference") -> Program:
        """The compiled program for `batch_size` in `mode`; its `steps()` list what runs, with layouts and bytes."""
        if mode == "training":
            known = () if self.task is None else heads(self.task, self.graph)
            loss = {head.name: (head.loss(), head.weight) for head in known} or CrossEntropy()
            return self._programs.get(batch_size=batch_size, mode=mode, loss=loss, optimizer=SGD())
        return self._programs.get(batch_size=batch_size, mode=mode)

    def steps(self, batch_size: int = 1, mode: Mode = "inference") -> list[StepInfo]:
        """What the compiled program runs, in order; print each to see node, implementation, layouts and bytes."""
        return self.program(batch_size, mode).steps()

    def summary(self) -> Summary:
        """A table of the layers with shapes, parameters and costs."""
        return self.graph.summary()
