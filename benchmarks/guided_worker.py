"""Runs one reader under atheris: python -m benchmarks.guided_worker READER CORPUS COUNT SEED. It ends the process."""

import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def main() -> None:
    """Instrument the readers and what they use, and fuzz."""
    atheris: Any = import_module("atheris")

    name, corpus, count, seed = sys.argv[1:]
    with atheris.instrument_imports(include=["foveate.data", "foveate.pickled", "tarfile", "gzip", "numpy.lib"]):
        from benchmarks.fuzzing import READERS, refuses

    reader = READERS[name]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"

        def one_input(content: bytes) -> Any:
            path.write_bytes(content)
            refuses(reader, path, "an input")

        options = [f"-runs={count}", f"-seed={seed}", "-timeout=10", "-rss_limit_mb=1500", "-max_len=20000"]
        atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={folder}/", corpus], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
