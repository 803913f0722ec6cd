"""PyTorch's modules become models with the same outputs, gradients, names and frozenness; the rest is listed."""

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import foveate as fv
from foveate.errors import CallError, GraphError
from tests.engines.cases import ALL_CASES
from tests.interop.networks import NETWORKS, PatchStem, made
from tests.support import relative_error
from tests.zoo.torch_twins import TWINS

every_network = pytest.mark.parametrize("name", NETWORKS)


def example(name: str, batch: int = 3) -> Tensor:
    return torch.randn(batch, *NETWORKS[name][1], generator=torch.Generator().manual_seed(1))


def outputs(module: nn.Module, x: Tensor) -> list[Tensor]:
    found = module(x)
    return list(found) if isinstance(found, tuple) else [found]


@every_network
def test_outputs_and_gradients_are_the_modules(name: str):
    module, x = made(name).eval(), example(name)
    model = fv.from_torch(module, x[:1])
    x.requires_grad_(True)
    theirs = outputs(module, x)
    seeds = [torch.randn(each.shape, generator=torch.Generator().manual_seed(2)) for each in theirs]
    parameters = dict(module.named_parameters())
    wanted = torch.autograd.grad(theirs, [x, *parameters.values()], seeds)

    program = model.engine.compile(model.graph, batch_size=len(x), mode="inference", differentiable=True)
    found = program.forward(model.state, {next(iter(model.graph.inputs)): x.detach().numpy()})
    for key, their in zip(model.graph.outputs, theirs, strict=True):
        assert relative_error(found[key], their.detach()) <= 1e-5
    program.backward(dict(zip(model.graph.outputs, (seed.numpy() for seed in seeds), strict=True)))
    assert relative_error(program.gradient(next(iter(model.graph.inputs))), wanted[0]) <= 1e-4
    gradients = {model.names[key]: program.gradient(key) for key in model.graph.parameters}
    assert gradients.keys() == parameters.keys()
    for key, gradient in zip(parameters, wanted[1:], strict=True):
        assert relative_error(gradients[key], gradient) <= 1e-4, key


@every_network
def test_parameters_and_statistics_keep_their_names(name: str):
    module = made(name)
    model = fv.from_torch(module, example(name))
    state = {key: value for key, value in module.state_dict().items() if "num_batches" not in key}
    assert set(model.names.values()) == set(state)
    assert {*model.graph.parameters, *model.graph.statistics} == set(state)
    assert all(np.array_equal(model.read(key), value.numpy()) for key, value in state.items())


@every_network
def test_the_module_stays_as_it_was(name: str):
    module = made(name).train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    fv.from_torch(module, example(name))
    assert all(each.training for each in module.modules())
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize("name", TWINS)
def test_torchvisions_networks_come_in_with_one_layer_for_each_of_theirs(name: str):
    module = TWINS[name](5).eval()
    x = torch.randn(1, 3, 64, 64)
    model = fv.from_torch(module, x)
    zoo = fv.zoo.make(name, input_shape=(3, 64, 64), classes=5)
    kinds = [type(node.layer).__name__ for node in model.graph.nodes]
    assert sorted(kinds) == sorted(type(n.layer).__name__ for n in zoo.nodes if not isinstance(n.layer, fv.Dropout))
    assert relative_error(model.logits(x.numpy()), module(x).detach()) <= 1e-5


