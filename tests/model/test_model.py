"""A model as a person uses it: fit, evaluate, predict, save, load."""

import json

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate import DataError, EngineError, FileError, Model, Preprocessing, ShapeError, TrainingError
from foveate.engines.reference import ReferenceEngine
from foveate.files import ModelDescription
from foveate.training import History, Job, Programs, Progress, Recipe, RunFolder, fit
from tests.files.support import rewritten
from tests.model.conftest import blobs


def parameters(model):
    return {name: model.read(name) for name in model.state.names()}


def assert_same(model, other):
    for name, array in parameters(model).items():
        np.testing.assert_array_equal(array, other.read(name), err_msg=name)


def test_it_learns_and_says_what(trained):
    test = blobs(30, seed=1)
    assert trained.evaluate(test).accuracy > 0.9
    probabilities = trained.predict(test.inputs)
    assert probabilities.shape == (30, 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (probabilities.argmax(axis=1) == test.labels).mean() == trained.evaluate(test).accuracy


def test_classes_and_preprocessing_come_from_the_data(trained, data):
    assert trained.classes == trained.class_names == ("dark", "grey", "light")
    assert trained.preprocessing == Preprocessing.measure(data)


def test_fit_starts_from_the_models_own_parameters(trained, data):
    before = parameters(trained)
    trained.fit(data, epochs=1, schedule=fv.Constant(1e-30), progress=False)
    for name in trained.graph.parameters:
        np.testing.assert_array_equal(trained.read(name), before[name])


def test_fit_is_the_loop_on_a_new_state_of_the_models_seed(engine, data):
    graph = fv.Sequential(fv.Flatten(), fv.Linear(16), fv.ReLU(), fv.Dropout(0.5), fv.Linear(3)).build((1, 6, 6))
    model = Model(graph, seed=7, engine=engine)
    model.fit(data, epochs=2, batch_size=16, progress=False)
    recipe = Recipe(epochs=2, batch_size=16, seed=7)
    job = Job(
        state=engine.new_state(graph, recipe.optimizer, seed=7),
        programs=Programs(engine, graph),
        recipe=recipe,
        train=data,
        preprocessing=Preprocessing.measure(data),
        description=ModelDescription(graph),
    )
    fit(job, Progress())
    for name in graph.parameters:
        np.testing.assert_array_equal(model.read(name), job.state.read(name))


def test_given_preprocessing_is_kept(engine, graph, data):
    own = Preprocessing((1, 6, 6), (0.25,), (0.5,))
    model = Model(graph, preprocessing=own, engine=engine)
    model.fit(data, epochs=1, progress=False)
    assert model.preprocessing == own


def test_two_epochs_of_the_same_seed_give_the_same_bits(engine, graph, data):
    models = [Model(graph, seed=seed, engine=engine) for seed in (3, 3, 4)]
    for model in models:
        model.fit(data, epochs=2, batch_size=16, augmentation=fv.Augmentation(shift=1, flip=True), progress=False)
    assert_same(models[0], models[1])
    assert not np.array_equal(models[0].read("conv1.weight"), models[2].read("conv1.weight"))


def test_a_further_fit_shuffles_anew_and_after_loading_too(engine, graph, data, tmp_path):
    model, fresh = Model(graph, engine=engine), Model(graph, seed=1, engine=engine)
    model.fit(data, epochs=1, batch_size=8, progress=False)
    model.save(tmp_path / "model")
    loaded = fv.load(tmp_path / "model", engine=engine)
    for name in model.state.names():
        fresh.state.load(name, model.read(name))
    fresh.preprocessing = model.preprocessing
    for each in (model, loaded, fresh):
        each.fit(data, epochs=1, batch_size=8, progress=False)
    assert_same(model, loaded)
    assert_same(model, fresh)  # the second training of seed 0 is the first of seed 1


def test_save_and_load(trained, engine, tmp_path, data):
    trained.save(tmp_path / "model.safetensors")
    loaded = fv.load(tmp_path / "model.safetensors", engine=engine)
    assert_same(trained, loaded)
    assert loaded.graph == trained.graph
    assert (loaded.classes, loaded.preprocessing, loaded.seed) == (trained.classes, trained.preprocessing, 0)
    np.testing.assert_array_equal(loaded.predict(data.inputs[:5]), trained.predict(data.inputs[:5]))
    assert loaded.training["recipe"]["epochs"] == 8
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_files_go_from_one_engine_to_the_other(trained, tmp_path, data):
    trained.save(tmp_path / "model")
    probabilities = [fv.load(tmp_path / "model", engine=name).predict(data.inputs) for name in ("reference", "native")]
    np.testing.assert_allclose(*probabilities, atol=1e-5)


def test_a_file_whose_preprocessing_does_not_fit(trained, tmp_path, engine):
    trained.preprocessing = Preprocessing((1, 5, 5), (0.5,), (0.5,))
    trained.save(tmp_path / "model")
    with pytest.raises(FileError, match="model cannot be used: the preprocessing makes 1x5x5, but the network takes"):
        fv.load(tmp_path / "model", engine=engine)


def test_a_file_whose_preprocessing_is_damaged(trained, tmp_path, engine):
    trained.save(tmp_path / "model")
    rewritten(tmp_path / "model", lambda document: document["preprocessing"].update(meen=document.pop("mean", 1)))
    with pytest.raises(FileError, match="model cannot be used: its preprocessing is damaged"):
        fv.load(tmp_path / "model", engine=engine)


def test_out_has_model_history_curves_and_checkpoint(engine, graph, data, tmp_path):
    model = Model(graph, engine=engine)
    history = model.fit(data, validation=blobs(9, seed=1), epochs=2, out=tmp_path / "run", progress=False)
    folder = RunFolder(tmp_path / "run")
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "checkpoint-1.safetensors",
        "checkpoint.safetensors",
        "curves.png",
        "history.csv",
        "model.safetensors",
    ]
    assert_same(model, fv.load(folder.model, engine=engine))
    assert_same(model, fv.load(folder.checkpoint, engine=engine))
    assert History.from_csv(folder.history) == history
    with Image.open(folder.curves) as image:
        assert image.format == "PNG"


