"""Wrong calls of public names end in sentences: what is twice, missing, unknown, or of another kind."""

import copy
import dataclasses
import inspect
import pickle
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import foveate as fv
from foveate import explain
from foveate.calls import called
from foveate.data import Augmentation
from foveate.layers.registry import built_in_layers

GRAPH = fv.Sequential(fv.Conv2d(4, 3), fv.GlobalAvgPool2d(), fv.Linear(2)).build((1, 8, 8))
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 1, 8, 8), dtype=np.uint8)
DATA = fv.Dataset(IMAGES, np.arange(12) % 2, ("a", "b"))
INF = float("inf")


@pytest.fixture(scope="module")
def model():
    plain = fv.Preprocessing((1, 8, 8), (0.5,), (0.25,))
    return fv.Model(GRAPH, classes=("a", "b"), preprocessing=plain, engine="reference")


MADE = {
    "twice": (
        lambda: fv.Conv2d(3, 16, kernel_size=3),
        "Conv2d: kernel_size is given twice, as 16 without a name and by name: the input's size is inferred, so "
        "the first value may be one too many",
    ),
    "another library's name": (
        lambda: fv.Linear(in_features=128, out_features=10),
        "Linear: there is no option in_features: the input's size is inferred; leave it out",
    ),
    "nearly a name": (lambda: fv.Conv2d(8, 3, strides=2), "Conv2d: there is no option strides. Nearest: stride"),
    "no such name": (
        lambda: fv.BatchNorm2d(unbiased=True),
        "BatchNorm2d: there is no option unbiased; there are eps, momentum, affine, frozen",
    ),
    "no names at all": (lambda: fv.Tanh(beta=1), "Tanh: there is no option beta; it has none"),
    "one missing": (lambda: fv.Conv2d(8), "Conv2d: kernel_size is missing"),
    "two missing": (fv.Conv2d, "Conv2d: out_channels and kernel_size are missing"),
    "nothing to give": (
        lambda: fv.ReLU(True),
        "ReLU: nothing can be given without a name, but there is True: leave it out; memory is planned for the "
        "whole network",
    ),
    "one too many for a function": (
        lambda: fv.LeakyReLU(0.1, True),
        "LeakyReLU: only slope can be given without a name, but there is True: leave it out; memory is planned for the "
        "whole network",
    ),
    "an axis": (
        lambda: fv.Softmax(1),
        "Softmax: nothing can be given without a name, but there is 1; by name it takes axis: "
        "it is over the channels; axis is given by name, and counts them as 0",
    ),
    "channels first": (
        lambda: fv.LocalResponseNorm(64, 5),
        "LocalResponseNorm: only size can be given without a name, but there is 5; by name it takes alpha, beta, k: "
        "the input's size is inferred, so the first value may be one too many",
    ),
    "too many": (
        lambda: fv.Model(GRAPH, ("a", "b")),
        "Model: only graph can be given without a name, but there is ('a', 'b'); by name it takes task, classes, "
        "preprocessing, seed, engine",
    ),
    "no number": (lambda: fv.LeakyReLU("steep"), "LeakyReLU: slope is 'steep'; it must be a number"),
    "no number in a loss": (lambda: fv.Focal(alpha="x"), "Focal: alpha is 'x'; it must be a number"),
    "a rate for an optimiser": (
        lambda: fv.SGD(lr=0.1),
        "SGD: there is no option lr: the learning rate belongs to the schedule, fit(schedule=OneCycle(0.1))",
    ),
    "a rate without a name": (
        lambda: fv.AdamW(0.1),
        "AdamW: nothing can be given without a name, but there is 0.1; by name it takes momentum, second_momentum, "
        "eps, weight_decay: the learning rate belongs to the schedule, fit(schedule=OneCycle(0.1))",
    ),
    "a task": (fv.tasks.Classification, "Classification: classes is missing"),
    "data": (lambda: fv.Dataset(IMAGES), "Dataset: targets and task are missing"),
    "a base": (
        fv.Layer,
        "Layer is a base to derive from; a derived class must define output_shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_what_cannot_be_made(name):
    make, sentence = MADE[name]
    with pytest.raises(fv.CallError) as raised:
        make()
    assert str(raised.value) == sentence
    assert isinstance(raised.value, TypeError)


KINDS = [
    (lambda m: fv.Model(fv.Sequential(fv.ReLU())), fv.GraphError,
     "the network is a Sequential whose shapes are not known yet; build it: Model(network.build(input_shape))"),
    (lambda m: fv.Model("resnet18"), fv.GraphError,
     'the network is the text "resnet18"; make one of that name: Model(fv.zoo.make("resnet18"))'),
    (lambda m: fv.Model(fv.zoo.lenet5), fv.GraphError, "the network is not made yet; call it: Model(lenet5())"),
    (lambda m: fv.Model([fv.Linear(2)]), fv.GraphError,
     "the network is a list, not a graph; build one: Model(Sequential(...).build(input_shape))"),
    (lambda m: fv.Model(GRAPH, classes=2), fv.DataError,
     "classes are 2; give the name of each class, as a tuple of strings"),
    (lambda m: fv.Model(GRAPH, classes="ab"), fv.DataError,
     "classes are 'ab'; give the name of each class, as a tuple of strings"),
    (lambda m: fv.Model(GRAPH, task="classification"), fv.DataError,
     "task is 'classification'; it must be a task, such as fv.tasks.Classification((\"cat\", \"dog\"))"),
    (lambda m: fv.Model(GRAPH, task=fv.tasks.Regression), fv.DataError,
     'task is the class Regression; it must be a task, such as fv.tasks.Classification(("cat", "dog"))'),
    (lambda m: fv.Model(GRAPH, preprocessing="imagenet"), fv.DataError,
     "preprocessing is 'imagenet'; it must be a Preprocessing, such as Preprocessing.measure(dataset), or be left out"),
    (lambda m: fv.Model(GRAPH, seed="a"), fv.DataError, "seed is 'a'; it must be an int"),
    (lambda m: fv.Model(GRAPH, engine=3), fv.EngineError,
     'engine is 3; give "native", "torch", "reference" or an Engine, or leave it out'),
    (lambda m: m.fit(IMAGES, [0, 1]), fv.CallError,
     "fit: only dataset can be given without a name, but there is [0, 1]; by name it takes validation, epochs, "
     "batch_size, optimizer, schedule, learning_rate_factors, loss, augmentation, clip_norm, accumulate, ema, "
     "patience, keep_best, callbacks, out, progress, resume, overwrite, extend, checkpoint_every, "
     "checkpoint_minutes, keep_checkpoints: "
     "images and labels go into one Dataset, fit(Dataset(images, labels, classes))"),
    (lambda m: m.fit(DATA, lr=0.1), fv.CallError,
     "fit: there is no option lr: the learning rate belongs to the schedule, schedule=OneCycle(0.1)"),
    (lambda m: m.fit(DATA, checkpoint_every=1.5), fv.TrainingError,
     "checkpoint_every is 1.5; it must be an int of at least 1 step, or None"),
    (lambda m: m.fit(DATA, out=3), fv.CallError, "out is 3; give a path"),
    (lambda m: m.evaluate(IMAGES), fv.DataError,
     "the data are an ndarray, not a Dataset; make one with Dataset(inputs, targets, classes)"),
    (lambda m: m.evaluate(DATA, batch_size="a"), fv.DataError,
     "batch_size is 'a'; it must be an int of at least 1, or None"),
    (lambda m: m.evaluate(DATA, loss="mse"), fv.TrainingError,
     "the loss is 'mse'; it must be a Loss, such as CrossEntropy(), or be left out"),
    (lambda m: m.evaluate(DATA, loss=fv.MeanSquaredError()), fv.TrainingError,
     "the output linear1 is for Classification, which is trained with CrossEntropy, but its loss is MeanSquaredError, "
     "which is for Regression; leave the loss out for CrossEntropy"),
    (lambda m: m.logits(np.zeros((1, 1, 8, 8)), batch_size=0), fv.DataError,
     "batch_size is 0; it must be an int of at least 1, or None"),
    (lambda m: m.predict(IMAGES, batch_size=3), fv.CallError,
     "predict: there is no option batch_size; there are images"),
    (lambda m: m.freeze(3), fv.GraphError,
     'a parameter is given by its name or a pattern such as "conv1.*", but got 3'),
    (lambda m: m.read(3), fv.EngineError,
     "an array is given by its name, but got 3; there are conv1.weight, conv1.bias, linear1.weight, linear1.bias"),
    (lambda m: m.load_torch(3), fv.CallError, "weights is 3; give a path or a state_dict"),
    (lambda m: m.load_torch(), fv.CallError, "load_torch: weights is missing"),
    (lambda m: m.save(3), fv.CallError, "path is 3; give a path"),
    (lambda m: fv.load(None), fv.CallError, "path is None; give a path"),
    (lambda m: fv.load(), fv.CallError, "load: path is missing"),
    (lambda m: fv.Sequential(fv.ReLU()).build(3, 32, 32), fv.CallError,
     "build: only input_shape can be given without a name, but there is 32; by name it takes strict, quiet, name: the "
     "sizes go into one tuple, build((3, 32, 32))"),
    (lambda m: fv.Sequential(fv.ReLU()).build(None), fv.ShapeError,
     "input shape is None; give the sizes of one sample as a tuple: (3, 32, 32)"),
    (lambda m: fv.Named(3, fv.ReLU()), fv.GraphError,
     '"3" cannot be a name: it must be a word without dots (dots join nested names)'),
    (lambda m: fv.GraphBuilder().add(fv.ReLU), fv.GraphError, "the layer to add is the class ReLU; write ReLU()"),
    (lambda m: fv.GraphBuilder().add("relu"), fv.GraphError,
     "cannot add 'relu', which is not a layer"),
    (lambda m: fv.GraphBuilder().add(fv.Named("a", fv.ReLU())), fv.GraphError,
     "; to add a composite call its lower(builder, value)"),
    (lambda m: fv.GraphBuilder().add(fv.ReLU(), "input"), fv.GraphError,
     "'input' is not a value of a network; pass what builder.input(...) or builder.add(...) returned"),
    (lambda m: GRAPH.receptive_field(3), fv.GraphError, 'there is no layer "3". Nearest: '),
    (lambda m: GRAPH.region("conv1", 3), fv.ShapeError,
     "the position is 3; give an int for each of the 2 spatial axes"),
    (lambda m: GRAPH.region("conv1", (0, 1.5)), fv.ShapeError,
     "the position is (0, 1.5); give an int for each of the 2 spatial axes"),
    (lambda m: fv.zoo.make("lenet5", input_shape=2.5), fv.ShapeError,
     "input shape is 2.5; give the sizes of one sample as a tuple: (3, 32, 32)"),
    (lambda m: fv.zoo.make("lenet5", input_shape=5), fv.ShapeError,
     "layer 1, conv1 (Conv2d 5x5, padding 2): needs an input of C x H x W, but gets 5 (1 axes). Put it before Flatten"),
    (lambda m: fv.zoo.make("lenet5", input_shape=("a", 32, 3)), fv.ShapeError,
     "input shape ('a', 32, 3) must be ints of at least 1, channels first, without the batch axis"),
    (lambda m: fv.zoo.resnet18(5), fv.CallError,
     "resnet18: nothing can be given without a name, but there is 5; by name it takes input_shape, classes"),
    (lambda m: fv.zoo.lenet5(num_classes=5), fv.CallError,
     "lenet5: there is no option num_classes: it is called classes"),
    (lambda m: fv.zoo.make("vgg16", pretrained=True), fv.CallError,
     "make: there is no option pretrained: networks come without weights; Model(graph).load_torch(path) takes "
     "published ones"),
    (lambda m: fv.zoo.vgg16(weights="DEFAULT"), fv.CallError,
     "vgg16: there is no option weights: networks come without weights; Model(graph).load_torch(path) takes "
     "published ones"),
    (lambda m: fv.datasets.image_folder(".", shape=(3, 2.5, 4)), fv.DataError,
     "shape is (3, 2.5, 4); give (1, H, W) for grey images or (3, H, W) for RGB"),
    (lambda m: explain.layer_matrix(m, "conv1", 5), fv.ShapeError,
     "layer 1, conv1 (Conv2d 3x3): needs an input of C x H x W, but gets 5 (1 axes)."),
    (lambda m: explain.signal_survival(input_shape=2.5), fv.ShapeError,
     "input shape is 2.5; give the sizes of one sample as a tuple: (3, 32, 32)"),
    (lambda m: fv.testing.check_gradients(fv.ReLU(), ("a", 3)), fv.ShapeError,
     "input shape is 'a'; give the sizes of one sample as a tuple: (3, 32, 32)"),
    (lambda m: fv.testing.check_loss_gradient(fv.CrossEntropy(), 2.5), fv.ShapeError,
     "output shape is 2.5; give the sizes of one sample as a tuple: (3, 32, 32)"),
    (lambda m: fv.datasets.load(3), fv.CallError, "name is 3; give a path"),
    (lambda m: fv.datasets.load("fashion-mnist", seed="a"), fv.DataError, "seed is 'a'; it must be an int"),
    (lambda m: fv.datasets.image_folder(3), fv.CallError, "folder is 3; give a path"),
    (lambda m: fv.Dataset([IMAGES[0], IMAGES[0, :, :3]], [0, 1], ("a", "b")), fv.DataError,
     "inputs differ in shape from sample to sample; bring all to one shape"),
    (lambda m: fv.Dataset({3: IMAGES}, [0] * 12, ("a", "b")), fv.DataError,
     "an input is called 3; give each the network's name for it, a string"),
    (lambda m: fv.Preprocessing.measure(IMAGES), fv.DataError,
     "a preprocessing is measured on a Dataset, but got an ndarray"),
    (lambda m: fv.OneCycle(0.1, momentum=0.9), fv.TrainingError,
     "OneCycle: momentum is 0.9; give the lowest and the highest, both at least 0 and below 1, or None"),
    (lambda m: fv.testing.check_gradients(fv.ReLU, (3, 4)), fv.CallError,
     "check_gradients: layer is <class 'foveate.layers.activations.ReLU'>; give a layer such as ReLU()"),
    (lambda m: fv.testing.check_gradients(fv.ReLU(), 3), fv.CallError,
     "check_gradients: input_shape is 3; give the sizes of one sample: (3, 8, 8)"),
    (lambda m: fv.testing.check_loss_gradient("mse", (3,)), fv.CallError,
     "check_loss_gradient: loss is 'mse'; give a loss such as CrossEntropy()"),
    (lambda m: explain.saliency(3, IMAGES[0]), fv.DataError,
     "cannot examine an int; give a Model, such as fv.load(path)"),
    (lambda m: explain.saliency(m, IMAGES[0], target=1.5), fv.DataError,
     "the class is 1.5; give its name, its index, or one for each image"),
    (lambda m: explain.save(3, "x.png"), fv.DataError, "the figure is an int; give one that a plot_ function returned"),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(KINDS)))
def test_arguments_of_another_kind(place, model):
    call, error, sentence = KINDS[place]
    with pytest.raises(error) as raised:
        call(model)
    assert sentence in str(raised.value)
    assert sentence[0] in "; " or str(raised.value).startswith(sentence)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: fv.Constant(INF), "Constant: learning_rate is inf; it must be a positive, finite number"),
        (lambda: fv.SGD(weight_decay=INF), "SGD: weight_decay is inf; it must be at least 0 and finite"),
        (lambda: fv.AdamW(eps=INF), "AdamW: eps is inf; it must be positive and finite (1e-8 is usual)"),
        (lambda: fv.ELU(INF), "ELU: alpha is inf; it must be positive and finite (1 is usual)"),
        (lambda: fv.Softplus(INF), "Softplus: beta is inf; it must be positive and finite (1 is usual)"),
        (lambda: fv.BatchNorm2d(eps=INF), "BatchNorm2d: eps is inf; it must be positive and finite (1e-5 is usual)"),
        (lambda: fv.GroupNorm(2, eps=INF), "GroupNorm: eps is inf; it must be positive and finite (1e-5 is usual)"),
        (lambda: fv.LocalResponseNorm(5, k=INF), "LocalResponseNorm: k is inf; it must be positive and finite, or "),
        (lambda: fv.LocalResponseNorm(5, alpha=INF), "LocalResponseNorm: alpha is inf; it must be finite"),
        (lambda: fv.LocalResponseNorm(5, beta=float("nan")), "LocalResponseNorm: beta is nan; it must be finite"),
    ],
)
def test_numbers_that_are_not_finite(make, sentence):
    with pytest.raises(fv.FoveateError) as raised:
        make()
    assert str(raised.value).startswith(sentence)


