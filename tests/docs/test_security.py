"""What SECURITY.md promises: its numbers are the code's, and nothing runs that it says does not."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import foveate as fv
from foveate.data.images import FORMATS
from foveate.files.container import LARGEST_HEADER
from foveate.files.description import LARGEST_SAMPLE, MOST_NODES

ROOT = Path(__file__).parents[2]
PAGE = " ".join((ROOT / "SECURITY.md").read_text(encoding="utf-8").split())
SOURCES = sorted((ROOT / "src/foveate").rglob("*.py"))

WATCH = """
import sys

def refuse(event, arguments):
    if event in FORBIDDEN:
        raise SystemExit(f"{event} {arguments}")
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+"):
        raise SystemExit(f"writes {arguments}")

"""
OUTSIDE = {"socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.posix_spawn", "os.exec"}


def watched(before: str, forbidden: set[str], then: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `before`, and then, with whatever is forbidden or writes a file ending the process, `then`."""
    code = f"{WATCH}FORBIDDEN = {forbidden!r}\n{before}\nsys.addaudithook(refuse)\n{then}"
    command = [sys.executable, "-B", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "fact",
    [
        f"may have {LARGEST_HEADER // 10**6} MB, a network {MOST_NODES:,} layers and {LARGEST_SAMPLE:,} numbers",
        f"only as {', '.join(FORMATS[:-1])} or {FORMATS[-1]}",
        f"more than {Image.MAX_IMAGE_PIXELS:,} pixels",
    ],
)
def test_its_numbers_are_those_of_the_code(fact: str):
    assert fact in PAGE


def test_importing_foveate_connects_to_nothing_starts_nothing_and_writes_nothing():
    done = watched("", OUTSIDE, "import foveate, foveate.model, foveate.explain")
    assert done.returncode == 0, done.stderr


def test_loading_a_model_runs_no_code_from_it(tmp_path: Path):
    """Once everything is imported, loading compiles nothing, executes nothing, unpickles nothing."""
    path = tmp_path / "model.safetensors"
    fv.Model(fv.Sequential(fv.Flatten(), fv.Linear(2)).build((1, 4, 4)), classes=("a", "b"), seed=0).save(path)
    load = "import foveate; foveate.load(sys.argv[1])"
    done = watched(load, OUTSIDE | {"compile", "pickle.find_class", "marshal.loads"}, load, str(path))
    assert done.returncode == 0, done.stderr


def test_the_watch_notices():
    assert "writes" in watched("", set(), "open('/dev/null', 'w')").stderr
    assert (
        "pickle.find_class"
        in watched("import pickle, pathlib", {"pickle.find_class"}, "pickle.loads(pickle.dumps(pathlib.Path))").stderr
    )


def test_no_source_unpickles_or_runs_text():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {"pickle", "marshal", "shelve", "dill"} & {name.split(".")[0] for name in names}, path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile"}, path
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert ast.unparse(node.value) == "False", path
