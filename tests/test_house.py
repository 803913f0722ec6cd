"""The rules of the house: floors, sizes of files, light imports, types, and what is public."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

import foveate as fv
from foveate.layers import Layer
from foveate.layers.registry import built_in_layers

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("src/foveate", "native", "tests", "benchmarks")
    for ending in ("*.py", "*.cpp", "*.h", "*.hpp")
    for path in (ROOT / folder).rglob(ending)
)
HEAVY = ("logging", "numpy", "matplotlib", "rich", "PIL", "typer", "safetensors", "platformdirs", "torch", "onnx")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter on this source tree."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_each_floor_imports_only_from_those_below():
    done = python("-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 kept, 0 broken" in done.stdout


def test_the_types_hold_under_mypy_strict():
    done = python("-m", "mypy")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", SOURCES)
def test_a_file_has_at_most_600_lines(path: str):
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= 600


@pytest.mark.parametrize("layer_type", built_in_layers(), ids=lambda layer_type: layer_type.__name__)
def test_a_layer_has_under_100_lines(layer_type: type[Layer]):
    assert len(inspect.getsource(layer_type).splitlines()) < 100


@pytest.mark.parametrize("module", HEAVY)
def test_importing_foveate_does_not_import(module: str):
    done = python("-c", f"import sys, foveate; raise SystemExit({module!r} in sys.modules)")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", HEAVY)
def test_building_a_network_does_not_import(module: str):
    build = "foveate.Sequential(foveate.Conv2d(8, 3), foveate.ReLU()).build((1, 9, 9)).to_json()"
    done = python("-c", f"import sys, foveate; {build}; raise SystemExit({module!r} in sys.modules)")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", fv.__all__)
def test_every_public_name_is_there(name: str):
    assert getattr(fv, name) is not None


def test_public_names_are_listed_once_and_shown_by_dir():
    assert len(set(fv.__all__)) == len(fv.__all__)
    assert set(fv.__all__) <= set(dir(fv))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"^module 'foveate' has no attribute 'Conv4d'$"):
        fv.Conv4d  # noqa: B018 (the attribute raises)


@pytest.mark.parametrize(
    "error",
    [
        fv.LayerError, fv.ShapeError, fv.GraphError, fv.EngineError, fv.DataError, fv.FileError, fv.TrainingError,
        fv.CallError, fv.testing.GradientError,
    ],
)  # fmt: skip
def test_every_error_is_a_foveate_error(error: type[Exception]):
    assert issubclass(error, fv.FoveateError)


def test_the_list_of_floors_names_every_module_of_the_package():
    floors = "".join(re.findall(r"^\| \d.*$", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE))
    found = (path.name + "/" * path.is_dir() for path in (ROOT / "src/foveate").iterdir() if path.name[0] != "_")
    assert {name for name in found if name.endswith((".py", "/")) and f"`{name}`" not in floors} == set()


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "src/foveate/py.typed").exists()


def imports_of_foveate(*, types: bool, external: bool = False) -> grimp.ImportGraph:
    """Who imports whom. Not from grimp's cache, which takes graphs built with other options for fresh."""
    return grimp.build_graph(
        "foveate", include_external_packages=external, exclude_type_checking_imports=not types, cache_dir=None
    )


def test_no_two_modules_import_each_other_in_a_circle():
    """Near or far, inside functions and under TYPE_CHECKING too."""
    imports = imports_of_foveate(types=True)
    inside = set(imports.modules)
    assert {"foveate.graph.graph", "foveate.engines.engine", "foveate.explain.page.page"} <= inside
    waiting = {name: imports.find_modules_directly_imported_by(name) & inside for name in inside}
    while free := {name for name, below in waiting.items() if not below}:
        waiting = {name: below - free for name, below in waiting.items() if name not in free}
    assert not waiting, f"these stand on a circle or on one below them: {sorted(waiting)}"


def test_inside_graph_each_stands_on_those_before_it():
    imports, order = (
        imports_of_foveate(types=True),
        ("node", "nodes", "joining", "analysis", "graph", "builder", "compose", "rewriting"),
    )
    assert imports.find_descendants("foveate.graph.analysis")
    for position, low in enumerate(order):
        known = imports.find_upstream_modules(f"foveate.graph.{low}", as_package=True)
        assert not known & {f"foveate.graph.{high}" for high in (*order[position + 1 :], "folding", "freezing")}, low


@pytest.mark.parametrize(
    ("types", "rooms"),
    [(False, {"draw", "page", "experiments"}), (True, {"draw", "page", "experiments", "plots"})],
)
def test_matplotlib_stays_in_the_rooms_of_explain_that_draw(types: bool, rooms: set[str]):
    """Inside functions too; `plots` names its types, and no more."""
    names = imports_of_foveate(types=types, external=True).find_modules_that_directly_import("matplotlib")
    found = {name.split(".")[2] for name in names if name.startswith("foveate.explain.")}
    assert "draw" in found
    assert found <= rooms


def _argument_counts() -> dict[str, int]:
    counts = {}
    for path in sorted((ROOT / "src/foveate/engines").rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
                names = {argument.arg for argument in given} - {"self", "cls"}
                counts[f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"] = len(names)
    return counts


def test_no_function_of_the_engines_takes_more_than_six_arguments():
    counts = _argument_counts()
    assert len(counts) > 300
    assert {name: count for name, count in counts.items() if count > 6} == {}


def private_names(source: str) -> list[str]:
    """What a test takes from foveate that begins with one underscore; `_native` is a module's name.

    Taken by an import, as an attribute of what was imported, or by its name in a string, as `monkeypatch` does.
    """
    tree, ours, found = ast.parse(source), set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "foveate":
            ours |= {each.asname or each.name for each in node.names}
            found += [each.name for each in node.names]
        elif isinstance(node, ast.Import):
            ours |= {each.asname or "foveate" for each in node.names if each.name.split(".")[0] == "foveate"}
        elif isinstance(node, ast.Constant) and re.fullmatch(r"foveate(\.\w+)+", str(node.value)):
            found.append(str(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node).split(".")[0] in ours:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.Call) and len(node.args) > 1 and ast.unparse(node.args[0]).split(".")[0] in ours:
            found += [each.value for each in node.args[1:2] if isinstance(each, ast.Constant)]
    return [name for name in found if re.search(r"(^|\.)_(?!_|native$)\w+$", str(name))]


@pytest.mark.parametrize(
    "source",
    [
        "from foveate.data.arrays import _secret",
        "from foveate.data import arrays\narrays._secret()",
        "import foveate as fv\nfv.data.arrays._secret()",
        "import foveate.data.arrays\nfoveate.data.arrays._secret",
        "from foveate.data import arrays\nmonkeypatch.setattr(arrays, '_secret', 1)",
        "monkeypatch.setattr('foveate.data.arrays._secret', 1)",
    ],
)
def test_a_private_name_is_found_wherever_it_is_used(source: str):
    assert [name.rpartition(".")[2] for name in private_names(source)] == ["_secret"]
    for allowed in ("public", "_native", "__doc__"):
        assert private_names(source.replace("_secret", allowed)) == []


def test_no_test_needs_a_private_name():
    sources = {path.relative_to(ROOT): path.read_text("utf-8") for path in sorted((ROOT / "tests").rglob("*.py"))}
    found = {str(path): private_names(source) for path, source in sources.items()}
    assert {path: names for path, names in found.items() if names} == {}
