"""The type stub of the C++ module is generated from it; a stale one is red."""

import re
import subprocess
import sys
from pathlib import Path

from foveate.engines.native import _native

STUB = Path(__file__).parents[3] / "src/foveate/engines/native/_native.pyi"


def test_the_stub_is_what_the_module_says(tmp_path: Path):
    fresh = tmp_path / "_native.pyi"
    command = [sys.executable, "-m", "nanobind.stubgen", "-q", "-m", _native.__name__, "-o", str(fresh)]
    subprocess.run(command, check=True, capture_output=True)
    assert signatures(fresh) == signatures(STUB)


def signatures(stub: Path) -> list[str]:
    """Names and arguments, leaving out how a version of the generator spells them."""
    return re.findall(r"^ *(?:def|class) .*$", stub.read_text(), re.MULTILINE)
