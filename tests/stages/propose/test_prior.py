"""Stage propose, backend prior: what nobody says is added, marked, and never doubles what a caption said."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from relforge.stages.ground.features import NAMES
from relforge.stages.ground.model import hash_image
from relforge.stages.ground.perceptron import Perceptron
from relforge.stages.ground.words import WordVectors
from relforge.stages.propose.model import ProposalModel, class_width, load_proposals, save_proposals
from relforge.stages.propose.pairs import list_pairs
from relforge.stages.propose.prior import PriorProposals
from relforge.stages.registry import build
from tests.fixtures import rows

KEYS = ("image_id", "subject_box", "object_box", "predicate")


def model_file(folder, **odds: float):
    """A file that gives every pair the same probability of each predicate."""
    words = WordVectors([], ["dog"], np.zeros((0, 0)), np.ones((1, 2)))
    width = len(NAMES) + class_width(words)
    bias = np.log([one / (1 - one) for one in odds.values()])
    one = Perceptron(np.zeros(width), np.ones(width), [(np.zeros((len(odds), width)), bias)])
    file = folder / "proposals.safetensors"
    save_proposals(file, ProposalModel(list(odds), words, [(0, one)], (0.0, 1.0), frozenset()), {"seed": 0})
    return file


def tables(*said, boxes=3, **same):
    made = [{"box_id": at, "category": "unheard of", "x": 20.0 * at} for at in range(boxes)]
    candidates = [dict(zip(KEYS[1:], one, strict=True)) | {"claim_id": at} for at, one in enumerate(said)]
    return {
        "images": rows.table("images", {}),
        "boxes": rows.table("boxes", *made),
        "candidates": rows.table("candidates", *candidates, rule="head|head", support=1, **same),
    }


def propose(file, given, **options):
    stage = PriorProposals(str(file), **{"said": "candidates"} | options)
    stage.setup()
    return stage.process(given)


def keys(table: pa.Table) -> list[tuple[object, ...]]:
    return list(zip(*(table[name].to_pylist() for name in KEYS[1:]), strict=True))


def test_what_is_likely_is_added_with_its_probability_and_nothing_that_a_caption_said(tmp_path) -> None:
    file = model_file(tmp_path, riding=0.5, under=0.1)
    # "rides" is "riding" in another form
    result = propose(file, tables((0, 1, "rides"), (0, 1, "under"), (2, 1, "near")))

    found = result.tables["proposed"]
    ours = [row for row in found.to_pylist() if row["rule"] == "proposed"]
    pairs = [(row["subject_box"], row["object_box"], row["predicate"]) for row in ours]
    assert pairs == [(a, b, "riding") for a, b in ((0, 2), (1, 0), (1, 2), (2, 0), (2, 1))]
    assert {(row["support"], row["alternatives"], row["prior_rank"]) for row in ours} == {(0, 1, 1)}
    assert [row["caption_ids"] for row in ours] == [[]] * 5
    assert [row["prior"] for row in ours] == pytest.approx([0.5] * 5)
    assert sorted(row["claim_id"] for row in ours) == [3, 4, 5, 6, 7]
    said = found.filter(pa.array([rule != "proposed" for rule in found["rule"].to_pylist()]))
    assert said.select(rows.table("candidates").column_names).equals(
        tables((0, 1, "rides"), (0, 1, "under"), (2, 1, "near"))["candidates"]
    )
    assert result.notes == {"proposals": 5, "said_already": 1, "beyond_top_k": 0}


def test_what_the_ground_stage_left_out_was_said_all_the_same(tmp_path) -> None:
    given = tables((0, 1, "riding"), boxes=2)
    given["grounded"] = rows.table("grounded").slice(0, 0)

    found = propose(model_file(tmp_path, riding=0.5), given, said="grounded").tables["proposed"]

    assert keys(found) == [(1, 0, "riding")]


def test_a_run_without_captions_has_proposals_alone_and_the_likeliest_of_an_image(tmp_path) -> None:
    file = model_file(tmp_path, riding=0.5, holding=0.6)
    given = {name: table for name, table in tables().items() if name != "candidates"}

    found = propose(file, given, said=None, top_k_image=3).tables["proposed"]

    assert keys(found) == [(0, 1, "holding"), (0, 2, "holding"), (1, 0, "holding")]
    assert PriorProposals(str(file)).inputs == ("images", "boxes")


def test_an_image_without_a_pair_and_a_shard_without_images_are_accounted_for(tmp_path) -> None:
    file = model_file(tmp_path, riding=0.5)
    lone = propose(file, tables(boxes=1))
    none = propose(file, {name: table.slice(0, 0) for name, table in tables().items()})

    assert (lone.kept, lone.dropped) == (0, {"nothing_proposed": 1})
    assert (none.kept, none.dropped, none.tables["proposed"].num_rows) == (0, {}, 0)


def test_pairs_are_of_usable_boxes_of_one_image_and_the_same_in_any_shard(monkeypatch) -> None:
    images = pa.concat_tables([rows.table("images", {}, image_id=one) for one in "ab"])
    of_a = [
        {"category": "dog", "box_id": at, "x": 9.0 * at, "w": 5.0 + at, "iscrowd": at == 3} for at in range(4)
    ]
    boxes = pa.concat_tables(
        [rows.table("boxes", *of_a, image_id="a"), rows.table("boxes", *of_a[:2], image_id="b")]
    )
    [both] = list_pairs(images, boxes, 100)
    monkeypatch.setattr("relforge.stages.propose.pairs._BLOCK", 2)
    apart = list(list_pairs(images, boxes, 100))

    assert [len(one.image) for one in apart] == [6, 2]
    assert both.image.tolist() == [0] * 6 + [1] * 2
    assert np.concatenate([one.subject for one in apart]).tolist() == both.subject.tolist()
    assert len(next(list_pairs(images, boxes, 2)).image) == 2
    assert not (both.subject_box == both.object_box).any()


def test_a_file_that_is_none_and_options_that_cannot_be_are_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"none\.safetensors not found; write it by `relforge ground fit"):
        build("propose", "prior", model=str(tmp_path / "none.safetensors")).files()
    (tmp_path / "damaged.safetensors").write_bytes(b"{}")
    with pytest.raises(ValueError, match="is not a file of `relforge ground fit --proposals`"):
        load_proposals(tmp_path / "damaged.safetensors")
    for option, said in (
        ({"threshold": 0.0}, "threshold is 0.0; it must be"),
        ({"top_k_image": 0}, "top_k_image is 0; use 1"),
        ({"max_boxes": 1}, "max_boxes is 1; a pair needs 2"),
    ):
        with pytest.raises(ValueError, match=said):
            build("propose", "prior", model="x", **option)
    with pytest.raises(TypeError):
        build("propose", "prior")


def test_an_image_of_the_gold_is_scored_by_the_half_that_did_not_see_it() -> None:
    words = WordVectors([], ["dog"], np.zeros((0, 0)), np.ones((1, 2)))
    width = len(NAMES) + class_width(words)
    halves = [
        (fold, Perceptron(np.zeros(width), np.ones(width), [(np.zeros((1, width)), np.array([float(fold)]))]))
        for fold in (0, 1)
    ]
    given = tables(boxes=2)
    [pairs] = list_pairs(given["images"], given["boxes"], 100)
    [image] = (hash_image(name) for name in given["images"]["image_id"].to_pylist())

    def logits(*seen: int) -> set[float]:
        model = ProposalModel(["riding"], words, halves, (0.0, 1.0), frozenset(seen))
        return set(model.logits(pairs).ravel().tolist())

    assert logits() == {0.5}
    assert logits(image) == {float(image % 2)}
