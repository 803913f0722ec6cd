"""A model's frozen parameters: in training, in files, and in a training that goes on."""

import numpy as np
import pytest

import foveate as fv
from foveate import GraphError, Model, TrainingError


def arrays(model):
    return {name: model.read(name) for name in model.state.names()}


def test_what_is_frozen_keeps_its_bits(trained, data):
    before = arrays(trained)
    assert trained.freeze("conv1", "bn1") is trained
    trained.fit(data, epochs=2, batch_size=8, progress=False)
    after = arrays(trained)
    unchanged = {name for name in before if (before[name] == after[name]).all()}
    assert unchanged == trained.frozen == {n for n in before if n.startswith(("conv1", "bn1"))}


def test_what_is_unfrozen_learns_again(trained, data):
    trained.freeze("*.weight").unfreeze("conv1")
    assert trained.frozen == {"bn1.weight", "linear1.weight"}
    before = arrays(trained)
    trained.fit(data, epochs=1, batch_size=8, progress=False)
    assert (trained.read("conv1.weight") != before["conv1.weight"]).any()
    assert trained.unfreeze().frozen == frozenset()


def test_a_file_keeps_what_is_frozen(trained, tmp_path, data, engine):
    trained.freeze("conv1").save(tmp_path / "model")
    loaded = fv.load(tmp_path / "model", engine=engine)
    assert loaded.frozen == {"conv1.weight", "conv1.bias"}
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


def test_training_goes_on_with_the_same_frozen_to_the_same_bits(engine, graph, data, tmp_path):
    def fresh():
        return Model(graph, seed=3, engine=engine).freeze("conv1")

    whole, stopped = fresh(), fresh()
    whole.fit(data, epochs=2, batch_size=8, progress=False)
    stopped.fit(data, epochs=2, batch_size=8, out=tmp_path, progress=False)
    with pytest.raises(
        TrainingError, match=r"frozen parameters: conv1.bias, conv1.weight then, conv1.bias, .* linear1.weight now"
    ):
        fresh().freeze("linear1").fit(data, epochs=2, batch_size=8, out=tmp_path, progress=False, resume=True)
    resumed = fresh()
    resumed.fit(data, epochs=2, batch_size=8, out=tmp_path, progress=False, resume=True)
    for name, array in arrays(whole).items():
        np.testing.assert_array_equal(array, resumed.read(name))


def test_a_fused_model_keeps_what_is_still_there_frozen(trained):
    trained.freeze("conv1", "bn1", "linear1.bias")
    assert trained.fuse().frozen == {"conv1.weight", "conv1.bias", "linear1.bias"}


def test_a_name_that_is_not_there(trained):
    with pytest.raises(GraphError, match=r'no parameter is called "conv"\. Nearest: conv1'):
        trained.freeze("conv")