def test_resume_goes_on_to_the_same_bits(engine, graph, data, tmp_path):
    options = {"epochs": 2, "batch_size": 8, "out": tmp_path, "progress": False}
    whole = Model(graph, engine=engine)
    whole.fit(data, **options)
    again = Model(graph, seed=0, engine=engine)
    assert len(again.fit(data, resume=True, **options)) == 2
    assert_same(whole, again)


def test_resume_without_a_folder(engine, graph, data):
    with pytest.raises(TrainingError, match="resume=True needs out=, the folder that holds the checkpoint"):
        Model(graph, engine=engine).fit(data, resume=True)


@pytest.mark.parametrize("every", [0, -3])
def test_checkpoints_after_no_steps(engine, graph, data, every):
    with pytest.raises(TrainingError, match=f"^checkpoint_every is {every}; it must be an int of at least 1 step"):
        Model(graph, engine=engine).fit(data, checkpoint_every=every)


def test_divergence_leaves_the_model_and_its_files_as_they_were(trained, data, tmp_path):
    trained.fit(data, epochs=1, out=tmp_path, progress=False)
    before, files = parameters(trained), {path: path.read_bytes() for path in tmp_path.iterdir()}
    facts = trained.training
    with pytest.raises(TrainingError, match=r"became .*Try a learning rate of"):
        trained.fit(data, epochs=3, schedule=fv.Constant(1e20), out=tmp_path, overwrite=True, progress=False)
    for name, array in before.items():
        np.testing.assert_array_equal(trained.read(name), array)
    assert trained.training is facts
    assert (tmp_path / "model.safetensors").read_bytes() == files[tmp_path / "model.safetensors"]


def test_progress_is_shown_unless_silenced(engine, graph, data, capsys):
    Model(graph, engine=engine).fit(data, epochs=1)
    assert capsys.readouterr().out.startswith("epoch 1: loss ")
    Model(graph, engine=engine).fit(data, epochs=1, progress=False)
    assert capsys.readouterr().out == ""


def test_more_outputs_than_classes(engine, graph, data):
    with pytest.raises(DataError, match=r"3 outputs, but there are 2 class names \(a, b\); .*Linear\(2\)"):
        Model(graph, classes=("a", "b"), engine=engine)
    wide = fv.Sequential(fv.Flatten(), fv.Linear(7)).build((1, 6, 6))
    with pytest.raises(DataError, match=r"7 outputs, but there are 3 class names \(dark, grey, light\)"):
        Model(wide, engine=engine).fit(data)


def test_preprocessing_of_another_shape(engine, graph):
    with pytest.raises(DataError, match="the preprocessing makes 3x6x6, but the network takes 1x6x6"):
        Model(graph, preprocessing=Preprocessing((3, 6, 6), (0.5,) * 3, (0.5,) * 3), engine=engine)


def test_other_classes_or_shapes_of_data(trained, data):
    other = fv.Dataset(data.inputs, data.labels, ("x", "y", "z"))
    with pytest.raises(DataError, match="the model's classes are dark, grey, light, but the data's are x, y, z"):
        trained.evaluate(other)
    with pytest.raises(DataError, match="the model's classes are"):
        trained.fit(data, validation=other)
    with pytest.raises(DataError, match="a sample is 1x5x6, but the network takes 1x6x6"):
        trained.evaluate(fv.Dataset(data.inputs[:, :, 1:], data.labels, data.classes))


