"""What `foveate.explain` offers: every picture by one import, drawn with nothing loaded before it is asked for."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import FunctionType

import pytest

from foveate import explain

FOLDER = Path(explain.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(FOLDER).with_suffix("").parts)
    for path in FOLDER.rglob("*.py")
    if path.stem != "__init__" and "experiments" not in path.parts
)


@pytest.mark.parametrize("name", explain.__all__)
def test_every_public_name_is_there(name: str):
    assert getattr(explain, name) is not None


@pytest.mark.parametrize("module", MODULES)
def test_every_plot_is_public(module: str):
    names = {name for name, value in vars(import_module(f"foveate.explain.{module}")).items() if callable(value)}
    assert {name for name in names if name.startswith("plot_")} <= set(explain.__all__)


def test_public_names_are_listed_once_and_shown_by_dir():
    assert len(set(explain.__all__)) == len(explain.__all__)
    assert set(explain.__all__) <= set(dir(explain))


@pytest.mark.parametrize("name", ["activation_maps", "features", "filters"])
def test_a_function_keeps_its_place_when_the_module_of_the_same_name_is_imported(name: str):
    module = import_module(f"foveate.explain.probe.{name}")
    assert isinstance(getattr(explain, name), FunctionType)
    assert getattr(explain, name) is getattr(module, name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'foveate.explain' has no attribute 'plot_nothing'$"):
        explain.plot_nothing  # noqa: B018 (the attribute raises)


def test_importing_it_does_not_import_matplotlib():
    code = "import sys; from foveate import explain; raise SystemExit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
