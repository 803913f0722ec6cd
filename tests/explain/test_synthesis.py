"""Exciting images: gradients against PyTorch and differences, what is reached, and what each regularisation does."""

import numpy as np
import pytest
import torch

from foveate import (
    BatchNorm2d,
    Conv1d,
    Conv2d,
    Conv3d,
    Dataset,
    Flatten,
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalAvgPool3d,
    Linear,
    MaxPool2d,
    Model,
    Preprocessing,
    ReLU,
    Sequential,
    Softmax,
)
from foveate.errors import DataError, GraphError, ShapeError
from foveate.explain.draw.style import png, theme
from foveate.explain.measure.synthesis import Fourier
from foveate.explain.plots.synthesis import plot_exciting_images
from foveate.explain.probe import synthesis as module
from foveate.explain.probe.patches import exciting_patches
from foveate.explain.probe.probe import network_up_to
from foveate.explain.probe.synthesis import Ascent, Climb, exciting_image, exciting_images
from tests.support import relative_error

SHAPES = [(1, 7), (2, 8), (3, 6, 5), (1, 5, 6), (1, 4, 5, 6), (2, 3, 4, 5)]


def bars(count, seed=0):
    """Grey 12x12 images with a horizontal, a vertical or a diagonal bar somewhere, and noise."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    images = random.uniform(0, 60, (count, 1, 12, 12))
    for image, label in zip(images[:, 0], labels, strict=True):
        row, column, steps = *random.integers(2, 6, 2), np.arange(5)
        image[row + steps * (label != 0), column + steps * (label != 1)] += 180
    return Dataset(images.astype(np.uint8), labels, ("flat", "upright", "slanted"))


@pytest.fixture(scope="module")
def trained():
    layers = (Conv2d(8, 3, padding=1), BatchNorm2d(), ReLU(), MaxPool2d(2), Conv2d(12, 3, padding=1), ReLU())
    model = Model(Sequential(*layers, GlobalAvgPool2d(), Linear(3)).build((1, 12, 12)))
    data = bars(600)
    model.fit(data, epochs=8, batch_size=32, progress=False)
    assert model.evaluate(bars(200, seed=1)).accuracy > 0.9
    return model


def untrained(shape, *layers, **options):
    return Model(Sequential(*layers).build(shape, quiet=True), **options)


def coefficients_of(fourier, count, seed=0):
    random = np.random.default_rng(seed)
    real, imaginary = random.standard_normal((2, count, fourier.shape[0], *fourier.frequencies.shape))
    return real + 1j * imaginary


def high_frequency_share(images):
    """Of the energy around the mean, what lies above a quarter of a cycle per pixel."""
    spectrum = np.abs(np.fft.fft2(images - images.mean(axis=(-2, -1), keepdims=True))) ** 2
    axes = [np.fft.fftfreq(size) for size in images.shape[-2:]]
    high = np.hypot(*np.meshgrid(*axes, indexing="ij")) > 0.25
    return float(spectrum[..., high].sum() / spectrum.sum())


@pytest.mark.parametrize("decay", [0.0, 1.0, 1.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_fourier_images_and_gradients_equal_pytorch(shape, decay):
    fourier = Fourier(shape, decay)
    coefficients = coefficients_of(fourier, 2)
    tensor = torch.tensor(coefficients, requires_grad=True)
    axes = tuple(range(2, len(shape) + 1))
    images = torch.fft.irfftn(tensor * torch.tensor(fourier.scale), s=shape[1:], dim=axes, norm="ortho")
    seed = np.random.default_rng(1).standard_normal((2, *shape))
    (gradient,) = torch.autograd.grad(images, [tensor], torch.tensor(seed))
    assert relative_error(fourier.images(coefficients), images.detach().numpy()) < 1e-12
    assert relative_error(fourier.gradient(seed).view(np.float64), gradient.numpy().view(np.float64)) < 1e-12


@pytest.mark.parametrize("shape", [(2, 6), (1, 5, 6), (1, 3, 4, 5)])
def test_fourier_gradients_equal_differences(shape):
    fourier = Fourier(shape)
    coefficients, seed = coefficients_of(fourier, 1), np.random.default_rng(1).standard_normal((1, *shape))
    found = fourier.gradient(seed)
    for index in np.ndindex(coefficients.shape):
        for unit, part in ((1, found[index].real), (1j, found[index].imag)):
            ends = []
            for sign in (1, -1):
                moved = coefficients.copy()
                moved[index] += sign * unit
                ends.append((fourier.images(moved) * seed).sum())
            assert part == pytest.approx((ends[0] - ends[1]) / 2, abs=1e-9)


def test_scale_falls_as_one_over_the_frequency():
    fourier = Fourier((1, 16, 16))
    assert (fourier.scale**2).mean() == pytest.approx(1)
    assert fourier.scale[1, 0] == pytest.approx(4 * fourier.scale[4, 0])
    assert fourier.scale[0, 0] == pytest.approx(fourier.scale[0, 1])
    assert np.ptp(Fourier((1, 16, 16), decay=0).scale) == 0


def test_waves_longer_than_the_span_count_as_one_cycle_in_it():
    scale = Fourier((1, 32), span=8).scale
    assert np.ptp(scale[:5]) == 0
    assert scale[4] == pytest.approx(2 * scale[8])
    model = untrained((1, 40), Conv1d(4, 5, padding=2), ReLU(), Conv1d(4, 3, dilation=2))
    assert Climb(model, model.graph, np.array([0]), Ascent()).fourier.span == 9
    model = untrained((1, 6, 9), Conv2d(4, 7, padding=3), GlobalAvgPool2d(), Linear(2))
    assert Climb(model, model.graph, np.array([0]), Ascent()).fourier.span == 9


def test_blur_is_gaussian():
    fourier = Fourier((1, 33))
    point = np.zeros((1, 1, 33))
    point[..., 16] = 1
    coefficients = np.fft.rfft(point, norm="ortho") / fourier.scale
    blurred = fourier.images(fourier.blurred(coefficients, 2.0))[0, 0]
    bell = np.exp(-((np.arange(33) - 16) ** 2) / 8)
    np.testing.assert_allclose(blurred, bell / bell.sum(), atol=1e-6)


@pytest.mark.parametrize("objective", ["mean", "centre"])
def test_the_whole_gradient_equals_pytorch(objective):
    scale = Preprocessing((3, 9, 8), (0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
    model = untrained((3, 9, 8), Conv2d(4, 3, padding=1), ReLU(), Conv2d(5, 3, stride=2), preprocessing=scale)
    twin = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 5, 3, stride=2)
    ).double()
    with torch.no_grad():
        for place, name in ((0, "conv1"), (2, "conv2")):
            twin[place].weight.copy_(torch.tensor(model.read(f"{name}.weight")))
            twin[place].bias.copy_(torch.tensor(model.read(f"{name}.bias")))
    channels, shifts = np.array([1, 4]), [(2, -1), (-3, 0)]
    climb = Climb(model, model.graph, channels, Ascent(objective=objective))
    coefficients = coefficients_of(climb.fourier, 2)
    tensor = torch.tensor(coefficients, requires_grad=True)
    raw = torch.fft.irfftn(tensor * torch.tensor(climb.fourier.scale), s=(9, 8), dim=(2, 3), norm="ortho")
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (scale.mean, scale.std))
    inputs = (torch.sigmoid(raw) - mean) / std
    moved = torch.stack([torch.roll(image, shift, (1, 2)) for image, shift in zip(inputs, shifts, strict=True)])
    maps = twin(moved)[[0, 1], [1, 4]]
    wanted = maps.mean(dim=(1, 2)) if objective == "mean" else maps[:, maps.shape[1] // 2, maps.shape[2] // 2]
    (gradient,) = torch.autograd.grad(wanted.sum(), [tensor])
    values, _ = climb.activations(coefficients, shifts)
    assert relative_error(values, wanted.detach().numpy()) < 1e-5
    found = climb.slope(coefficients, shifts)
    assert relative_error(found.view(np.float64), gradient.numpy().view(np.float64)) < 1e-4


def test_adam_equals_pytorch():
    start = np.random.default_rng(0).standard_normal(6).view(np.complex128)
    gradients = np.random.default_rng(1).standard_normal((5, 6)).view(np.complex128)
    tensor = torch.tensor(start, requires_grad=True)
    optimizer = torch.optim.Adam([tensor], lr=0.1, maximize=True)
    first, second = np.zeros_like(start), np.zeros_like(start)
    for step, gradient in enumerate(gradients):
        tensor.grad = torch.tensor(gradient)
        optimizer.step()
        start = start + 0.1 * module.adam_step(first, second, gradient, step)
    np.testing.assert_allclose(start, tensor.detach().numpy(), atol=1e-6)


def test_logits_exceed_random_and_nearly_all_real_images(trained):
    found = exciting_images(trained)
    assert found.layer == "linear1"
    data = bars(400, seed=2)
    real = trained.logits(trained.preprocessing.apply(data.inputs))
    random = np.random.default_rng(0).uniform(0, 1, (400, 1, 12, 12)).astype(np.float32)
    noise = trained.logits(trained.preprocessing.apply(random))
    for channel, reached in zip(found.channels, found.activations, strict=True):
        assert reached > noise[:, channel].max()
        assert (reached > real[:, channel]).mean() > 0.98
    again = trained.logits(trained.preprocessing.apply(found.images))
    np.testing.assert_allclose(np.diag(again), found.activations, rtol=1e-4)
    assert (trained.predict(found.images).argmax(axis=1) == [0, 1, 2]).all()


def test_channels_exceed_nearly_all_real_patches(trained):
    found = exciting_images(trained, "conv2")
    ranked = exciting_patches(trained, bars(400, seed=2), "conv2", count=400).values
    assert (found.largest > ranked[:, 20]).mean() > 0.9  # one may stay on a lower hill
    assert (found.largest > ranked[:, 0]).mean() > 0.7
    assert (found.activations <= found.largest).all()
    assert (found.history[-1] > found.history[0]).all()


def test_mean_of_the_channel(trained):
    mean, centre = (exciting_images(trained, "conv2", [2, 5], objective=each) for each in ("mean", "centre"))
    inputs = trained.preprocessing.apply(mean.images)
    program = trained.engine.compile(trained.graph, batch_size=2, mode="inference", keep=("conv2",))
    program.forward(trained.state, inputs)
    expected = program.activation("conv2")[[0, 1], [2, 5]]
    np.testing.assert_allclose(mean.activations, expected.mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean.largest, expected.max(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    program.forward(trained.state, trained.preprocessing.apply(centre.images))
    np.testing.assert_allclose(centre.activations, program.activation("conv2")[[0, 1], [2, 5], 3, 3], rtol=1e-4)


def test_seeds_reproduce(trained):
    first, again, other = (exciting_images(trained, "conv1", [3, 1], steps=10, seed=seed) for seed in (0, 0, 1))
    for name in ("images", "history", "activations", "largest"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert np.abs(first.images - other.images).max() > 0.01


def test_an_image_does_not_depend_on_what_else_is_asked(trained):
    together = exciting_images(trained, "conv1", [3, 1, 6], steps=6)
    alone = exciting_image(trained, "conv1", 1, steps=6)
    in_parts = exciting_images(trained, "conv1", [3, 1, 6], steps=6, batch_size=2)
    np.testing.assert_allclose(together.images[1:2], alone.images, atol=1e-3)
    np.testing.assert_allclose(together.images, in_parts.images, atol=1e-3)
    assert in_parts.history.shape == (6, 3)


def test_what_is_not_needed_is_not_computed(trained):
    graph = network_up_to(trained.graph, "conv1")
    assert [node.name for node in graph.nodes] == ["conv1"]
    assert network_up_to(trained.graph, "linear1") is trained.graph


@pytest.mark.parametrize(
    ("weak", "strong"),
    [({"decay": 0.0}, {"decay": 1.0}), ({"decay": 1.0}, {"decay": 2.0}), ({"blur": 0.0}, {"blur": 0.6})],
    ids=["decay", "more decay", "blur"],
)
def test_decay_and_blur_take_energy_from_high_frequencies(trained, weak, strong):
    options = {"jitter": 0, "blur": 0.0}
    first, second = (exciting_images(trained, "conv2", **(options | each)).images for each in (weak, strong))
    assert high_frequency_share(second) < 0.8 * high_frequency_share(first)


def test_jitter_makes_images_that_survive_shifts(trained):
    kept = []
    for jitter in (0, 2):
        found = exciting_images(trained, "conv2", jitter=jitter, blur=0.0)
        inputs = trained.preprocessing.apply(found.images)
        program = trained.engine.compile(trained.graph, batch_size=len(inputs), mode="inference", keep=("conv2",))
        moved = []
        for shift in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            program.forward(trained.state, np.roll(inputs, shift, (2, 3)))
            moved.append(program.activation("conv2")[range(12), range(12), 3, 3])
        kept.append(np.mean(moved) / found.activations.mean())
    assert kept[1] > kept[0] + 0.1


@pytest.mark.parametrize(
    ("shape", "layer", "jitter"),
    [
        ((1, 30, 26), Conv2d(2, 3), 0),
        ((1, 30, 26), Conv2d(2, 25), 2),
        ((1, 130, 9), Conv2d(2, (121, 1)), 8),
        ((1, 200), Conv1d(2, 99), 0),
    ],
)
def test_jitter_suits_the_receptive_field(shape, layer, jitter):
    model = untrained(shape, layer)
    climb = Climb(model, model.graph, np.array([0]), Ascent())
    shifts = np.array([climb.shift(0, "name", step) for step in range(200)])
    assert np.abs(shifts).max(axis=0).tolist() == [jitter] * (len(shape) - 1)
    assert shifts.min() == -jitter
    assert Climb(model, model.graph, np.array([0]), Ascent(jitter=3)).jitter == 3


def test_a_small_field_learns_as_fast_as_a_whole_image():
    model = untrained((1, 24, 36), Conv2d(2, 6))
    rates = [
        Climb(model, model.graph, np.array([0]), Ascent(learning_rate=0.6, objective=objective)).learning_rate
        for objective in ("centre", "mean")
    ]
    assert rates == pytest.approx([0.6 * (36 / 864) ** 0.5, 0.6])


def test_the_usual_rate_leaves_grey_between_black_and_white(trained):
    """At 0.2, the same steps drive the pixels to both ends."""
    assert [Ascent(steps=steps).rate for steps in (256, 1000, 128, 64, 24)] == [0.05, 0.05, 0.1, 0.2, 0.2]
    usual, hasty = (exciting_images(trained, learning_rate=rate) for rate in (None, 0.2))
    assert len(usual.history) == 256
    at_ends = [float(((found.images < 0.02) | (found.images > 0.98)).mean()) for found in (usual, hasty)]
    assert at_ends[0] < 0.75 * at_ends[1], at_ends
    assert usual.activations.mean() > 0.7 * hasty.activations.mean()


def test_images_stay_displayable(trained):
    found = exciting_images(trained, learning_rate=3.0, steps=40)
    assert found.images.dtype == np.float32
    assert 0 <= found.images.min() < 0.05
    assert 0.95 < found.images.max() <= 1


def test_a_wave_stays_near_its_data():
    scale = Preprocessing((2, 30), (3.0, -1.0), (0.5, 2.0))
    model = untrained((2, 30), Conv1d(4, 5), ReLU(), GlobalAvgPool1d(), Linear(3), preprocessing=scale)
    images = exciting_images(model, learning_rate=3.0, steps=40).images
    for channel, (low, high) in enumerate(((1, 5), (-9, 7))):
        assert low <= images[:, channel].min()
        assert images[:, channel].max() <= high
        assert np.ptp(images[:, channel]) > 0.8 * (high - low)


NETWORKS = {
    "wave": lambda: untrained((1, 40), Conv1d(4, 5, padding=2), ReLU(), GlobalAvgPool1d(), Linear(3)),
    "colour": lambda: untrained((3, 10, 9), Conv2d(4, 3, padding=1), ReLU(), GlobalAvgPool2d(), Linear(3)),
    "volume": lambda: untrained((1, 6, 7, 8), Conv3d(4, 3, padding=1), ReLU(), GlobalAvgPool3d(), Linear(3)),
}


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("layer", [None, "conv1"])
def test_every_rank(kind, layer, engine):
    model = NETWORKS[kind]()
    model = Model(model.graph, engine=engine)
    found = exciting_images(model, layer, steps=30)
    assert found.images.shape == (4 if layer else 3, *model.graph.input_shape)
    assert (found.activations > found.history[0]).all()
    values = exciting_patches(model, 4 * found.images - 2, found.layer, count=len(found.images)).values
    assert (values[:, 0] >= found.largest - 1e-4).all()


def test_vectors_without_spatial_axes():
    model = untrained((6,), Linear(5), ReLU(), Linear(3))
    found = exciting_images(model, steps=30)
    assert found.images.shape == (3, 6)
    assert (found.activations > found.history[0]).all()
    assert len(plot_exciting_images(model, found).axes[0].lines) == 1


def test_the_softmax_is_left_out():
    model = untrained((1, 6, 6), Flatten(), Linear(3), Softmax(), classes=("a", "b", "c"))
    found = exciting_images(model, None, ["c", 0], steps=3)
    assert found.layer == "linear1"
    assert found.channels.tolist() == [2, 0]


def test_a_dead_channel_stays_where_it_is():
    model = untrained((1, 6, 6), Conv2d(2, 3), ReLU(), GlobalAvgPool2d(), Linear(2))
    model.state.load("conv1.bias", [-100.0, 0.0])
    found = exciting_images(model, "relu1", steps=5, objective="mean")
    assert np.isfinite(found.images).all()
    assert found.activations[0] == 0 < found.activations[1]


def test_progress_is_told(trained):
    told = []
    exciting_images(
        trained, "conv1", [0, 1, 2], steps=2, batch_size=2, progress=lambda done, of: told.append((done, of))
    )
    assert told == [(2, 6), (4, 6), (5, 6), (6, 6)]


def test_a_large_network_gets_fewer_at_once(trained, monkeypatch):
    monkeypatch.setattr(module, "fitting_batch", lambda graph, keep, memory, most: 1)
    told = []
    exciting_images(trained, "conv1", [0, 1], steps=1, progress=lambda done, of: told.append(done))
    assert told == [1, 2]


def test_refusals(trained):
    with pytest.raises(GraphError, match=r'no layer "conv9".*conv1'):
        exciting_images(trained, "conv9")
    with pytest.raises(DataError, match=r"conv1 .* has no channel 8: its 8 channels are numbered 0 to 7"):
        exciting_images(trained, "conv1", [0, 8])
    with pytest.raises(DataError, match='has no channel "flat"; give its number'):
        exciting_images(trained, "conv1", ["flat"])
    with pytest.raises(DataError, match=r'no unit for a class "flot".*flat'):
        exciting_images(trained, None, ["flot"])
    with pytest.raises(DataError, match="has no channel 3: its 3 channels"):
        exciting_images(trained, "linear1", [3])
    with pytest.raises(DataError, match=r"no channel was asked for; conv1 .* has 8"):
        exciting_images(trained, "conv1", [])
    with pytest.raises(ShapeError, match="but a class can be asked about only"):
        exciting_images(untrained((1, 6, 6), Conv2d(2, 3)))
    for name, value in (("steps", 0), ("jitter", -1), ("blur", -0.1), ("decay", -1), ("batch_size", 0)):
        with pytest.raises(DataError, match=f"{name} is {value}; it must be at least"):
            exciting_images(trained, "conv1", **{name: value})
    with pytest.raises(DataError, match="learning_rate is 0; it must be above 0"):
        exciting_images(trained, "conv1", learning_rate=0)
    with pytest.raises(DataError, match='objective is "middle"; choose "mean" or "centre"'):
        exciting_images(trained, "conv1", objective="middle")
    patches = exciting_patches(trained, bars(3), "conv2")
    with pytest.raises(DataError, match="the images excite conv1, but the patches excite conv2"):
        plot_exciting_images(trained, exciting_images(trained, "conv1", [0], steps=1), patches=patches)


@pytest.mark.parametrize("paper", ["light", "dark"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_pictures(kind, paper):
    model = NETWORKS[kind]()
    found = exciting_images(model, "conv1", [1, 3], steps=3)
    with theme(paper):
        figure = plot_exciting_images(model, found)
        assert png(figure)[:4] == b"\x89PNG"
    assert figure.axes[1].get_title() == f"channel 3\n{found.largest[1]:#.3g}"
    assert len(figure.axes[0].lines if kind == "wave" else figure.axes[0].images) == 1
    assert ("middle slice" in figure.get_supxlabel()) == (kind == "volume")


def test_pictures_show_what_the_middle_sees_or_all():
    model = NETWORKS["wave"]()
    for objective, ends in (("centre", (18, 22)), ("mean", (0, 39))):
        found = exciting_images(model, "conv1", [1], steps=3, objective=objective)
        line = plot_exciting_images(model, found).axes[0].lines[0]
        assert (line.get_xdata()[0], line.get_xdata()[-1]) == ends
        np.testing.assert_array_equal(line.get_ydata(), found.images[0, 0, ends[0] : ends[1] + 1])


def test_an_image_does_not_depend_on_those_made_with_it():
    model = untrained((1, 12, 12), Conv2d(3, 3, padding=1))
    weight = model.read("conv1.weight") * np.reshape([1e-6, 1e4, 1], (3, 1, 1, 1))
    model.state.load("conv1.weight", weight)
    alone, together = (exciting_images(model, "conv1", channels, steps=10) for channels in ([0], [0, 1, 2]))
    np.testing.assert_allclose(together.images[0], alone.images[0], atol=1e-5)


def test_jitter_is_told():
    wide, narrow = untrained((1, 40, 40), Conv2d(2, 25)), untrained((1, 12, 12), Conv2d(2, 3))
    wave = untrained((1, 40), Conv1d(2, 25))
    assert [exciting_images(model, "conv1", [0], steps=1).jitter for model in (wide, narrow, wave)] == [2, 0, 0]
    assert exciting_images(wave, "conv1", [0], steps=1, jitter=3).jitter == 3


def test_classes_are_named_before_a_softmax_too():
    layers = (Conv2d(4, 3), ReLU(), GlobalAvgPool2d(), Linear(2), Softmax())
    model = Model(Sequential(*layers).build((1, 8, 8)), classes=("cat", "dog"))
    for channels in (None, ["cat", "dog"]):
        found = exciting_images(model, "linear1", channels, steps=1)
        titles = [axes.get_title().split("\n")[0] for axes in plot_exciting_images(model, found).axes]
        assert titles == ["cat", "dog"]


def test_pictures_compare_with_data(trained):
    found = exciting_images(trained, steps=3)
    patches = exciting_patches(trained, bars(20), "linear1")
    title = plot_exciting_images(trained, found, patches=patches).axes[2].get_title()
    said = f"slanted\n{found.largest[2]:#.3g} (data: {patches.values[2, 0]:#.3g})"
    assert title == said.replace("-", "\N{MINUS SIGN}")