@pytest.mark.parametrize("name", ["lenet5", "vgg6", "resnet20", "mobilenet_like", "nin", "audio4", "volume3d"])
def test_out_to_pytorch_and_back_is_the_same_network(name: str):
    model = fv.Model(fv.zoo.make(name), classes=tuple(map(str, range(fv.zoo.NETWORKS[name].classes))))
    there_and_back(model.freeze(f"{model.graph.nodes[0].name}.*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", fv.zoo.NETWORKS)
def test_every_network_of_the_zoo_is_the_same_when_it_is_back(name: str):
    there_and_back(fv.Model(fv.zoo.make(name)))


def there_and_back(model: fv.Model) -> None:
    """Out, through a pickle where that takes little memory, and back; and its state_dict alone into another model."""
    x = np.random.default_rng(0).standard_normal((1, *model.graph.input_shape)).astype(np.float32)
    if any(isinstance(node.layer, fv.Log) for node in model.graph.nodes):
        x = np.abs(x)
    module = model.to_torch()
    if sum(parameter.numel() for parameter in module.parameters()) < 1e8:
        module = pickle.loads(pickle.dumps(module))
    back = fv.from_torch(module, torch.tensor(x))
    if model.state.names():
        other = fv.Model(model.graph, seed=model.seed + 1).load_torch(module.state_dict())
        assert all(np.array_equal(other.read(name), model.read(name)) for name in model.state.names())
        del other
    assert [(n.layer.describe(), n.windows, n.output_shape) for n in back.graph.nodes] == [
        (n.layer.describe(), n.windows, n.output_shape) for n in model.graph.nodes
    ]
    ours = model.outputs(x)
    for (name, theirs), key in zip(back.outputs(x).items(), ours, strict=True):
        assert relative_error(theirs, ours[key]) <= 1e-5, name
    assert (back.task, back.preprocessing) == (model.task, model.preprocessing)
    assert {back.names[key] for key in back.frozen} == set(model.frozen)


@pytest.mark.parametrize(
    "task", [fv.tasks.MultiLabel(("a", "b")), fv.tasks.Regression(("x", "y")), fv.tasks.Classification(("a", "b"))]
)
def test_every_task_comes_back(task: fv.tasks.Task):
    graph = fv.Sequential(fv.Conv2d(3, 3), fv.GlobalAvgPool2d(), fv.Linear(2)).build((1, 5, 5))
    there_and_back(fv.Model(graph, task=task))


ELEMENTWISE = {
    case.layer: case.shapes[0]
    for case in ALL_CASES.values()
    if isinstance(case.layer, fv.ElementwiseLayer | fv.Maxout) and len(case.shapes) == 1
}


def told_by_numbers(layer: fv.Layer) -> bool:
    """Whether it comes back as one layer, with its axes counted from the first, in order."""
    if isinstance(layer, fv.PReLU) and layer.axes is not None:
        return False
    axes = getattr(layer, "axes", ())
    return axes is not None and list(axes) == sorted(axes) and all(axis >= 0 for axis in axes)


@pytest.mark.parametrize("layer", list(filter(told_by_numbers, ELEMENTWISE)), ids=str)
def test_every_elementwise_layer_comes_back(layer: fv.Layer):
    there_and_back(fv.Model(fv.Sequential(layer).build(ELEMENTWISE[layer]), engine="reference"))


@pytest.mark.parametrize("shape", [(6, 7), (6, 5, 4), (6, 3, 4, 2)])
@pytest.mark.parametrize("size", [1, 4, 5])
def test_a_local_response_norm_comes_back_with_its_numbers(size: int, shape: tuple[int, ...]):
    layer = fv.LocalResponseNorm(size, alpha=0.3, beta=0.6, k=2.5)
    there_and_back(fv.Model(fv.Sequential(layer).build(shape)))


def divided(x: Tensor, amounts: tuple[int, int], k: float) -> Tensor:
    """Local response normalisation with other neighbours, or with something below zero."""
    squares = F.pad((x * x)[:, None], (0, 0, 0, 0, *amounts))
    return x / torch.pow(F.avg_pool3d(squares, (3, 1, 1), 1)[:, 0] * 0.1 + k, 2)


@pytest.mark.parametrize(
    "code",
    [
        lambda x: x / torch.pow(F.avg_pool2d(F.pad(x * x, (1, 1, 1, 1)), 3, 1) * 0.1 + 1.0, 0.75),
        lambda x: divided(x, (2, 0), 1.0),
        lambda x: divided(x, (1, 1), -1.0),
    ],
    ids=["over positions", "to one side", "minus"],
)
def test_other_divisions_are_not_taken_for_a_local_response_norm(code):
    model = fv.from_torch(function(code), torch.randn(1, 4, 5, 5))
    assert not any(isinstance(node.layer, fv.LocalResponseNorm) for node in model.graph.nodes)


TASKS = {
    "lenet5": fv.tasks.MultiLabel(("left", "right")),
    "resnet20": fv.tasks.Regression(("angle", "size")),
    "mobilenet_like": fv.tasks.MultiLabel(("cat", "dog")),
    "audio4": fv.tasks.Regression(("pitch", "level")),
    "volume3d": fv.tasks.Classification(("a", "b")),
}


@pytest.mark.parametrize("name", TASKS)
def test_networks_of_the_zoo_come_back_with_tasks_of_their_own(name: str):
    there_and_back(fv.Model(fv.zoo.make(name, classes=2), task=TASKS[name]))


def test_several_outputs_come_back_with_a_task_for_each():
    builder = fv.GraphBuilder()
    body = builder.add(fv.Conv2d(4, 3, padding=1), builder.input((1, 6, 6)))
    maps = builder.add(fv.Conv2d(2, 1), body, name="maps")
    kind = builder.add(fv.Linear(3), builder.add(fv.GlobalAvgPool2d(), body), name="kind")
    tasks = {"maps": fv.tasks.Segmentation(("in", "out")), "kind": (fv.tasks.Classification(("a", "b", "c")), 0.5)}
    there_and_back(fv.Model(builder.build(maps, kind), task=fv.tasks.Several(tasks)))


def test_a_segmentation_comes_back():
    graph = fv.Sequential(fv.Conv2d(4, 3, padding=1), fv.Upsample(2, mode="linear"), fv.Conv2d(2, 1)).build((1, 5, 5))
    there_and_back(fv.Model(graph, task=fv.tasks.Segmentation(("a", "b"))))


def test_aligned_corners_come_in_and_go_out_by_the_size_they_make():
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Upsample(scale_factor=1.7, mode="bilinear", align_corners=True), nn.Conv2d(2, 2, 1)
    )
    x = torch.randn(2, 1, 7, 8)
    model = fv.from_torch(module, x)
    assert relative_error(model.logits(x.numpy()), module(x).detach()) <= 1e-5
    there_and_back(model)