def test_a_fresh_model_says_what_it_lacks(engine, graph, data):
    model = Model(graph, engine=engine)
    with pytest.raises(DataError, match=r"no preprocessing yet; fit it, or make it with Model\(graph, preprocessing="):
        model.predict(data.inputs)
    with pytest.raises(DataError, match="no preprocessing yet"):
        model.evaluate(data)
    with pytest.raises(DataError, match=r"no class names yet; fit it, or make it with Model\(graph, classes="):
        model.classify(data.inputs)


def test_predict_takes_paths_images_and_arrays(trained, data, tmp_path):
    array = data.inputs[0]
    Image.fromarray(array[0]).save(tmp_path / "image.png")
    wanted = trained.predict(data.inputs[:1])
    for given in (tmp_path / "image.png", str(tmp_path / "image.png"), [Image.fromarray(array[0])], [array], array[0]):
        np.testing.assert_array_equal(trained.predict(given), wanted)


def test_classify_names_the_most_probable_class(trained, data):
    row = trained.predict(data.inputs[:2])
    names = [trained.class_names[index] for index in row.argmax(axis=1)]
    assert trained.classify(data.inputs[:2]) == list(zip(names, row.max(axis=1).tolist(), strict=True))


def test_a_nan_image(trained):
    image = np.full((1, 6, 6), 0.5, np.float32)
    image[0, 2, 3] = np.nan
    with pytest.raises(DataError, match="image 1 holds NaN or infinity; fix or remove it"):
        trained.predict([np.full((1, 6, 6), 0.5, np.float32), image])
    with pytest.raises(DataError, match="input 0 holds NaN or infinity; fix or remove it"):
        trained.logits(image[None])


def test_a_file_that_is_no_image(trained, tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(FileError, match=r"text\.png"):
        trained.predict(tmp_path / "text.png")


def test_logits_in_batches_of_any_size(trained, data):
    prepared = trained.preprocessing.apply(data.inputs)
    whole = trained.logits(prepared)
    assert whole.shape == (60, 3)
    np.testing.assert_allclose(trained.logits(prepared, batch_size=7), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "error", "match"),
    [
        ((2, 1, 6, 7), ShapeError, r"takes N x 1x6x6 \(batch first\), but the inputs are 2x1x6x7"),
        ((1, 6, 6), ShapeError, "but the inputs are 1x6x6"),
        ((), ShapeError, "but the inputs are one number"),
        ((0, 1, 6, 6), DataError, "there are no inputs; give at least one"),
    ],
)
def test_inputs_that_do_not_fit(engine, graph, shape, error, match):
    with pytest.raises(error, match=match):
        Model(graph, engine=engine).logits(np.zeros(shape, np.float32))


def test_an_output_that_is_no_row_of_numbers(engine):
    model = Model(
        fv.Sequential(fv.Conv2d(2, 3)).build((1, 6, 6)),
        preprocessing=Preprocessing((1, 6, 6), (0.5,), (0.5,)),
        engine=engine,
    )
    assert model.logits(np.zeros((1, 1, 6, 6))).shape == (1, 2, 4, 4)
    with pytest.raises(DataError, match=r"the model has no task yet; fit it, or make it with Model\(graph, task="):
        model.predict(np.zeros((1, 1, 6, 6), np.uint8))
    with pytest.raises(DataError, match="the network's output conv1 is 2x4x4, not one number for each class"):
        Model(model.graph, classes=("a", "b"), engine=engine)


def test_steps_say_what_runs(trained):
    inference, training = trained.steps(), trained.steps(8, "training")
    assert {step.phase for step in inference} == {"forward"}
    assert {step.phase for step in training} >= {"forward", "backward"}
    assert all(str(step) for step in training)
    assert trained.program(4).batch_size == 4
    with pytest.raises(EngineError, match=r'mode is "testing"; it must be "inference" or "training"'):
        trained.program(1, "testing")


def test_summary_and_read(trained):
    assert "conv1" in str(trained.summary())
    assert trained.read("conv1.weight").shape == (4, 1, 3, 3)
    with pytest.raises(EngineError, match=r'there is no array "conv.weight"\. Nearest: conv1\.weight'):
        trained.read("conv.weight")


def test_a_name_of_no_engine(graph):
    with pytest.raises(EngineError, match='there is no engine "cuda"'):
        Model(graph, engine="cuda")


def test_an_engine_in_float64(graph, data, tmp_path):
    model = Model(graph, engine=ReferenceEngine(np.float64))
    model.fit(data, epochs=1, out=tmp_path, progress=False)
    assert model.read("conv1.weight").dtype == np.float64
    assert_same(model, fv.load(tmp_path / "model.safetensors", engine=ReferenceEngine(np.float64)))


def test_files_hold_data_only(trained, tmp_path):
    trained.save(tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert set(header["__metadata__"]) == {"foveate"}
    assert b"pickle" not in content
