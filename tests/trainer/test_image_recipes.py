"""Recipes of image-level models: supervised and from captions, resumed exactly, measured beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from relforge.data.image_label_batches import repeated_rows
from relforge.data.image_labels import ImageLabels
from relforge.models.language_head import LanguageHead, save_head
from relforge.stages.image_labels.table import IMAGE_LABELS
from relforge.stages.tables import SCHEMAS
from relforge.trainer import snapshots
from relforge.trainer.pseudo_labels import fit_temperature, held_out_rows, pseudo_targets, vote_again
from relforge.trainer.recipes import hts, image_level
from tests.cli.conftest import Relforge, relforge

__all__ = ["relforge"]

PAIRS = (("hold", "apple"), ("eat", "apple"))
RATES = {"learning_rate": 3e-3, "backbone_learning_rate": 3e-3}
SIZES = {"image": 16, "patch": 8, "width": 16, "layers": 1, "heads": 2, "feedforward": 16}


def write_run(folder: Path, count: int = 12) -> Path:
    """A run folder: red images hold, green ones eat; gold and captions' labels agree but for doubt."""
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    gold: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    (folder / "photos").mkdir(parents=True)
    for number in range(count):
        image, kind = f"{number:03d}", number % 3  # hold, eat, an apple alone
        colour = [(200, 20, 20), (20, 200, 20), (20, 20, 200)][kind]
        path = folder / "photos" / f"{image}.png"
        Image.new("RGB", (20, 12), colour).save(path)
        images.append({"image_id": image, "dataset": "t", "split": "t", "uri": str(path)})
        images[-1] |= {"width": 20, "height": 12}
        for box, name in enumerate(("person", "apple")):
            boxes.append({"image_id": image, "box_id": box, "category": name, "iscrowd": False})
            boxes[-1] |= {"source_id": "", "x": 0.0, "y": 0.0, "w": 5.0, "h": 5.0}
        for code, (verb, object_) in enumerate(PAIRS):
            shown = kind == code
            if shown:
                gold.append({"image_id": image, "subject_box": 0, "object_box": 1, "predicate": verb})
            row: dict[str, Any] = {
                "image_id": image,
                "label": f"{verb} {object_}",
                "verb": verb,
                "object": object_,
            }
            row |= {"state": 1 if shown else -1, "probability": 0.4 if shown else 0.0, "support": 2}
            labels.append(row | {"caption_ids": [], "reason": "voted", "source": "test"})
    tables = {"images": images, "boxes": boxes, "gold": gold}
    schemas = {**SCHEMAS, "image_labels": IMAGE_LABELS.schema}
    for name, rows in (tables | {"image_labels": labels}).items():
        (folder / name).mkdir()
        table = pa.Table.from_pylist(rows, schema=schemas[name])
        pq.write_table(table, folder / name / "part-00000.parquet")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


def settings(run: Path, out: Path, **changes: Any) -> dict[str, Any]:
    return {
        "out": str(out),
        "data": {"source": str(run)},
        "model": {"kind": "defr", "sizes": SIZES},
        "steps": 30,
        "batch": {"size": 4, "balance": 0, "crop": 1, "jitter": 0},
        "optimisation": RATES | {"weight_decay": 0.0, "max_gradient_norm": 10.0},
        "judge": {"annotations": str(run)},
        "save_every": 10,
    } | changes


def measures(out: Path) -> dict[str, float]:
    rows = json.loads((out / "metrics.json").read_text())
    return {name: row["mean_average_precision"] for name, row in rows.items()}


def test_a_supervised_training_learns_and_is_measured_before_and_after(run: Path, tmp_path: Path) -> None:
    model = image_level.main(settings(run, tmp_path / "out"))

    found = measures(tmp_path / "out")
    assert list(found) == ["untrained", "trained"]
    assert found["trained"] == 1.0
    assert (model / "model.safetensors").is_file()


def test_a_supervised_training_reads_hicos_own_layout(run: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in (run / "photos").iterdir())
    rows = [[1 if number % 3 == code else 0 for number in range(len(names))] for code in range(2)]
    document = {"hoi_list": [list(pair) for pair in PAIRS], "files_train": names, "files_test": names}
    (tmp_path / "anno.json").write_text(json.dumps(document | {"anno_train": rows, "anno_test": rows}))
    folder, source = str(run / "photos"), str(tmp_path / "anno.json")
    changes: dict[str, Any] = {"data": {"source": source, "split": "train", "images": folder, "limit": 9}}
    changes["judge"] = {"annotations": source, "images": folder}

    image_level.main(settings(run, tmp_path / "out", **changes, losses={"loss": "weighted_bce"}))

    assert measures(tmp_path / "out")["trained"] == 1.0
    changes["data"].pop("images")
    with pytest.raises(ValueError, match=r"data.images: say in which folder the images are"):
        image_level.main(settings(run, tmp_path / "none", **changes))