def test_signatures_copies_and_errors_from_within_are_as_ever():
    assert list(inspect.signature(fv.Conv2d).parameters)[:2] == ["out_channels", "kernel_size"]
    assert next(iter(inspect.signature(fv.Model).parameters)) == "graph"
    assert list(inspect.signature(fv.Model.fit).parameters)[:2] == ["self", "dataset"]
    for made in (fv.Conv2d(8, 3), fv.BatchNorm2d(), fv.SGD(), fv.tasks.Regression(("a",))):
        assert copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made

    @called()
    def broken(size: int) -> int:
        return size + "1"  # type: ignore[operator]

    with pytest.raises(TypeError, match=r"^unsupported operand"):
        broken(1)


SWITCHES = [
    (kind, field.name)
    for kind in (*built_in_layers(), fv.SGD, fv.AdamW, Augmentation)
    for field in dataclasses.fields(kind)
    if field.type in (bool, "bool")
]


BESIDE: dict[type, dict[str, object]] = {
    fv.Upsample: {"scale": 2, "mode": "linear"},
    fv.Resize: {"scale": 2, "mode": "linear"},
    fv.Reduce: {"kind": "sum"},
}
"""What a call needs that its signature does not ask for."""


@pytest.mark.parametrize(("kind", "name"), SWITCHES, ids=lambda each: getattr(each, "__name__", each))
@pytest.mark.parametrize("value", ["no", 1, (True,), None], ids=repr)
def test_a_switch_is_on_or_off(kind: type, name: str, value: object):
    needed = [
        each.name for each in inspect.signature(kind).parameters.values()
        if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD
        and each.name not in BESIDE.get(kind, {})
    ]  # fmt: skip
    with pytest.raises(
        (fv.CallError, fv.DataError), match=rf"^{kind.__name__}: {name} is .*; it must be True or False$"
    ):
        kind(*[2] * len(needed), **BESIDE.get(kind, {}), **{name: value})


