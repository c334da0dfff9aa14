"""The step collect: what joins the dataset, where it came from, and how wrong the models were about it."""

import json

import dpdata
import numpy as np
import pytest

from dpgen2_hpc.collect.step import CollectStep
from dpgen2_hpc.data.dataset import write_labels
from dpgen2_hpc.data.frame import Frame
from dpgen2_hpc.data.labels import Labels
from dpgen2_hpc.state.files import write_lines
from dpgen2_hpc.state.workdir import Place, WorkDir

TYPES = ("Al", "Cu")


def label(symbols=("Al", "Cu"), seed=0, *, virial=True, periodic=True):
    rng = np.random.default_rng(seed)
    frame = Frame(tuple(symbols), rng.random((len(symbols), 3)) * 4, np.eye(3) * 4, periodic)
    forces = rng.normal(size=(len(symbols), 3))
    return Labels(frame, float(rng.normal()), forces, rng.normal(size=(3, 3)) if virial and periodic else None)


@pytest.fixture
def bench(tmp_path):
    """Return a function that collects labels, each with a prediction or None."""

    def collect(labels, predicted=None, *, mixed=False):
        place = Place(WorkDir(tmp_path), 0, 3, 0, 3)
        fp, select = place.folder("fp").path, place.folder("select").path
        rows = [
            {"key": f"k{n}", "digest": f"d{n}", "deviation_f": 0.1 * n, "deviation_v": None} for n in range(len(labels))
        ]
        for row, (system, index) in zip(rows, write_labels(fp / "labels", labels, TYPES), strict=True):
            row.update(system=system, index=index)
        said = [n for n, one in enumerate(predicted or []) if one is not None]
        if said:
            places = write_labels(select / "predicted", [predicted[n] for n in said], TYPES)
            for n, where in zip(said, places, strict=True):
                rows[n]["predicted"] = where
        fp.mkdir(parents=True, exist_ok=True)
        write_lines(fp / "labels.jsonl", rows)
        folder = place.folder("collect").path
        folder.mkdir()
        result = CollectStep(TYPES, mixed).harvest(place, [])
        manifest = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
        return folder / "data", result, manifest

    return collect


def shifted(labels, energy=0.0, force=0.0, virial=0.0):
    forces = labels.forces + np.array([force, 0.0, 0.0])
    return Labels(
        labels.frame, labels.energy + energy, forces, None if labels.virial is None else labels.virial + virial
    )


def test_dpdata_finds_each_label_where_the_manifest_says(bench):
    labels = [
        label(seed=1),
        label(("Cu", "Cu", "Al"), 2),
        label(seed=3, virial=False),
        label(("Al",), 4, periodic=False),
    ]
    data, result, manifest = bench(labels)
    assert (result.frames, result.systems) == (4, ["Al1-nopbc", "Al1Cu1", "Al1Cu1-novirial", "Al1Cu2"])
    for row, one in zip(manifest, labels, strict=True):
        assert (row["iteration"], row["key"][0], row["digest"][0]) == (3, "k", "d")
        system = dpdata.LabeledSystem(str(data / row["system"]), fmt="deepmd/npy")
        assert system["energies"][row["index"]] == one.energy
        assert ("virials" in system.data) == (one.virial is not None)


def test_the_error_of_each_frame_is_the_prediction_minus_the_label(bench):
    labels = [label(seed=1), label(("Cu", "Cu", "Al"), 2)]
    predicted = [shifted(labels[0], energy=0.4, force=0.3), shifted(labels[1], energy=-0.9, virial=-0.6)]
    _, result, manifest = bench(labels, predicted)
    assert [row["error_e"] for row in manifest] == pytest.approx([0.2, -0.3])
    assert [row["error_f"] for row in manifest] == pytest.approx([0.3, 0.0])
    assert [row["error_v"] for row in manifest] == pytest.approx([0.0, 0.2])
    assert "predicted" not in manifest[0]
    error = result.error
    assert error["frames"] == 2
    assert error["rmse_e"] == pytest.approx(np.sqrt((0.04 + 0.09) / 2))
    assert error["rmse_f"] == pytest.approx(np.sqrt(2 * 0.09 / 15))  # two of five atoms, a third of the components
    assert error["rmse_v"] == pytest.approx(np.sqrt(0.04 / 2))
    assert (error["error_f"], error["deviation_f"]) == pytest.approx((0.15, 0.05))


def test_a_frame_of_which_nothing_was_predicted_has_no_error(bench):
    labels = [label(seed=1), label(seed=2)]
    _, result, manifest = bench(labels, [None, shifted(labels[1], force=0.2)])
    assert ["error_f" in row for row in manifest] == [False, True]
    assert result.error["frames"] == 1
    assert result.error["deviation_f"] == pytest.approx(0.1)


def test_without_virials_their_error_is_unknown(bench):
    labels = [label(seed=1, virial=False)]
    _, result, manifest = bench(labels, [shifted(labels[0], energy=1.0)])
    assert (manifest[0]["error_v"], result.error["rmse_v"]) == (None, None)


def test_without_predictions_there_is_no_error(bench):
    _, result, manifest = bench([label()])
    assert result.error is None
    assert "error_f" not in manifest[0]


def test_errors_are_the_same_in_the_mixed_type(bench):
    labels = [label(seed=1), label(("Cu", "Al"), 2), label(("Al", "Al"), 3)]
    data, result, manifest = bench(labels, [shifted(one, force=0.1 * n) for n, one in enumerate(labels)], mixed=True)
    assert result.systems == ["mixed2"]
    assert [(row["system"], row["index"]) for row in manifest] == [("mixed2", n) for n in range(3)]
    assert [row["error_f"] for row in manifest] == pytest.approx([0.0, 0.1, 0.2])
    assert (data / "mixed2/set.000/real_atom_types.npy").exists()


def test_nothing_labelled_collects_nothing(bench):
    data, result, manifest = bench([])
    assert (result.frames, result.systems, result.error, manifest) == (0, [], None, [])
    assert list(data.iterdir()) == []
