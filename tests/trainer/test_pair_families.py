"""The families that search for pairs: each trains by the recipe, loads, and detects."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from relforge.data import sources
from relforge.data.batches import Batches
from relforge.data.label_lists import ClosedLabels
from relforge.evaluation.detect import DetectOptions, detect
from relforge.models.checkpoint import load_model
from relforge.models.zoo import family
from relforge.trainer.processes import Processes
from relforge.trainer.recipes import relations
from relforge.trainer.settings import settings_from
from relforge.trainer.start import start_model

SIZES = {"dim": 64, "heads": 2, "encoder_layers": 1, "feedforward": 64, "dropout": 0.0}
FAMILIES: dict[str, dict[str, Any]] = {
    "parsed_v1": {"decoder_layers": 2},
    "qahoi": {"decoder_layers": 2},
    "qahoi_rlipv2": {"decoder_layers": 2},
    "rlip_parsed": {"decoder_layers": 2},
    "qpic": {"decoder_layers": 2},
    "parse": {"decoder_layers": 2},
    "rlip_parse": {"encoder_layers": 2, "decoder_layers": 2},
    "speaq": {"decoder_layers": 2, "predicate_copies": 2},
    "cdn": {"decoder_layers": 2, "relation_layers": 2, "matching": True},
    "ocn": {"decoder_layers": 2, "word_width": 8},
}
MOVING = tuple(f"{role}_boxes.mlps.{k}" for role in ("subject", "object") for k in (2, 3))
UNTRAINED = {"parsed_v1": MOVING, "rlip_parsed": MOVING}
"""Box heads of the relation decoder, which only move references."""


@pytest.fixture(params=list(FAMILIES))
def recipe(request: pytest.FixtureRequest, settings: dict[str, Any], word_vectors: str) -> dict[str, Any]:
    """The smallest recipe of each family on the drawn training set."""
    model = settings["model"] | {"kind": request.param, "sizes": SIZES | FAMILIES[request.param]}
    if family(request.param).labels == "closed":
        model.pop("text")
    if request.param == "ocn":
        model["words"] = word_vectors
    return settings | {"model": model, "steps": 2}


def test_it_trains_by_the_recipe_and_its_folder_loads_and_detects(recipe: dict[str, Any]) -> None:
    folder = relations.main(recipe)

    log = [json.loads(line) for line in (Path(recipe["out"]) / "log.jsonl").read_text().splitlines()]
    assert len(log) == 2
    assert {"total", "relations", "labels", "subject_boxes", "object_giou"} <= log[0].keys()

    loaded = load_model(folder)
    images = sources.load_relations(recipe["data"], keep_empty=True)
    found = detect(loaded, images, images.predicates[:2], None, DetectOptions(short_side=48, long_side=64))
    assert len(found) > 0
    assert set(found.predicate) <= set(images.predicates[:2])
    assert set(found.object) <= set(images.categories)


def test_every_part_learns_but_what_the_method_never_trains(recipe: dict[str, Any]) -> None:
    settings = settings_from(recipe)
    data = sources.load_relations(recipe["data"])
    model, blueprint, _ = start_model(settings, data)
    entry = family(blueprint.kind)
    labels = ClosedLabels(data) if entry.labels == "closed" else None
    batch = Batches(data, settings.batch, 0, labels=labels).at(0).to(torch.device("cpu"))
    compute = relations.StepLoss(entry, settings, Processes(0, 1, torch.device("cpu")))
    compute(model, batch, torch.Generator().manual_seed(0))["total"].backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    never = UNTRAINED.get(blueprint.kind, ())
    assert [name for name in without if not name.startswith(never)] == []
    assert all(any(name.startswith(prefix) for name in without) for prefix in never)


def test_fine_tuning_may_keep_fewer_queries_of_each_role(settings: dict[str, Any]) -> None:
    model = settings["model"] | {"kind": "parsed_v1", "sizes": SIZES | FAMILIES["parsed_v1"]}
    model.pop("text")
    folder = relations.main(settings | {"model": model, "steps": 1})
    data = sources.load_relations(settings["data"])
    fewer = settings_from(settings | {"model": {"start": str(folder), "pairs": 5}})

    cut, blueprint, _ = start_model(fewer, data)

    whole = load_model(folder).model.state_dict()["queries.table.weight"]
    subjects, objects = whole.chunk(2)
    assert blueprint.sizes.pairs == 5
    assert torch.equal(cut.state_dict()["queries.table.weight"], torch.cat([subjects[:5], objects[:5]]))
    published, _, _ = start_model(replace(fewer, published=True), data)
    assert torch.equal(published.state_dict()["queries.table.weight"], whole[:10])
