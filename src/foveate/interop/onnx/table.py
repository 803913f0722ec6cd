"""The table of ONNX's operators: for each, and each version of it, the rule that makes layers of it."""

from collections.abc import Callable
from typing import Any, TypeAlias

from foveate.interop.onnx.reading import OWN, Operation
from foveate.interop.onnx.taking import Op

Rule: TypeAlias = Callable[[Op], Any]

RULES: dict[str, dict[int, Rule]] = {}
"""Rules by the operator's name and the first version that they hold for."""


def rule(*names: str, since: int = 1) -> Callable[[Rule], Rule]:
    """Register a rule under the names of operators, for their versions from `since` on."""

    def enter(function: Rule) -> Rule:
        for name in names:
            RULES.setdefault(name, {})[since] = function
        return function

    return enter


def find(operation: Operation, opset: int) -> Rule | None:
    """The rule of an operator in a version; None if there is none."""
    name = operation.kind if operation.domain in OWN else f"{operation.domain}.{operation.kind}"
    versions = {since: made for since, made in RULES.get(name, {}).items() if since <= opset}
    return versions[max(versions)] if versions else None