PAIR = np.array([3, 3])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fv.Conv2d(2, 3, padding=PAIR), "Conv2d: padding is an array of 2; give one value"),
        (lambda: fv.SGD(momentum=PAIR), "SGD: momentum is an array of 2; give one value"),
        (lambda: fv.Sequential(fv.ReLU()).build((3,), strict=PAIR), "strict is an array of 2; give one value"),
        (lambda: fv.ELU(Fraction(3)), r"ELU: alpha is Fraction\(3, 1\); it must be a number"),
        (lambda: fv.LPPool1d(Decimal(3), 2), r"LPPool1d: norm_type is Decimal\('3'\); it must be a number"),
        (lambda: fv.LocalResponseNorm(3, beta=np.True_), "LocalResponseNorm: beta is .*True.*; it must be a number"),
    ],
)
def test_one_number_is_wanted(call, sentence):
    with pytest.raises(fv.CallError, match=sentence):
        call()


@pytest.mark.parametrize("path", ["a" * 1000, "a\0b", "\ud800"], ids=["long", "NUL", "half a character"])
def test_a_path_that_no_file_can_have_is_refused(model, path):
    for use in (model.save, fv.load, model.load_torch, lambda path: model.fit(DATA, epochs=1, out=path)):
        with pytest.raises(fv.FileError, match=r"is too long for the name of a file|has a character that no file's"):
            use(path)


