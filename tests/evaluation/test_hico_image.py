"""HICO's measure of whole images: the release's numbers, its files, scores and models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.io import savemat

from relforge.data.hico_images import read_hico_images
from relforge.evaluation.hico_image import class_order, image_average_precision
from relforge.evaluation.image_scores import write_image_scores
from relforge.stages.hico_lists import read_lists
from relforge.stages.interactions import read_interactions
from tests.cli.conftest import Relforge

TIED = [7, 8]
"""Classes of the golden with equal scores, whose order the release leaves open."""


@pytest.fixture(scope="module")
def golden(shared: Callable[[str], Path]) -> tuple[Any, dict[str, Any]]:
    folder = shared("goldens/weights_formula.py").parent
    return np.load(folder / "g18_defr.npz"), json.loads((folder / "g18_defr.json").read_text())


def test_average_precisions_are_the_releases_but_for_classes_with_equal_scores(golden: Any) -> None:
    arrays, stored = golden
    scores, states = arrays["map/scores"].astype(np.float64), arrays["map/raw_labels"].T
    rest = np.setdiff1d(np.arange(600), TIED)

    for name, known in (("ap", False), ("ap_known_object", True)):
        ours = image_average_precision(scores, states, known)
        np.testing.assert_allclose(ours[rest], arrays[f"map/{name}"][rest], atol=1e-9)
    ours = image_average_precision(scores, states)[rest]
    assert float(ours.mean()) == pytest.approx(stored["mAP_without_tied_classes"], abs=1e-9)


def test_the_few_shot_lists_are_the_releases_and_their_means_too(golden: Any) -> None:
    arrays, stored = golden
    ours = image_average_precision(arrays["map/scores"].astype(np.float64), arrays["map/raw_labels"].T)

    for name, codes in read_lists()["few"].items():
        assert codes == stored["few"][f"few_{name}"]
        assert float(ours[codes].mean()) == pytest.approx(stored["mAP_few"][f"few_{name}"], abs=1e-9) or set(
            codes
        ) & set(TIED)


def test_ambiguous_images_count_nowhere_and_unlabelled_ones_as_negatives() -> None:
    scores = np.array([[5.0], [4.0], [3.0], [2.0], [1.0]])
    states = np.array([[0], [1], [-2], [1], [-1]], np.int8)

    # ranks of what counts: shown, unlabelled, shown, not shown: precision 1 up to recall 1/2, then 2/3
    assert image_average_precision(scores, states)[0] == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
    assert image_average_precision(scores, states, known_object=True)[0] == 1
    assert image_average_precision(scores, np.full((5, 1), -1, np.int8))[0] == 0


def test_the_recall_three_tenths_is_reached_by_four_tenths_only() -> None:
    # ten positives, of which three rank first; 3/10 is below the release's 0.30000000000000004
    states = np.array([1] * 3 + [-1] * 10 + [1] * 7, np.int8)[:, None]
    scores = -np.arange(20.0)[:, None]

    # recalls 0, 0.1 and 0.2 are reached at precision 1, the others at that of all, 10 of 20
    assert image_average_precision(scores, states)[0] == pytest.approx((3 * 1 + 8 * 0.5) / 11)


FILES = ["HICO_test2015_00000001.jpg", "HICO_test2015_00000002.jpg", "HICO_test2015_00000003.jpg"]
PAIRS = [("ride", "horse"), ("no interaction", "horse")]
LABELS = [[1.0, 0.0, np.nan], [-1.0, 1.0, np.nan]]


def write_files(folder: Path) -> tuple[Path, Path]:
    """The same labels as `anno.mat` and as JSON."""
    cells = np.empty((3, 1), object)
    cells[:, 0] = FILES
    actions = np.array(
        [(object_, verb.replace(" ", "_")) for verb, object_ in PAIRS],
        dtype=[("nname", object), ("vname", object)],
    )[:, None]
    savemat(folder / "anno.mat", {"list_test": cells, "anno_test": np.array(LABELS), "list_action": actions})
    rows = [[None if np.isnan(label) else label for label in row] for row in LABELS]
    document = {"hoi_list": [["ride", "horse"], ["no_interaction", "horse"]], "files_test": FILES}
    (folder / "anno.json").write_text(json.dumps(document | {"anno_test": rows}))
    return folder / "anno.mat", folder / "anno.json"


@pytest.mark.parametrize("number", [0, 1], ids=["mat", "json"])
def test_both_files_give_the_same_labels(tmp_path: Path, number: int) -> None:
    found = read_hico_images(str(write_files(tmp_path)[number]), "test")

    assert found.image_ids == [name.removesuffix(".jpg") for name in FILES]
    assert found.interactions == tuple(PAIRS)
    assert found.states.tolist() == [[1, -1], [0, 1], [-2, -2]]


def test_a_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    write_files(tmp_path)
    document = json.loads((tmp_path / "anno.json").read_text())
    for change, sentence in (
        ({"anno_test": [[1, 2, 0], [1, 1, 1]]}, "has the label 2"),
        ({"anno_test": [[1, 0], [1, 1]]}, r"is \(2, 2\), its lists name 2 interactions and 3 images"),
        ({"hoi_list": [["ride", "horse"]] * 2}, "an interaction is listed twice"),
    ):
        (tmp_path / "wrong.json").write_text(json.dumps(document | change))
        with pytest.raises(ValueError, match=sentence):
            read_hico_images(str(tmp_path / "wrong.json"), "test")
    with pytest.raises(ValueError, match="no HICO annotation of the split train"):
        read_hico_images(str(tmp_path / "anno.json"), "train")


def test_a_table_of_scores_is_measured(tmp_path: Path, relforge: Relforge) -> None:
    mat, _ = write_files(tmp_path)
    ids = [name.removesuffix(".jpg") for name in FILES]
    write_image_scores(
        tmp_path / "scores.parquet", ids, tuple(PAIRS), np.array([[3.0, 2.0], [9.0, 1.0], [1.0, 3.0]])
    )

    said = relforge("eval", "hico_image", tmp_path / "scores.parquet", f"annotations={mat}", "--json")

    assert said.code == 0, said.err
    measures = {name: one["value"] for name, one in said.json["measures"].items()}
    assert measures["mean_average_precision"] == pytest.approx((1 + 1 / 3) / 2)
    assert measures["mean_average_precision_known_object"] == pytest.approx((1 + 0.5) / 2)
    assert said.json["counts"]["ambiguous"] == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop_columns(["score"]), "no Parquet table of image_id, verb, object, score"),
        (lambda t: pa.concat_tables([t, t]), "has an image and interaction twice"),
        (lambda t: t.set_column(3, "score", pa.array([float("nan")] * 6)), "is missing or no number"),
        (lambda t: t.set_column(0, "image_id", pa.array(["x"] * 6)), "has no row of the gold's images"),
    ],
)
def test_scores_that_cannot_be_used_are_one_sentence(
    tmp_path: Path, relforge: Relforge, change: Callable[[pa.Table], pa.Table], sentence: str
) -> None:
    mat, _ = write_files(tmp_path)
    path = tmp_path / "scores.parquet"
    write_image_scores(path, [f[:-4] for f in FILES], tuple(PAIRS), np.zeros((3, 2)))
    pq.write_table(change(pq.read_table(path)), path)

    said = relforge("eval", "hico_image", path, f"annotations={mat}")

    assert said.code == 64
    assert sentence in said.err


def test_a_released_checkpoints_classes_go_by_number_and_others_by_name() -> None:
    hico = read_interactions("hico600")
    unnamed = tuple((f"interaction {i}", "object") for i in range(600))

    assert class_order(unnamed, hico, "m").tolist() == list(range(600))
    assert class_order(hico[::-1], hico[:2], "m").tolist() == [599, 598]
    with pytest.raises(ValueError, match="m has no class 'fly kite'"):
        class_order(hico[:3], [("fly", "kite")], "m")