def test_a_student_of_captions_reads_no_gold(run: Path, tmp_path: Path) -> None:
    blind = write_run(tmp_path / "blind")
    (blind / "gold" / "part-00000.parquet").unlink()

    hts.main(settings(blind, tmp_path / "out", recipe="hts", judge={}))
    hts.main(settings(run, tmp_path / "seen", recipe="hts"))

    weights = [load_file(tmp_path / name / "model" / "model.safetensors") for name in ("out", "seen")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    found = measures(tmp_path / "seen")
    assert list(found) == ["caption votes", "caption labels", "untrained", "student"]
    assert found["student"] == 1.0


def test_a_second_round_trains_on_joint_votes(run: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"recipe": "hts", "rounds": 2, "held_out": 0.4}
    hts.main(settings(run, tmp_path / "out", **changes))

    assert list(measures(tmp_path / "out"))[-2:] == ["student", "student, second round"]
    assert (tmp_path / "out" / "round1" / "model").is_dir()
    assert (tmp_path / "out" / "model").is_dir()


@pytest.mark.parametrize("recipe", ["image_level", "hts"])
def test_a_stopped_training_continues_in_the_same_bytes(run: Path, tmp_path: Path, recipe: str) -> None:
    main = {"image_level": image_level.main, "hts": hts.main}[recipe]
    changes: dict[str, Any] = {"recipe": recipe, "judge": {}, "steps": 8, "save_every": 4}
    changes["batch"] = {"size": 4, "balance": 40, "crop": 0.7, "jitter": 0.4}
    whole = main(settings(run, tmp_path / "whole", **changes))
    stopped = settings(run, tmp_path / "stopped", **changes)

    kept = snapshots.save
    saved = []

    def save_once(*arguments: Any, **named: Any) -> None:
        kept(*arguments, **named)
        saved.append(arguments[1])
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshots, "save", save_once)
        with pytest.raises(KeyboardInterrupt):
            main(stopped)
    assert saved == [4]
    again = main(stopped)

    first, second = (load_file(folder / "model.safetensors") for folder in (whole, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_one_command_trains_a_student_and_the_evaluator_reads_the_model(
    run: Path, tmp_path: Path, relforge: Relforge
) -> None:
    head = LanguageHead(torch.eye(2, 16), PAIRS, "by hand")
    save_head(tmp_path / "head", head, [["a"], ["b"]])
    model = {"kind": "defr", "sizes": SIZES, "rows": str(tmp_path / "head")}
    recipe = settings(run, tmp_path / "out", recipe="hts", model=model)
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))

    said = relforge("train", tmp_path / "recipe.yaml")
    assert said.code == 0, said.err
    assert "student: mean_average_precision 1.000" in said.out

    scores = tmp_path / "scores.parquet"
    found = relforge(
        "eval", "hico_image", tmp_path / "out" / "model", f"annotations={run}", f"write={scores}", "--json"
    )
    assert found.code == 0, found.err
    assert found.json["measures"]["mean_average_precision"]["value"] == 1.0
    again = relforge("eval", "hico_image", scores, f"annotations={run}", "--json")
    assert again.json["measures"] == found.json["measures"]
    assert pq.read_table(scores).num_rows == 24


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rounds": 2}, "rounds: only the recipe hts has it"),
        ({"model": {"kind": "parsed"}}, "model.kind: parsed does not label whole images"),
        ({"data": {"source": "nowhere.json", "label": "gold"}}, "unknown setting data.label"),
        ({"losses": {"loss": "hinge"}}, "losses.loss: 'hinge'"),
        ({"judge": {"annotation": "x"}}, "judge: .*annotation"),
    ],
)
def test_settings_that_cannot_be_are_named(
    run: Path, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        image_level.main(settings(run, tmp_path / "out", **changes))


def labels(states: list[list[int]], votes: list[list[float]]) -> ImageLabels:
    ids = [str(number) for number in range(len(states))]
    nothing = [None] * len(ids)
    array = np.array(states, np.int8)
    return ImageLabels(ids, [*nothing], [*nothing], PAIRS, array, np.array(votes, np.float32))


def test_pseudo_labels_weigh_their_vote_and_open_ones_nothing() -> None:
    data = labels([[1, 0], [1, -1], [-2, -2]], [[0.2, 0.1], [0.8, 0.0], [0.0, 0.0]])

    targets, weights = pseudo_targets(data, 0.2)

    assert targets.tolist() == [[1, 0], [1, 0], [0, 0]]
    np.testing.assert_allclose(weights, np.array([[0.4, 0], [1, 1], [0.2, 0.2]]))


def test_the_student_may_add_and_remove_labels_of_present_objects_only() -> None:
    data = labels([[1, 0], [1, -1], [-2, -2]], [[0.2, 0.0], [0.2, 0.0], [0.0, 0.0]])
    sure, unsure = 9.0, -9.0

    again = vote_again(data, np.array([[sure, sure], [unsure, sure], [sure, sure]]), 1.0, 0.3)

    assert again.states.tolist() == [[1, 1], [0, -1], [-2, -2]]


def test_the_temperature_fits_what_is_not_open_and_held_out_images_are_a_hash_of_the_id() -> None:
    data = labels([[1, -2], [1, -2], [0, 0]], [[1, 0], [1, 0], [0, 0]])
    right = np.array([[5.0, -5.0], [-5.0, -5.0], [99.0, 99.0]])  # one of two positives is wrong

    assert fit_temperature(right, data) > 1
    rows = held_out_rows([str(n) for n in range(1000)], 0.1)
    assert 70 < rows.sum() < 130
    assert rows[:5].tolist() == held_out_rows([str(n) for n in range(5)], 0.1).tolist()


def test_rare_interactions_repeat_their_images_as_the_release_does() -> None:
    targets = np.zeros((30, 2), np.float32)
    targets[:20, 0] = 1  # 20 positives ask for one more, which is not more than one: none
    targets[20, 1] = 1  # 1 positive asks for 39 more

    rows = repeated_rows(targets, 40)

    assert np.bincount(rows, minlength=30).tolist() == [1] * 20 + [40] + [1] * 9
    assert repeated_rows(targets, 0).tolist() == list(range(30))
