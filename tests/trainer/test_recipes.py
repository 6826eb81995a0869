"""Recipes: the loss falls, a resumed run ends in the same weights, the model folder loads."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from relforge.data.sources import load_relations
from relforge.models.checkpoint import load_model
from relforge.trainer.recipes import relations
from relforge.trainer.settings import settings_from
from relforge.trainer.start import start_model
from tests.fixtures import tiny_published, tiny_tagger
from tests.fixtures.stopping import stopped_after


def losses(out: str) -> list[float]:
    return [json.loads(line)["total"] for line in (Path(out) / "log.jsonl").read_text().splitlines()]


def test_a_stopped_run_continues_to_the_same_weights(settings: dict[str, Any]) -> None:
    # given a run that is stopped after its second step
    whole = relations.main(settings)
    stopped = deepcopy(settings) | {"out": settings["out"] + "-stopped"}
    with stopped_after(2):
        relations.main(stopped)

    # when the same command runs again
    resumed = relations.main(stopped)

    # then weights and log are those of the undisturbed run
    one, two = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert losses(settings["out"]) == losses(stopped["out"])


def test_other_settings_refuse_the_snapshot(settings: dict[str, Any]) -> None:
    relations.main(settings)
    with pytest.raises(ValueError, match="other settings"):
        relations.main(settings | {"seed": 1})


def test_noise_that_is_annealed_differs_from_the_share_of_the_training_on(settings: dict[str, Any]) -> None:
    settings |= {"steps": 4, "noise": {"box": 0.4, "label": 0.0}}
    relations.main(settings)
    quiet = settings["noise"] | {"last_box": 0.0, "anneal": [0.25, 0.5]}
    relations.main(settings | {"out": settings["out"] + "-2", "noise": quiet})

    noisy, annealed = losses(settings["out"]), losses(settings["out"] + "-2")
    # steps 0 and 1 begin at shares 0 and 0.25 of the training, step 2 at 0.5
    assert annealed[:2] == noisy[:2]
    assert annealed[2] != noisy[2]


@pytest.mark.parametrize("kind", ["parsed", "parseda"])
def test_pre_training_steps_and_leaves_a_model_folder(settings: dict[str, Any], kind: str) -> None:
    settings["model"]["kind"] = kind
    settings["steps"] = 2
    loaded = load_model(relations.main(settings))
    assert loaded.blueprint.kind == kind
    assert "person" in loaded.blueprint.classes


def test_training_lowers_the_loss(settings: dict[str, Any]) -> None:
    settings["steps"] = 30
    settings["batch"]["mirror"] = 0.0
    relations.main(settings)
    totals = losses(settings["out"])
    assert sum(totals[-5:]) < 0.9 * sum(totals[:5])


def test_bf16_and_a_model_to_start_from(settings: dict[str, Any]) -> None:
    start = relations.main(settings)
    settings |= {"out": settings["out"] + "-2", "model": {"start": str(start)}, "steps": 1}
    settings["optimisation"] = {"precision": "bf16"}
    assert relations.main(settings).is_dir()


def test_an_r_tagger_to_start_from_gets_parts_that_add_nothing_at_first(settings: dict[str, Any]) -> None:
    start = relations.main(settings | {"steps": 1})
    wanted = {"pair_geometry": True, "pair_pixels": 48}
    more = settings | {"model": {"start": str(start), "sizes": wanted}}
    before = load_file(start / "model.safetensors")

    begun, blueprint, _ = start_model(settings_from(more), load_relations(more["data"]))

    assert (blueprint.sizes.pair_geometry, blueprint.sizes.pair_pixels) == (True, 48)
    state = begun.state_dict()
    assert all(torch.equal(state[name], value) for name, value in before.items())
    assert not state["pair_pixels.mix.layers.1.weight"].any()
    trained = relations.main(more | {"out": settings["out"] + "-2", "steps": 1})
    finer = settings_from(more | {"model": {"start": str(trained), "sizes": {"pair_pixels": 64}}})
    model, blueprint, _ = start_model(finer, load_relations(more["data"]))
    assert (blueprint.sizes.pair_pixels, model.pair_pixels.points) == (64, 64)
    assert torch.equal(model.pair_pixels.seen.weight, load_model(trained).model.pair_pixels.seen.weight)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"dim": 32}, r"unknown setting model\.sizes\.dim; .*choose from model\.sizes\.pair_geometry"),
        ({"pair_pixels": True}, "pair_pixels: 1 points a side are too few; use 16 or more"),
        ({"pair_pixels": -5}, "pair_pixels: -5 points a side are too few; use 16 or more"),
    ],
)
def test_no_other_size_of_a_model_to_start_from_changes(
    settings: dict[str, Any], sizes: dict[str, Any], message: str
) -> None:
    start = relations.main(settings | {"steps": 1})
    with pytest.raises(ValueError, match=message):
        relations.main(settings | {"out": "x", "model": {"start": str(start), "sizes": sizes}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ouput": "x"}, "unknown setting ouput"),
        ({"batch": {"sizes": 1}}, "unknown setting batch.sizes"),
        ({"optimisation": {"precision": "fp8"}}, "fp8"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings_from(settings | change)


def test_a_recipe_refuses_what_it_would_not_use(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown setting noise\.boxes"):
        relations.main(settings | {"noise": {"boxes": 0.4}})
    with pytest.raises(ValueError, match=r"unknown setting losses\.pseudo"):
        relations.main(settings | {"losses": {"pseudo": True}})
    settings["model"]["kind"] = "parsed"
    with pytest.raises(ValueError, match="parsed is not given any pairs"):
        relations.main(settings | {"noise": {"box": 0.4}})


@pytest.mark.parametrize("ordered", [False, True])
def test_parsed_starts_from_what_it_shares_with_an_r_tagger(settings: dict[str, Any], ordered: bool) -> None:
    settings["model"]["sizes"]["ordered_pairs"] = ordered
    tagger = load_file(relations.main(settings | {"steps": 1}) / "model.safetensors")
    again = settings | {"out": settings["out"] + "-2", "steps": 0, "noise": {}}
    again["optimisation"] = {}
    again["model"] = {"kind": "parsed", "start": str(Path(settings["out"]) / "model")}

    parsed = load_file(relations.main(again) / "model.safetensors")

    shared = parsed.keys() & tagger.keys()
    assert all(torch.equal(parsed[name], tagger[name]) for name in shared)
    assert {name.split(".")[0] for name in parsed.keys() - shared} == {"queries"}
    assert parsed["queries.table.weight"].shape[0] == 2 * settings["batch"]["max_pairs"]


def last_terms(out: str) -> dict[str, float]:
    lines = (Path(out) / "log.jsonl").read_text().splitlines()
    terms: dict[str, float] = json.loads(lines[-1])
    return terms


@pytest.mark.parametrize("targets", ["focal", "smooth", "bce"])
def test_relation_targets_are_an_option_of_the_recipe(settings: dict[str, Any], targets: str) -> None:
    settings["model"]["kind"] = "parsed"
    settings["steps"] = 1
    relations.main(settings)
    relations.main(settings | {"out": settings["out"] + "-2", "losses": {"relations": targets}})
    one, two = last_terms(settings["out"]), last_terms(settings["out"] + "-2")
    assert one["relations"] != two["relations"]
    assert one["subject_boxes"] == two["subject_boxes"]


def test_a_published_file_is_a_start(settings: dict[str, Any], tmp_path: Path) -> None:
    # given an R-Tagger's file, which holds no tokenizer
    ours = tiny_published.model().state_dict()
    path = tiny_published.write(tmp_path / "a.pth", tiny_published.published_state("rtagger", ours))
    tiny_tagger.tokenizer().save_pretrained(tmp_path / "words")
    settings["model"] = {"start": str(path), "tokenizer": str(tmp_path / "words"), "gate": "scalar"}

    loaded = load_model(relations.main(settings | {"steps": 0, "optimisation": {}}))

    assert loaded.blueprint.sizes.gate == "scalar"
    assert all(torch.equal(tensor, ours[name]) for name, tensor in loaded.model.state_dict().items())


def test_a_converted_detector_is_a_start(settings: dict[str, Any], tmp_path: Path) -> None:
    # given a detector, which holds no text encoder, and a recipe that states what it lacks
    ours = tiny_published.model("parsed").state_dict()
    state = tiny_published.as_detector(tiny_published.published_state("parsed", ours))
    path = tiny_published.write(tmp_path / "detector.pth", state)
    sizes = asdict(tiny_published.SIZES)
    del sizes["pairs"]
    backbone, text = tiny_tagger.BLUEPRINT.backbone, settings["model"]["text"]
    settings["model"] = {"kind": "parsed", "start": str(path)}
    settings["model"] |= {"sizes": sizes, "backbone": backbone, "text": text}

    found = load_model(relations.main(settings | {"steps": 0, "optimisation": {}})).model.state_dict()

    for part in ("backbone.", "encoder.layers.", "entity_decoder.", "subject_boxes.", "queries.table."):
        names = [name for name in found if name.startswith(part)]
        assert names
        assert all(torch.equal(found[name], ours[name]) for name in names), part


def test_what_nothing_would_read_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError, match=r"unknown setting model\.size; did you mean model\.sizes\? choose from model\.kind"
    ):
        relations.main(settings | {"model": {"size": {}}})
    start = relations.main(settings | {"steps": 0})
    again = settings | {"out": settings["out"] + "-2", "model": {"start": str(start), "text": {}}}
    with pytest.raises(ValueError, match=r"unknown setting model\.text; choose from model\.kind"):
        relations.main(again)
