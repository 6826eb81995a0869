"""A model family as docs/adding.md describes it: one folder and one zoo entry, trained, saved and used."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from relforge.data import sources
from relforge.data.batches import Batches
from relforge.data.label_lists import ClosedLabels
from relforge.evaluation.detect import DetectOptions, detect
from relforge.models.blocks.prediction import Output
from relforge.models.checkpoint import load_model
from relforge.models.family import Losses
from relforge.models.training.image_targets import ImageTargets
from relforge.models.zoo import MODELS, family
from relforge.trainer.processes import Processes
from relforge.trainer.recipes import relations
from relforge.trainer.settings import settings_from
from relforge.trainer.start import interactions_of, start_model
from tests.fixtures.documented import code_blocks

SECTION = "A model family"


@pytest.fixture
def recipe(settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The documented recipe on the drawn training set; the documented folder is importable and in the zoo."""
    for code in code_blocks(SECTION, "python"):
        path = tmp_path / code.splitlines()[0].removeprefix("# ").strip()
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(MODELS.entries, "grid_pairs", "grid_pairs.family:FAMILY")
    documented = yaml.safe_load(code_blocks(SECTION, "yaml")[0])
    assert documented["model"]["kind"] == "grid_pairs.family:FAMILY"
    documented["model"]["kind"] = "grid_pairs"  # as in the zoo
    # where it reads and writes, and how long and how large, are the test's
    given = {key: settings[key] for key in ("out", "data", "batch")}
    return documented | given | {"steps": settings["steps"], "log_every": 1}


def test_it_trains_by_the_recipe_and_its_folder_loads_and_detects(recipe: dict[str, Any]) -> None:
    folder = relations.main(recipe | {"steps": 2})

    log = [json.loads(line) for line in (Path(recipe["out"]) / "log.jsonl").read_text().splitlines()]
    assert len(log) == 2
    assert {"total", "relations", "labels", "subject_boxes", "object_giou"} <= log[0].keys()

    loaded = load_model(folder)
    images = sources.load_relations(recipe["data"], keep_empty=True)
    assert tuple(loaded.blueprint.relations) == tuple(images.predicates)
    found = detect(loaded, images, images.predicates[:2], None, DetectOptions(short_side=48, long_side=64))
    assert len(found) > 0
    assert set(found.predicate) <= set(images.predicates[:2])
    assert set(found.subject) <= set(images.categories)


def test_every_part_of_it_learns(recipe: dict[str, Any]) -> None:
    settings = settings_from(recipe)
    data = sources.load_relations(recipe["data"])
    model, blueprint, _ = start_model(settings, data)
    entry = family(blueprint.kind)
    batch = Batches(data, settings.batch, 0, labels=ClosedLabels(data)).at(0).to(torch.device("cpu"))
    compute = relations.StepLoss(entry, settings, Processes(0, 1, torch.device("cpu")))
    compute(model, batch, torch.Generator().manual_seed(0))["total"].backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []


def test_a_family_of_whole_images_is_trained_on_image_targets(
    recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def losses(*, published: bool) -> Losses:
        def compute(output: Output, targets: list[ImageTargets], pairs: float) -> dict[str, Tensor]:
            given.extend(targets)
            return {"total": output.layers[-1].relation_logits.sum()}

        return compute

    entry = replace(family("grid_pairs"), targets="images", losses=losses)
    monkeypatch.setattr(sys.modules["grid_pairs.family"], "FAMILY", entry)
    settings = replace(settings_from(recipe), losses={})
    data = sources.load_relations(recipe["data"])
    model, blueprint, _ = start_model(settings, data)
    labels = ClosedLabels(data, blueprint.classes, blueprint.relations, blueprint.interactions)
    batch = Batches(data, settings.batch, 0, labels=labels).at(0).to(torch.device("cpu"))
    compute = relations.StepLoss(entry, settings, Processes(0, 1, torch.device("cpu")))
    compute(model, batch, torch.Generator().manual_seed(0))
    assert all(len(target.interactions) == len(blueprint.interactions) > 0 for target in batch.image_targets)
    assert batch.image_targets[0].interactions.sum() > 0
    assert all(one is other for one, other in zip(given, batch.image_targets, strict=True))


def test_training_goes_on_from_its_folder_and_other_labels_get_new_heads(recipe: dict[str, Any]) -> None:
    folder = relations.main(recipe | {"steps": 1})
    settings = replace(settings_from(recipe), model={"start": str(folder)})
    data = sources.load_relations(recipe["data"])
    saved = load_model(folder).model.state_dict()

    same = start_model(settings, data)[0].state_dict()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in same.items())

    other, blueprint, _ = start_model(settings, replace(data, predicates=[*data.predicates, "painted by"]))
    assert blueprint.relations[-1] == "painted by"
    new = other.state_dict()
    assert len(new["relation.weight"]) == len(saved["relation.weight"]) + 1
    assert torch.equal(new["object_class.weight"], saved["object_class.weight"])


def test_its_labels_are_closed(recipe: dict[str, Any]) -> None:
    loaded = load_model(relations.main(recipe | {"steps": 1}))
    images = sources.load_relations(recipe["data"], keep_empty=True)
    with pytest.raises(ValueError, match="was not trained on the relation 'painted by'"):
        detect(loaded, images, ["painted by"], None, DetectOptions(short_side=48, long_side=64))


def test_a_family_outside_the_repository_is_named_by_its_module(recipe: dict[str, Any]) -> None:
    recipe["model"]["kind"] = "grid_pairs.family:FAMILY"
    assert load_model(relations.main(recipe | {"steps": 1})).blueprint.kind == "grid_pairs.family:FAMILY"


def test_what_is_no_family_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not a relforge\.models\.family\.Family"):
        family("relforge.models.zoo:MODELS")


def test_interactions_are_the_distinct_relations_with_their_objects(recipe: dict[str, Any]) -> None:
    data = sources.load_relations(recipe["data"])
    expected = set()
    for example in (data[index] for index in range(len(data))):
        for (_, object_), codes in zip(example.pairs, example.predicates, strict=True):
            expected |= {(data.predicates[c], data.categories[example.categories[object_]]) for c in codes}
    found = interactions_of(data)
    assert len(found) == len(set(found))
    assert set(found) == expected
