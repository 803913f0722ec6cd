"""`predict` and `stream` read and run batch by batch: answers come early, memory does not grow."""

import re
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.tasks import Classification, Regression, Several


def counting(images, taken: list) -> Iterator[np.ndarray]:
    """The images, each noted when it is asked for."""
    for image in images:
        taken.append(image)
        yield image


def test_a_stream_gives_what_predict_gives(trained, data, tmp_path):
    paths = [tmp_path / f"{place}.png" for place in range(7)]
    for path, image in zip(paths, data.inputs, strict=False):
        Image.fromarray(image[0]).save(path)
    for images in (
        data.inputs[:7],
        list(data.inputs[:7]),
        paths,
        (path for path in paths),
        data.inputs[0, 0],
        paths[0],
    ):
        wanted = trained.predict(paths if isinstance(images, Iterator) else images)
        found = list(trained.stream(images, batch_size=3))
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_answers_come_before_the_next_batch_is_read(trained, data):
    taken: list = []
    answers = trained.stream(counting(data.inputs[:10], taken), batch_size=4)
    for number, _ in enumerate(answers, 1):
        assert len(taken) == min(10, -(-number // 4) * 4)
    assert number == 10


def test_what_is_wrong_is_said_when_its_batch_is_reached(trained, data, tmp_path):
    images = [*data.inputs[:5], tmp_path / "gone.png"]
    answers = trained.stream(images, batch_size=2)
    assert len([next(answers) for _ in range(4)]) == 4
    with pytest.raises(fv.FileError, match="there is no file"):
        next(answers)
    broken = data.inputs.astype(np.float32) / 255
    broken[5, 0, 2, 2] = np.nan
    with pytest.raises(fv.DataError, match=r"^image 5 holds NaN or infinity"):
        list(trained.stream(broken, batch_size=4))
    with pytest.raises(fv.DataError, match=r"^batch_size is 0; it must be an int of at least 1, or None$"):
        list(trained.stream(broken, batch_size=0))
    with pytest.raises(fv.DataError, match=r"^there are no images"):
        list(trained.stream(iter(())))


def test_errors_in_their_places_and_the_rest_goes_on(trained, data, tmp_path):
    broken = data.inputs[1].astype(np.float32)
    broken[0, 2, 2] = np.nan
    images = [data.inputs[0], broken, data.inputs[2], tmp_path / "gone.png", data.inputs[4]]
    for size in (1, 2, 5):
        found = list(trained.stream(images, batch_size=size, return_errors=True))
        assert [type(each) for each in (found[1], found[3])] == [fv.DataError, fv.FileError]
        assert str(found[1]) == "image 1 holds NaN or infinity; fix or remove it"
        wanted = trained.predict(data.inputs[[0, 2, 4]])
        np.testing.assert_allclose([found[0], found[2], found[4]], wanted, rtol=1e-5)


def test_whatever_may_be_given_is_taken_apart(trained, data):
    for images in (data.inputs[:3], data.inputs[0, 0], Image.fromarray(data.inputs[0, 0])):
        found = list(trained.stream(images, return_errors=True))
        np.testing.assert_allclose(found, trained.predict(images), rtol=1e-5)
    with pytest.raises(fv.DataError, match=r"^there are no images; give at least one path"):
        list(trained.stream([], return_errors=True))
    with pytest.raises(fv.DataError, match=r"^the input is an int; give a path, a PIL image or a NumPy array"):
        list(trained.stream(3, return_errors=True))


def test_an_answer_that_is_no_number_is_the_error_of_its_image_alone(data):
    graph = fv.Sequential(fv.Flatten(), fv.Linear(2)).build((1, 6, 6))
    model = fv.Model(graph, classes=("a", "b"), preprocessing=fv.Preprocessing((1, 6, 6), (0.0,), (1.0,)))
    model.state.load("linear1.weight", np.full((2, 36), 3e38))
    images = np.zeros((3, 1, 6, 6), np.uint8)
    images[1] = 255
    first, second, third = model.stream(images, return_errors=True)
    assert str(second).startswith("the network's output linear1 is NaN or infinite for 1 of 1 samples")
    np.testing.assert_array_equal([first, third], 0.5)


def two_by_two() -> fv.Model:
    """Two inputs and two outputs."""
    builder = fv.GraphBuilder()
    image = builder.add(fv.Flatten(), builder.input((1, 6, 6), "image"))
    both = builder.add(fv.Concatenate(), image, builder.input((2,), "table"))
    outputs = builder.add(fv.Linear(3), both, name="kind"), builder.add(fv.Linear(1), both, name="size")
    task = Several({"kind": Classification(("a", "b", "c")), "size": Regression(("length",))})
    return fv.Model(builder.build(*outputs), task=task, preprocessing=fv.Preprocessing((1, 6, 6), (0.5,), (0.25,)))


def test_several_inputs_and_outputs(data):
    model, table = two_by_two(), np.random.default_rng(0).standard_normal((9, 2))
    whole = model.predict({"image": data.inputs[:9], "table": table})
    rows = list(model.stream({"image": iter(data.inputs[:9]), "table": table}, batch_size=4))
    for name, values in whole.items():
        np.testing.assert_allclose([row[name] for row in rows], values, rtol=1e-5)
    with pytest.raises(fv.DataError, match=r"^there are at least 12 images, but 9 of table; each sample needs every"):
        list(model.stream({"image": data.inputs[:13], "table": table}, batch_size=4))
    with pytest.raises(fv.DataError, match=r"^there are 5 images, but 9 of table"):
        model.predict({"image": data.inputs[:5], "table": table})
    given = {"image": list(data.inputs[:9]), "table": table}
    given["image"][3] = "gone.png"
    rows = list(model.stream(given, batch_size=4, return_errors=True))
    assert isinstance(rows[3], fv.FileError)
    np.testing.assert_allclose(rows[4]["size"], whole["size"][4], rtol=1e-5)
    with pytest.raises(fv.DataError, match=r"^there are 5 images, but 9 of table"):
        list(model.stream({"image": data.inputs[:5], "table": table}, return_errors=True))
    table[6, 1] = np.inf
    with pytest.raises(fv.DataError, match=r"^table: input 6 holds NaN or infinity"):
        list(model.stream({"image": data.inputs[:9], "table": table}, batch_size=4))


def test_large_inputs_run_a_few_at_a_time():
    small, large = fv.zoo.lenet5(), fv.zoo.vgg16()
    sizes = [fv.training.Programs(fv.engines.get_engine("reference"), graph).batch_size for graph in (small, large)]
    assert sizes == [256, 2]


MANY = """
import sys
import numpy as np, foveate as fv
from PIL import Image
def peak():  # getrusage would count what the process held that started this one
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
path = sys.argv[1]
Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 320, 3), dtype=np.uint8)).save(path)
preprocessing = fv.Preprocessing((3, 224, 224), (0.5,) * 3, (0.25,) * 3, resize=256)
names = [str(place) for place in range(1000)]
model = fv.Model(fv.zoo.mobilenet_v3_small(), classes=names, preprocessing=preprocessing)
before = peak()
shares = model.predict([path] * int(sys.argv[2]))
assert shares.shape == (int(sys.argv[2]), 1000)
print(before, peak())
"""


def peak_memory(folder, count: int) -> tuple[int, int]:
    """Bytes that a process held at most before and after it predicted `count` images of 3x224x224."""
    command = [sys.executable, "-W", "error", "-c", MANY, str(folder / "photo.jpg"), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, after = re.findall(r"\d+", done.stdout)
    return 1024 * int(before), 1024 * int(after)


@pytest.mark.slow
def test_five_thousand_images_need_less_than_600_megabytes(tmp_path):
    _, peak = peak_memory(tmp_path, 5000)
    assert peak < 600e6, f"{peak / 1e6:.0f} MB"
