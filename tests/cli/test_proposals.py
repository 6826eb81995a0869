"""Proposals taught by the gold of 200 drawn images, on images that they did not see, and in a run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from relforge.cli.app import invoke
from relforge.data.source_tables import read_source
from relforge.data.sources import read_table
from relforge.demo.world.dataset import write_split
from relforge.stages.propose.model import read_header
from relforge.stages.propose.prior import PriorProposals
from tests.fixtures.labelled import label_world

KEYS = ("image_id", "subject_box", "predicate", "object_box")
FIT = ("ground", "fit", "--proposals", "--out")
Fact = tuple[str, int, str, int]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Mapping[str, pa.Table]:
    drawn = write_split(tmp_path_factory.mktemp("drawn"), "vg-like", 260, size=48, look_alikes=0.0)
    options = {"annotations": str(drawn / "scene_graphs.json"), "split": "train"}
    shards = list(read_source("visual_genome", options, Counter()))
    return {name: pa.concat_tables([one[name] for one in shards]) for name in ("images", "boxes", "gold")}


@pytest.fixture(scope="module")
def parts(world) -> tuple[Mapping[str, pa.Table], Mapping[str, pa.Table]]:
    """200 images, and the others."""
    names = world["images"]["image_id"].to_pylist()
    known = pa.array(names[:200])
    inside = {name: pc.is_in(table["image_id"], known) for name, table in world.items()}
    return (
        {name: table.filter(inside[name]) for name, table in world.items()},
        {name: table.filter(pc.invert(inside[name])) for name, table in world.items()},
    )


@pytest.fixture(scope="module")
def run(parts, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    for name, table in parts[0].items():
        (folder / name).mkdir()
        pq.write_table(table, folder / name / "part-00000.parquet")
    return folder


@pytest.fixture(scope="module")
def file(run) -> Path:
    out = run / "proposals.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relforge.trainer.ground.proposals.STEPS", (1000,))
        patch.setattr("relforge.trainer.ground.proposals.MEMBERS", 1)
        assert invoke([*FIT, str(out), str(run), "--licence", "mine"]) == 0
    return out


def facts(table: pa.Table) -> set[Fact]:
    return set(zip(*(table[name].to_pylist() for name in KEYS), strict=True))


def by_nearest(taught: Mapping[str, pa.Table], asked: Mapping[str, pa.Table]) -> set[Fact]:
    """Every box to the nearest other, in the commonest word for their classes."""
    wording: dict[tuple[str, str], Counter[str]] = {}
    class_of = {(b["image_id"], b["box_id"]): b["category"] for b in taught["boxes"].to_pylist()}
    for image, subject, predicate, object_ in facts(taught["gold"]):
        ends = class_of[image, subject], class_of[image, object_]
        wording.setdefault(ends, Counter())[predicate] += 1
    found = set()
    boxes = asked["boxes"].to_pylist()
    for one in boxes:
        others = [b for b in boxes if b["image_id"] == one["image_id"] and b["box_id"] != one["box_id"]]
        x, y = one["x"] + one["w"] / 2, one["y"] + one["h"] / 2
        others.sort(key=lambda b: (b["x"] + b["w"] / 2 - x) ** 2 + (b["y"] + b["h"] / 2 - y) ** 2)
        if others and (words := wording.get((one["category"], others[0]["category"]))):
            found.add(
                (
                    one["image_id"],
                    one["box_id"],
                    min(words, key=lambda w: (-words[w], w)),
                    others[0]["box_id"],
                )
            )
    return found


def test_it_finds_more_of_other_images_and_more_precisely_than_the_nearest_boxes(parts, file) -> None:
    _, asked = parts
    stage = PriorProposals(str(file))
    stage.setup()
    found, gold, near = (
        facts(stage.process(asked).tables["proposed"]),
        facts(asked["gold"]),
        by_nearest(*parts),
    )

    recall, precision = (len(found & gold) / len(one) for one in (gold, found))
    assert recall > 0.35
    assert recall > 1.5 * len(near & gold) / len(gold)
    assert precision > 1.1 * len(near & gold) / len(near)
    assert {fact[2] for fact in found} <= set(read_header(file)["predicates"])


def test_the_card_says_what_taught_it(file, parts) -> None:
    card = read_header(file)["card"]
    held_out = card["held_out"]

    assert (card["licence"], card["seed"], card["data"][0]["gold"]) == ("mine", 0, parts[0]["gold"].num_rows)
    assert card["command"].split()[0] == "relforge"
    assert len(card["data"][0]["sha256"]) == 64
    assert held_out["images"] <= 200
    assert 0.3 < held_out["precision"] < 1
    assert held_out["average_precision"] > 0.4


def test_the_same_gold_gives_the_same_bytes_and_held_out_images_choose(run, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("relforge.trainer.ground.proposals.STEPS", (20, 60))
    out = tmp_path / "proposals.safetensors"
    assert invoke([*FIT, str(out), str(run)]) == 0
    before = out.read_bytes()
    out.unlink()
    assert invoke([*FIT, str(out), str(run)]) == 0

    assert out.read_bytes() == before
    assert read_header(out)["card"]["held_out"]["steps"] == 60


@pytest.mark.parametrize(
    ("gone", "out", "said"),
    [
        ("all", "a.safetensors", "has no gold relations"),
        ("most", "a.safetensors", "no predicate has 10 gold relations"),
        ("", "folder", "give a name that ends in .safetensors"),
    ],
)
def test_wrong_use_is_one_sentence(parts, tmp_path, relforge, gone, out, said) -> None:
    for name, table in parts[0].items():
        (tmp_path / name).mkdir()
        left = table.slice(0, {"all": 0, "most": 2}[gone]) if gone and name == "gold" else table
        pq.write_table(left, tmp_path / name / "part-00000.parquet")
    found = relforge(*FIT, tmp_path / out, tmp_path)

    assert (found.code, len(found.err.strip().splitlines())) == (64, 1)
    assert said in found.err


@pytest.fixture(scope="module")
def runs(file, tmp_path_factory) -> tuple[Path, Path]:
    """A run folder, and that of the same images with proposals."""
    folder = tmp_path_factory.mktemp("runs")
    run = label_world(folder)
    config = folder / "world.yaml"
    values = yaml.safe_load(config.read_text())
    values["stages"]["propose"] = {"backend": "prior", "model": str(file)}
    values["run"]["folder"] = str(folder / "with")
    config.write_text(yaml.safe_dump(values))
    assert invoke(["run", str(config), "--executor", "loop"]) == 0
    return run, folder / "with"


def test_a_run_adds_proposals_to_what_captions_say_and_counts_them_apart(runs, relforge) -> None:
    run, proposing = runs
    before = read_table(str(run), "scores")
    assert not (run / "proposed").exists()
    after = read_table(str(proposing), "scores")
    ours = pc.equal(after["rule"], "proposed")
    assert after.filter(pc.invert(ours)).equals(before)
    assert not facts(after.filter(ours)) & facts(before)
    assert set(after.filter(ours)["support"].to_pylist()) == {0}
    data = json.loads(relforge("report", proposing, "--json").out)
    assert [one["table"] for one in data["proposals"]] == ["proposed", "scores", "relations"]
    assert data["proposals"][1]["said"] == before.num_rows
    assert data["proposals"][1]["proposed"] == pc.sum(ours).as_py()
    assert 0 < data["proposals"][1]["proposed_right"] <= 1
    assert json.loads(relforge("report", run, "--json").out)["proposals"] == []
    assert "right of proposed" in relforge("report", proposing).out


def test_a_rerun_gives_the_same_bytes_and_exports_keep_the_rule(runs, relforge, tmp_path) -> None:
    _, proposing = runs
    tables = sorted(proposing.glob("proposed/*.parquet"))
    before = [one.read_bytes() for one in tables]
    assert len(before) > 1
    again = tmp_path / "again"
    config = proposing.parent / "world.yaml"
    assert invoke(["run", str(config), f"run.folder={again}", "--executor", "loop"]) == 0
    assert [one.read_bytes() for one in sorted(again.glob("proposed/*.parquet"))] == before

    out = tmp_path / "exported"
    said = relforge("export", proposing, "--to", "parquet", "--out", out)
    assert said.code == 0, said.err
    rules = [
        rule
        for one in out.rglob("*.parquet")
        if "rule" in pq.read_schema(one).names
        for rule in pq.read_table(one, columns=["rule"])["rule"].to_pylist()
    ]
    assert rules.count("proposed") == facts_of_rule(proposing)


def facts_of_rule(run: Path) -> int:
    """Kept relations that were proposed."""
    return read_table(str(run), "relations")["rule"].to_pylist().count("proposed")


def test_the_page_marks_what_was_proposed(runs, relforge, rendered, tmp_path) -> None:
    run, proposing = runs
    for folder, shown in ((proposing, True), (run, False)):
        page = tmp_path / f"{folder.name}.html"
        image = next(
            row["image_id"]
            for row in read_table(str(proposing), "relations").to_pylist()
            if row["rule"] == "proposed"
        )
        assert relforge("view", folder, "--image", image, "--out", page).code == 0
        assert ('class="why">proposed: no caption says it' in rendered(page)) is shown
