"""The `assign` section of a recipe: groups of predicates, repeated targets, several predicate queries."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from relforge.data import sources
from relforge.evaluation.detect import DetectOptions, detect
from relforge.models.checkpoint import load_model
from relforge.trainer.recipes import relations
from tests.fixtures.stopping import stopped_after

ASSIGN = {
    "groups": 3,
    "multi": {"k": 2, "quality": "max", "predicate_weight": -0.5},
    "predicate_copies": 2,
    "reweight": {"alpha": 0.07, "beta": 0.75},
}


@pytest.fixture
def searching(settings: dict[str, Any]) -> dict[str, Any]:
    """The smallest recipe of a model that searches."""
    settings["model"]["kind"] = "parseda"
    return settings | {"steps": 2, "assign": deepcopy(ASSIGN)}


def log_of(settings: dict[str, Any]) -> list[dict[str, float]]:
    return [json.loads(line) for line in (Path(settings["out"]) / "log.jsonl").read_text().splitlines()]


def closed(settings: dict[str, Any], kind: str) -> dict[str, Any]:
    model = settings["model"] | {"kind": kind}
    model["sizes"] = {"dim": 64, "heads": 2, "encoder_layers": 2, "decoder_layers": 2, "feedforward": 64}
    model.pop("text")
    return settings | {"model": model}


SLOW = [
    pytest.param(kind, marks=pytest.mark.slow)
    for kind in ("parsed", "parsed_v1", "rlip_parsed", "parse", "rlip_parse")
]


@pytest.mark.parametrize("kind", ["parseda", "qpic", "cdn", "speaq", *SLOW])
def test_it_trains_stores_its_groups_and_detects(searching: dict[str, Any], kind: str) -> None:
    if kind in ("parsed", "parseda"):
        searching["model"]["kind"] = kind
    else:
        text = searching["model"]["text"]
        searching = closed(searching, kind)
        if kind.startswith("rlip"):
            searching["model"]["text"] = text
    if kind == "qpic":
        searching["assign"].pop("predicate_copies")
        searching["model"]["backbone"] = {"family": "resnet", "embedding_size": 8, "depths": [1, 1, 1, 1]}
        searching["model"]["backbone"]["hidden_sizes"] = [16, 24, 32, 48]
    loaded = load_model(relations.main(searching))

    data = sources.load_relations(searching["data"], max_pairs=searching["batch"]["max_pairs"])
    groups = loaded.blueprint.predicate_groups
    assert groups is not None
    assert dict(zip(groups.names, groups.counts, strict=True)) == dict(
        zip(data.predicates, data.predicate_counts().tolist(), strict=True)
    )
    assert sum(groups.queries) == searching["batch"]["max_pairs"]
    assert min(groups.queries) >= 4
    assert 1 <= log_of(searching)[0]["repeats"] <= 2
    if kind != "qpic":
        assert loaded.blueprint.sizes.predicate_copies == 2
        names = [name for name in loaded.model.state_dict() if "predicate_copies" in name]
        assert len(names) == (0 if kind == "speaq" else 1)
        for name in names:
            assert loaded.model.state_dict()[name][0].abs().sum() > 0  # the first copy learns too

    images = sources.load_relations(searching["data"], keep_empty=True)
    found = detect(loaded, images, images.predicates[:2], None, DetectOptions(short_side=48, long_side=64))
    assert len(found) > 0


@pytest.mark.parametrize("kind", ["parsed_v1", "speaq"])
def test_a_stopped_run_continues_to_the_same_weights(searching: dict[str, Any], kind: str) -> None:
    searching = closed(searching, kind)
    whole = relations.main(searching | {"steps": 3, "save_every": 1})
    stopped = deepcopy(searching) | {"out": searching["out"] + "-stopped", "steps": 3, "save_every": 1}
    with stopped_after(1):
        relations.main(stopped)
    resumed = relations.main(stopped)

    one, two = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert log_of(searching) == log_of(stopped)


def test_without_assign_nothing_changes(searching: dict[str, Any]) -> None:
    plain = {key: value for key, value in closed(searching, "parsed_v1").items() if key != "assign"}
    once = relations.main(plain)
    # one query for each target, no groups: the same assignment by another way
    again = relations.main(
        plain | {"out": plain["out"] + "-2", "assign": {"multi": {"k": 1, "scheme": "static"}}}
    )
    one, two = (load_file(folder / "model.safetensors") for folder in (once, again))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert "predicate_groups" not in json.loads((once / "config.json").read_text())


def test_a_plain_model_takes_copies_and_its_first_copy_starts_where_it_was(searching: dict[str, Any]) -> None:
    plain = {key: value for key, value in searching.items() if key != "assign"}
    start = relations.main(plain)
    more = searching | {"out": searching["out"] + "-2", "model": {"start": str(start)}, "steps": 1}
    more["optimisation"] = {"learning_rate": 0.0, "backbone_learning_rate": 0.0, "weight_decay": 0.0}
    taken = load_file(relations.main(more) / "model.safetensors")
    old = load_file(start / "model.safetensors")
    assert all(torch.equal(taken[name], value) for name, value in old.items())
    assert taken["predicate_copies.difference.weight"][0].abs().sum() == 0
    assert taken["predicate_copies.difference.weight"][1].abs().sum() > 0


def test_queries_grouped_by_other_counts_are_refused_unless_one_is_named(
    searching: dict[str, Any], tmp_path: Path
) -> None:
    searching = closed(searching, "parsed_v1")
    file = tmp_path / "counts.json"
    data = sources.load_relations(searching["data"])
    counts = {name: 2**rank for rank, name in enumerate(data.predicates)}
    file.write_text(json.dumps({"predicate_count": counts}))
    searching["assign"]["counts"] = str(file)
    start = relations.main(searching | {"steps": 1})
    stored = load_model(start).blueprint.predicate_groups
    assert stored is not None
    assert stored.names[0] == data.predicates[-1]

    more = searching | {"steps": 1, "model": {"start": str(start)}}
    other = more | {"assign": {key: value for key, value in ASSIGN.items() if key != "counts"}}
    with pytest.raises(ValueError, match=r"assign\.counts.*`model`.*`training`"):
        relations.main(other | {"out": searching["out"] + "-2"})
    kept = other | {"out": searching["out"] + "-3", "assign": ASSIGN | {"counts": "model"}}
    assert load_model(relations.main(kept)).blueprint.predicate_groups == stored
    new = other | {"out": searching["out"] + "-4", "assign": ASSIGN | {"counts": "training"}}
    assert load_model(relations.main(new)).blueprint.predicate_groups != stored


@pytest.mark.parametrize(
    ("assign", "message"),
    [
        ({"group": 4}, r"unknown setting assign\.group"),
        ({"groups": 0}, r"assign\.groups.*1 or more"),
        ({"groups": 500}, r"assign\.groups: 500"),
        ({"multi": 4}, r"assign\.multi: expected a mapping"),
        ({"multi": {"quality": "mean"}}, r"assign\.multi\.quality"),
        ({"multi": {"k": 4}, "joint": True}, r"assign\.joint.*static"),
        ({"groups": 2, "counts": "missing.json"}, r"assign\.counts: missing\.json"),
        ({"groups": 2, "counts": "model"}, r"assign\.counts: the model to start from has no 2 groups"),
        ({"reweight": {"alpha": -1}}, r"assign\.reweight"),
        ({"multi": {"k": 4}, "max_load": 2}, r"assign\.max_load: expected a share"),
        ({"joint": "yes"}, r"assign\.joint: expected true or false"),
        ({"counts": "model"}, r"assign\.counts is for assign\.groups"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(
    searching: dict[str, Any], assign: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        relations.main(searching | {"assign": assign})


def test_models_without_a_matcher_or_predicate_queries_say_so(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="assign: a rtagger model matches nothing"):
        relations.main(settings | {"assign": ASSIGN | {"predicate_copies": 1}})
    with pytest.raises(ValueError, match="a qahoi model has no predicate queries"):
        relations.main(closed(settings, "qahoi") | {"assign": ASSIGN})