def test_what_does_not_learn_there_is_frozen_here():
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    )
    for parameter in (*module[0].parameters(), *module[1].parameters(), module[2].bias):
        parameter.requires_grad_(False)
    module[4].eval()
    model = fv.from_torch(module, torch.randn(2, 1, 5, 5))
    statistics = {f"{n}.running_{kind}" for n in (1, 4) for kind in ("mean", "var")}
    assert model.frozen == {"0.weight", "0.bias", "1.weight", "1.bias", "2.bias"} | statistics


@pytest.mark.parametrize(
    "frozen",
    [("bn1.*",), ("bn1.running_mean", "bn1.running_var"), ("bn1.weight", "bn1.bias"), ("bn1.weight",), ("bn2.*",), ()],
    ids=str,
)
@pytest.mark.parametrize("training", [True, False])
def test_what_is_frozen_is_when_it_is_back(frozen: tuple[str, ...], training: bool):
    net = fv.Sequential(fv.Conv2d(3, 1), fv.BatchNorm2d(), fv.Conv2d(2, 1), fv.BatchNorm2d(affine=False))
    model = fv.Model(net.build((2, 4, 4))).freeze(*frozen) if frozen else fv.Model(net.build((2, 4, 4)))
    back = fv.from_torch(model.to_torch().train(training), torch.randn(1, 2, 4, 4))
    assert back.frozen == model.frozen


def test_layers_that_are_frozen_themselves_are_when_they_are_back():
    net = fv.Sequential(fv.Conv2d(3, 1, frozen=True), fv.BatchNorm2d(frozen=True), fv.BatchNorm2d())
    model = fv.Model(net.build((2, 4, 4)))
    back = fv.from_torch(model.to_torch(), torch.randn(1, 2, 4, 4))
    assert back.frozen == {f"conv1.{name}" for name in ("weight", "bias")} | {
        f"bn1.{name}" for name in ("weight", "bias", "running_mean", "running_var")
    }