def test_a_page_for_a_folder_that_cannot_be_is_refused_before_anything_is_computed(model):
    told: list[object] = []
    with pytest.raises(fv.FileError, match="is too long for the name of a file"):
        explain.explain_model(model, IMAGES[0], "a" * 1000, progress=lambda *each: told.append(each))
    assert told == []


def test_a_model_is_not_saved_as_a_folder(model):
    with pytest.raises(fv.FileError, match='"/" is a folder; give a file in it'):
        model.save("/")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda model: model.predict(np.array(3.0)), "is a number, but an image is"),
        (lambda model: model.classify(np.array(3.0)), "is a number, but an image is"),
        (lambda model: GRAPH.node([]), r'there is no layer "\[\]"'),
        (lambda model: fv.BinaryCrossEntropy(pos_weight=object()), "pos_weight is <object .*; it must be a number"),
        (lambda model: fv.testing.check_gradients(fv.ReLU(), (3,), batch_size=-1), "batch_size is -1; give an int of"),
        (lambda model: fv.testing.check_gradients(fv.ReLU(), (3,), seed=-1), "seed is -1; give an int of at least 0"),
        (lambda model: fv.testing.check_gradients(fv.ReLU(), (3,), tolerance=()), r"tolerance is \(\); it must be a"),
        (lambda model: fv.testing.check_loss_gradient(fv.L1(), (3,), seed=1.0), "loss_gradient: seed is 1.0; give an"),
        (lambda model: fv.testing.check_loss_gradient(fv.L1(), (3,), tolerance=()), r"gradient: tolerance is \(\); it"),
        (lambda model: fv.engines.get_engine([]), r'no engine "\[\]"; choose "native", "torch" or "ref'),
        (lambda model: fv.BatchNorm2d(eps=2**64), "eps is an int of 65 bits; give one of at most 63, or a float"),
        (lambda model: fv.ELU(10**400), "alpha is an int of 1,329 bits; give one of at most 63, or a float"),
        (lambda model: fv.Preprocessing((1, 8, 8), (1e40,), (1.0,)), "is more than float32 holds"),
    ],
)
def test_values_of_another_kind_are_refused(model, call, sentence):
    with pytest.raises(fv.FoveateError, match=sentence):
        call(model)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="the system has no such file")
def test_a_file_that_opens_but_cannot_be_read_is_a_sentence(model):
    for use in (fv.load, model.load_torch, model.predict):
        with pytest.raises(fv.FoveateError, match="/proc/self/mem"):
            use("/proc/self/mem")