class Unknown(nn.Module):
    """Three things that no layer computes, and one that comes after them."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Hardshrink())
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.block(torch.cumsum(x, 2)).mean((1, 2)))


def test_all_that_cannot_come_in_is_listed_at_once_with_its_place():
    with pytest.raises(GraphError) as caught:
        fv.from_torch(Unknown(), torch.randn(1, 1, 6, 6))
    assert str(caught.value).splitlines() == [
        "Unknown has 2 operations that no layer in foveate computes:",
        "  the module itself: cumsum",
        "  block.1: hardshrink",
        "Replace them in the module, or give from_torch the part before them",
    ]


def test_a_vision_transformer_is_refused_after_its_stem():
    with pytest.raises(
        GraphError,
        match=r"^PatchStem has an operation that .*:\n  attention: transpose, because it moves the batch axis",
    ):
        fv.from_torch(PatchStem(), torch.randn(1, 3, 16, 16))
    assert fv.from_torch(PatchStem().patches, torch.randn(1, 3, 16, 16)).graph.output_shape == (8, 4, 4)


def function(code):
    class Functional(nn.Module):
        def forward(self, *inputs: Tensor) -> Tensor:
            return code(*inputs)

    return Functional()


def _in_place(x: Tensor) -> Tensor:
    whole = torch.tanh(x)
    half = whole[:, :, :3]
    whole.sigmoid_()
    return torch.cat([half, half], 1)


REFUSED = {
    "its bounds are tensors": lambda x: torch.clamp(x, max=F.relu(x)),
    "its exponent is a tensor": lambda x: x ** F.relu(x),
    "it is an ELU with a scale": lambda x: torch.ops.aten.elu(x, 1.0, 2.0),
    "its threshold is 5, not 20": lambda x: F.softplus(x, threshold=5),
    "it is over the batch": lambda x: torch.softmax(x, 0),
    "it rounds its quotients": lambda x: torch.div(x, F.relu(x), rounding_mode="floor"),
    "its weight depends on the input": lambda x: F.conv2d(x, x),
    "it computes with numbers that do not depend on the input": lambda x: torch.cat([x, torch.ones(2, 1, 6, 6)], 1),
    "it normalises by the batch's statistics in inference too": lambda x: F.batch_norm(x, None, None, training=True),
    "its second term has the factor 3": lambda x: torch.add(x, F.relu(x), alpha=3),
    "it joins batches": lambda x: torch.cat([x, x], 0),
    "it changes the batch axis": lambda x: F.relu(x).reshape(4, -1),
    "it moves the batch axis": lambda x: F.relu(x.permute(1, 0, 2, 3)),
    "it turns the batch round": lambda x: F.relu(x.flip(0)),
    "it takes one sample of the batch": lambda x: F.relu(x[1]),
    "because it takes a part of the batch": lambda x: F.relu(x.narrow(0, 0, 1)),
    "it repeats an axis that is not spatial, which is supported only directly before":
        lambda x: F.relu(x[:, :1].expand(-1, 4, -1, -1)),
    "it takes the batch apart": lambda x: F.relu(x.chunk(2, 0)[0]),
    "it takes a part of the batch": lambda x: F.relu(x[1:]),
    "the places of its maxima are used": lambda x: F.max_pool2d(x, 2, return_indices=True)[1] * 1.0,
    "it divides by 3": lambda x: F.avg_pool2d(x, 2, divisor_override=3),
    "mean, because it is over the batch": lambda x: F.relu(x.mean()),
    "max, because it is over the batch": lambda x: x * x.max(),
    "it reduces each sample to a scalar; use keepdim=True": lambda x: x.sum((1, 2, 3)),
    "it is a norm of order 3, not 1 or 2": lambda x: torch.linalg.vector_norm(x, 3, 1),
    "it is over 1 numbers, of which there is no deviation": lambda x: x[:, :1].std(1),
    "it adds a product of tensors": lambda x: torch.addcmul(x, x, F.relu(x)),
    "it puts 2.0 where there is less than 1.0": lambda x: F.threshold(x, 1.0, 2.0),
    "it moves samples of the batch": lambda x: torch.roll(x, 1, 0),
    "stack, because it joins batches": lambda x: torch.stack([x, x]).sum(1),
    "the two arrays differ along different axes": lambda x: torch.addcmul(torch.ones(4, 1, 1), x, torch.ones(6)),
    "it turns torch.float32 into torch.float64": lambda x: x.double() + 1,
    "one of its inputs is the constant inf": lambda x: x * float("inf"),
    "in place too, which is read afterwards": _in_place,
    "it normalises by running statistics of each channel":
        nn.InstanceNorm2d(4, track_running_stats=True),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:std\\(\\)")
@pytest.mark.parametrize("reason", REFUSED)
def test_what_a_layer_does_otherwise_is_refused_with_the_reason(reason: str):
    code = REFUSED[reason]
    module = code if isinstance(code, nn.Module) else function(code)
    with pytest.raises(GraphError) as caught:
        fv.from_torch(module, torch.randn(2, 4, 6, 6))
    assert reason in str(caught.value)


MOVED: dict[str, Callable[[Tensor], Tensor]] = {
    "last to first": lambda x: x.permute(0, 3, 1, 2).flatten(1),
    "as Keras flattens": lambda x: x.permute(0, 2, 3, 1).contiguous().view(x.shape[0], -1),
    "two exchanged": lambda x: x.transpose(-1, 1).reshape(x.shape[0], -1),
    "moved twice": lambda x: x.transpose(1, 2).permute(0, 1, 3, 2).flatten(1),
    "moved and back": lambda x: x.permute(0, 2, 3, 1).permute(0, 3, 1, 2).flatten(1),
    "with activations between": lambda x: torch.tanh(F.silu(x.permute(0, 2, 3, 1)).flatten(1)),
}


@pytest.mark.parametrize("name", MOVED)
def test_a_linear_takes_a_tensor_whose_axes_were_moved_before_it_was_flattened(name: str):
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 4, 2)
            self.linear = nn.Linear(4 * 4 * 3, 5)

        def forward(self, x: Tensor) -> Tensor:
            plain = self.linear(self.conv(x).flatten(1))  # the same weights, whose columns are others
            return self.linear(MOVED[name](self.conv(x))) + plain

    module, x = Head().eval(), torch.randn(3, 2, 5, 4)
    model = fv.from_torch(module, x)
    with torch.no_grad():
        assert relative_error(model.logits(x.numpy()), module(x).numpy()) <= 1e-5
    copy = fv.Model(model.graph)
    copy.load_torch(model.to_torch().state_dict())
    assert relative_error(copy.logits(x.numpy()), model.logits(x.numpy())) <= 1e-6


def test_an_array_without_a_layer_is_named():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gamma = nn.Parameter(torch.ones(4, 3, 3))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.gamma

    with pytest.raises(GraphError, match="with the array gamma of 4x3x3, which repeats the tensor's own 4x1x1"):
        fv.from_torch(Scaled(), torch.randn(1, 4, 1, 1))


def test_operations_in_place_change_what_is_read_later():
    def code(x: Tensor) -> Tensor:
        y = torch.tanh(x)
        z = y.contiguous()
        y.sigmoid_()
        return torch.cat([z, y, F.relu_(y)], 1)

    x = torch.randn(2, 4, 3, 3)
    model = fv.from_torch(function(code), x)
    assert relative_error(model.logits(x.numpy()), code(x)) <= 1e-6


def test_several_inputs_and_outputs_come_in_order():
    def code(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return F.relu(x) * y[:, :, None, None], torch.sigmoid(y)

    x, y = torch.randn(2, 4, 3, 3), torch.randn(2, 4)
    model = fv.from_torch(function(code), (x, y))
    found = model.outputs({name: value.numpy() for name, value in zip(model.graph.inputs, (x, y), strict=True)})
    assert all(relative_error(a, b) <= 1e-6 for a, b in zip(found.values(), code(x, y), strict=True))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (lambda x: x, r"^the module returns its input x unchanged; let it compute something$|returns its input"),
        (lambda x: (y := F.relu(x), y), r"^the module returns one tensor twice; return each once$"),
        (lambda x: x if x.sum() > 0 else -x, r"^PyTorch cannot export Functional: "),
    ],
)
def test_modules_that_are_no_networks_are_refused(code, message: str):
    with pytest.raises(GraphError, match=message):
        fv.from_torch(function(code), torch.randn(1, 4, 3, 3))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (torch.zeros(2, 3, dtype=torch.int64), "a tensor of torch.int64 with 2 axes"),
        (torch.zeros(3), "a tensor of torch.float32 with 1 axes"),
        ((3, 32, 32), "an int"),
        (None, "None"),
        ([torch.zeros(2, 3)], "a list"),
        (torch.zeros(2, 3, device="meta"), r"a tensor of torch\.float32 with 2 axes \(torch\.strided, on meta\)"),
        (torch.eye(3).to_sparse(), r"a tensor of torch\.float32 with 2 axes \(torch\.sparse_coo, on cpu\)"),
    ],
)
def test_an_example_of_another_kind_is_refused(given, words: str):
    with pytest.raises(
        GraphError,
        match="^example_input must be a tensor of floating-point numbers, batch first, or a tuple of them; it has "
        rf"{words}$",
    ):
        fv.from_torch(nn.ReLU(), given)


@pytest.mark.parametrize(
    ("module", "what"),
    [("resnet18", "a str"), (nn.ReLU, "the class ReLU"), (None, "a NoneType"), (lambda x: x, "a function")],
)
def test_what_is_no_module_is_told(module, what: str):
    with pytest.raises(
        CallError, match=rf"^module is {what}; give a module of PyTorch, an instance of torch\.nn\.Module$"
    ):
        fv.from_torch(module, torch.zeros(1, 3, 8, 8))


def test_a_call_without_an_example_is_told():
    with pytest.raises(CallError, match=r"^from_torch: example_input is missing$"):
        fv.from_torch(nn.ReLU())  # type: ignore[call-arg]


def test_a_module_without_numbers_is_told():
    with torch.device("meta"):
        module = nn.Sequential(nn.Conv2d(1, 2, 3))
    with pytest.raises(
        GraphError, match=r"^the module's 0\.weight is on the device meta, without numbers; load its weights first$"
    ):
        fv.from_torch(module, torch.zeros(1, 1, 5, 5))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (lambda x: (F.relu(x), None), "returns None"),
        (lambda x: (F.relu(x), 3), "returns an int"),
        (lambda x: None, "returns None"),
        (lambda x: {}, "returns nothing"),
        (lambda x: F.relu(x).argmax(1), r"returns a tensor of torch\.int64 with 3 axes"),
    ],
)
def test_outputs_that_are_no_tensors_of_numbers_are_told(code, words: str):
    with pytest.raises(GraphError, match=rf"^Functional {words}; let it return a tensor"):
        fv.from_torch(function(code), torch.randn(1, 4, 3, 3))


def test_an_output_of_another_shape_is_made_by_a_layer():
    x = torch.randn(2, 4, 3, 3)
    for code in (lambda x: F.relu(x).flatten(2), lambda x: F.relu(x).flatten(2)[:, :, None]):
        model = fv.from_torch(function(code), x)
        assert np.array_equal(next(iter(model.outputs(x.numpy()).values())), code(x).numpy())


def test_an_output_that_is_an_array_is_told():
    class Returning(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gamma = nn.Parameter(torch.ones(1, 4))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return F.relu(x), self.gamma * 2

    with pytest.raises(GraphError, match=r"^the module's result cannot be used: it computes with numbers that do not"):
        fv.from_torch(Returning(), torch.randn(1, 4, 3, 3))


@pytest.mark.parametrize(
    "wrap", [lambda a, b: {"out": a, "aux": b}, lambda a, b: [a, (b,)], lambda a, b: {"aux": [b], "out": a}]
)
def test_outputs_in_a_dictionary_or_list_come_in_its_order(wrap):
    def code(x: Tensor) -> object:
        return wrap(F.relu(x), torch.tanh(x))

    x = torch.randn(2, 4, 3, 3)
    found = fv.from_torch(function(code), x).outputs(x.numpy())
    wanted = tree_leaves(code(x))
    assert all(relative_error(a, b) <= 1e-6 for a, b in zip(found.values(), wanted, strict=True))


PADDED = {
    "zeros and same": (lambda x, w: F.conv2d(F.pad(x, (1, 2, 0, 3)), w, padding="same"), (2, 4, 3, 3)),
    "zeros and same, even": (lambda x, w: F.conv2d(F.pad(x, (1, 0, 2, 0)), w, padding="same"), (2, 4, 2, 4)),
    "zeros and same, dilated": (
        lambda x, w: F.conv2d(F.pad(x, (2, 2)), w, padding="same", dilation=(2, 1)), (2, 4, 3, 2)
    ),
    "zeros and numbers": (lambda x, w: F.conv2d(F.pad(x, (1, 2, 0, 3)), w, padding=(2, 1), stride=2), (2, 4, 3, 3)),
    "zeros and valid": (lambda x, w: F.conv2d(F.pad(x, (1, 2, 0, 3)), w, padding="valid"), (2, 4, 3, 3)),
    "cropped and same": (lambda x, w: F.conv2d(F.pad(x, (-1, 2, 0, 0)), w, padding="same"), (2, 4, 3, 3)),
    "reflected": (lambda x, w: F.conv2d(F.pad(x, (1, 2, 0, 3), "reflect"), w), (2, 4, 3, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", PADDED)
def test_padding_before_a_convolution_adds_to_its_own(name: str):
    code, shape = PADDED[name]

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(*shape))

        def forward(self, x: Tensor) -> Tensor:
            return code(x, self.weight)

    module, x = Padded(), torch.randn(2, 4, 7, 6)
    model = fv.from_torch(module, x)
    assert relative_error(model.logits(x.numpy()), module(x).detach()) <= 1e-5


def test_a_model_that_came_out_otherwise_would_be_noticed(monkeypatch):
    from foveate.interop.pytorch.rules import RULES

    monkeypatch.setitem(RULES, "sigmoid", RULES["tanh"])
    with pytest.raises(GraphError, match=r"^the model's \w+ is not the module's on the example"):
        fv.from_torch(nn.Sequential(nn.Sigmoid()), torch.randn(1, 4))
