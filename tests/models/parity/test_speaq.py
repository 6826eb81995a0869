"""SpeaQ and Iterative SGG against the published code (g16): network, losses, training step, scene graphs."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relforge.models.blocks.boxes import xyxy_from_cxcywh
from relforge.models.blocks.prediction import Labels, Output, Prediction, repeat_pairs
from relforge.models.published import load_published, published_blueprint, read_published
from relforge.models.scene_graph import GraphOptions, in_pixels, scene_graph
from relforge.models.speaq.family import detections
from relforge.models.speaq.losses import triplet_losses
from relforge.models.speaq.matching import TripletCosts
from relforge.models.speaq.model import IterativeSgg
from relforge.models.speaq.relation_boxes import relation_boxes
from relforge.models.training.criterion import Criterion
from relforge.models.training.reweighting import Reweighting
from relforge.models.zoo import family
from tests.fixtures.speaq_goldens import MatcherFile, matcher_file
from tests.fixtures.zoo_goldens import BOX, LOGIT, stored, without_dropout

FIELDS = {
    "relation_logits": "relation_logits",
    "relation_coords": "relation_boxes",
    "relation_subject_logits": "subject_logits",
    "relation_subject_coords": "subject_boxes",
    "relation_object_logits": "object_logits",
    "relation_object_coords": "object_boxes",
}
TERMS = {
    "subject_boxes": ("loss_bbox_subject",),
    "object_boxes": ("loss_bbox_object",),
    "relation_boxes": ("loss_bbox_relation",),
    "subject_giou": ("loss_giou_subject",),
    "object_giou": ("loss_giou_object",),
    "relation_giou": ("loss_giou_relation",),
    "labels": ("loss_ce_subject", "loss_ce_object"),
    "relations": ("loss_relation",),
}
CASES = (
    "readme",
    "readme_no_reweight",
    "readme_reweight_flag_off",
    "baseline_joint",
    "static3_joint_group",
    "dynamic_min_independent",
    "no_relations_in_batch",
)


@pytest.fixture(scope="session")
def speaq_state(checkpoint: Callable[..., dict[str, Tensor]]) -> dict[str, Tensor]:
    """The published file, by the formula and its three factors (SPEC_speaq_defr, section 1)."""
    state = checkpoint("g16_speaq_state_dict.json", lambda key: key.removeprefix("detr."))
    for key, tensor in state.items():
        last = key.rpartition(".")[2]
        inside = key.startswith("detr.transformer.")
        if key in ("detr.object_query_embed.weight", "detr.relation_query_embed.weight"):
            state[key] = tensor * 16
        elif inside and last in ("in_proj_weight", "q_proj_weight", "k_proj_weight"):
            state[key] = tensor * 2
        elif inside and key.endswith("self_attn.out_proj.weight"):
            state[key] = tensor * 0.25
    return state


@pytest.fixture(scope="session")
def speaq(speaq_state: dict[str, Tensor]) -> IterativeSgg:
    return build(speaq_state)


def build(state: dict[str, Tensor]) -> IterativeSgg:
    blueprint = published_blueprint(state)
    assert blueprint is not None
    assert blueprint.kind == "speaq"
    model = blueprint.build(None)
    assert isinstance(model, IterativeSgg)
    load_published(model, state, blueprint)
    return without_dropout(model).eval()


def given_maps() -> tuple[Tensor, Tensor]:
    """The fixtures' res5 maps."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(b"speaq/input/res5")))
    maps = torch.from_numpy(generator.standard_normal((2, 2048, 7, 9)).astype(np.float32)).clamp(min=0)
    return maps, torch.zeros(2, 7, 9, dtype=torch.bool)


@pytest.fixture
def file(goldens: Path) -> MatcherFile:
    return matcher_file(goldens)


def test_the_formula_gives_the_fixtures_weights(speaq_state: dict[str, Tensor], goldens: Path) -> None:
    checks = stored(goldens, "g16_speaq_weight_checks.json")
    assert len(checks) == 649
    for key, (total, absolute, *first) in checks.items():
        values = speaq_state[key].double()
        assert abs(float(values.sum()) - total) <= 1e-9 * absolute, key
        assert values.flatten()[:2].tolist() == pytest.approx(first), key


@pytest.mark.parametrize("which", ["speaq", pytest.param("baseline", marks=pytest.mark.slow)])
def test_every_layer_predicts_what_the_published_network_does(
    which: str, golden: Callable[[str], Any], speaq: IterativeSgg, speaq_state: dict[str, Tensor]
) -> None:
    expected = golden("g16_speaq_inference")
    model = speaq
    if which == "baseline":
        key = "detr.relation_query_embed.weight"
        # the formula's value of a table half as long is another
        generator = np.random.Generator(np.random.PCG64(zlib.crc32(key.removeprefix("detr.").encode())))
        table = torch.from_numpy(generator.standard_normal((300, 256)).astype(np.float32))
        model = build(speaq_state | {key: table})
    maps, padding = given_maps()
    for mask, (rows, columns) in zip(padding, expected[f"{which}/valid_rows_cols"].tolist(), strict=True):
        mask[rows:] = True
        mask[:, columns:] = True
    with torch.no_grad():
        layers = model.decode(maps, padding)
    for theirs, ours in FIELDS.items():
        values = torch.stack([getattr(layer, ours) for layer in layers])
        atol = BOX if ours.endswith("boxes") else LOGIT
        expected.check(f"{which}/layers/{theirs}", values, atol)
        expected.check(f"{which}/last_first4/{theirs}", values[-1, :, :4], atol)


def test_images_go_through_detectron2s_backbone(
    golden: Callable[[str], Any], speaq: IterativeSgg, images: tuple[Tensor, Tensor]
) -> None:
    expected = golden("g16_speaq_inference")
    with torch.no_grad():
        maps = speaq.backbone(images[0])
        last = repeat_pairs(speaq(images[0], Labels([], []), images[1]).layers[-1])
    for values, name in zip(maps, ("res3", "res4", "res5"), strict=True):
        expected.check(f"backbone/{name}", values, 1e-4)
    expected.check("backbone/full_relation_logits", last.relation_logits, LOGIT)
    expected.check("backbone/full_relation_subject_boxes", last.subject_boxes, BOX)


def test_a_file_with_a_key_too_many_or_too_few_is_refused_with_a_list(
    speaq_state: dict[str, Tensor], speaq: IterativeSgg
) -> None:
    state = dict(speaq_state)
    state["detr.surplus.weight"] = torch.zeros(1)
    missing = state.pop("detr.backbone.0.backbone.res4.22.conv2.norm.bias")
    blueprint = published_blueprint(speaq_state)
    assert blueprint is not None
    with pytest.raises(ValueError, match=r"(?s)missing backbone\..*surplus detr\.surplus\.weight"):
        load_published(speaq, state, blueprint)
    state["detr.backbone.0.backbone.res4.22.conv2.norm.bias"] = missing[:-1]
    with pytest.raises(
        ValueError, match=r"shape of detr\.backbone\.0\.backbone\.res4\.22\.conv2\.norm\.bias"
    ):
        load_published(speaq, state, blueprint)


def test_no_pickled_code_of_a_file_is_run(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"model": {"detr.query_embed.weight": torch.zeros(1)}, "trainer": Runs()}, tmp_path / "m.pth")
    with pytest.raises(ValueError, match="not a checkpoint of plain weights"):
        read_published(tmp_path / "m.pth")
    assert not (tmp_path / "ran").exists()


def test_relation_boxes_span_the_centres(file: MatcherFile) -> None:
    for i, target in enumerate(file.targets()):
        boxes = relation_boxes(target.subject_boxes, target.object_boxes)
        torch.testing.assert_close(boxes, file[f"target{i}/relation_boxes"], rtol=0, atol=1e-6)


def criterion(file: MatcherFile, facts: dict[str, Any], pairs: int = 20) -> Criterion:
    """SpeaQ's losses under the release's settings."""
    config = facts["config"]
    alpha, beta = config["OVERSAMPLE_PARAM"], config["UNDERSAMPLE_PARAM"] / 2
    weights = None
    if config.get("REWEIGHT_RELATIONS", True):
        weights = Reweighting(alpha, beta).factors(file.training_counts)
    assigner = replace(file.matching(config, pairs), predicate_weights=weights)
    assert isinstance(assigner.matcher, TripletCosts)
    return replace(triplet_losses(published=True), assigner=assigner)


def check_losses(losses: Criterion, layers: list[Prediction], targets: Any, facts: dict[str, Any]) -> None:
    """Every term of every layer, and the total."""
    for k, assigned in enumerate(losses.assign(layers, targets, 1.0)):
        suffix = "" if k == len(layers) - 1 else f"_{k}"
        for name, parts in TERMS.items():
            expected = sum(facts["losses"][part + suffix] for part in parts)
            term = losses.terms[name](assigned)
            assert term is not None
            assert term.item() == pytest.approx(expected, rel=1e-5)
        repeats = float(assigned.report["repeats"])
        assert repeats == pytest.approx(facts["losses"][f"k_log_layer{k + 1}"])


@pytest.mark.parametrize("case", CASES)
def test_losses_and_their_gradients_are_the_published_ones(
    file: MatcherFile, goldens: Path, golden: Callable[[str], Any], case: str
) -> None:
    facts = stored(goldens, "g16_speaq_criterion.json")["cases"][case]
    assert set(CASES) == set(stored(goldens, "g16_speaq_criterion.json")["cases"])
    losses = criterion(file, facts)
    targets = file.targets()
    if case == "no_relations_in_batch":
        targets = [target.take(torch.zeros(0, dtype=torch.long)) for target in targets]
    layers = file.layers(facts["M"], gradients=True)
    check_losses(losses, layers, targets, facts)
    total = losses(Output(layers), targets, 1.0)["total"]
    assert float(total.detach()) == pytest.approx(facts["weighted_total"], rel=1e-5)

    total.backward()
    arrays = golden("g16_speaq_criterion")
    for stem, norm in facts["grad_norm"].items():
        name = stem.removeprefix("relation_")
        name = f"relation_{name}" if name in ("logits", "boxes") else name
        tensors = [getattr(layer, name) for layer in layers]
        gradient = torch.stack([torch.zeros_like(t) if t.grad is None else t.grad for t in tensors])
        assert float(gradient.norm()) == pytest.approx(norm, rel=1e-3)
        assert float(gradient.abs().sum()) == pytest.approx(facts["grad_sum_abs"][stem], rel=1e-3)
        if f"{case}/grad/{stem}" in arrays:
            arrays.check(f"{case}/grad/{stem}", gradient, 1e-5 * max(1.0, norm))


def test_class_weights_are_the_published_ones(file: MatcherFile, goldens: Path) -> None:
    cases = stored(goldens, "g16_speaq_criterion.json")["cases"]
    ours = Reweighting(0.07, 0.75).factors(file.training_counts)
    expected = cases["readme"]["empty_rel_weight"]
    assert [ours[name] for name in file.facts["classes"]] == pytest.approx(expected[:50], rel=1e-5)
    assert expected[50] == pytest.approx(0.1)


def test_a_training_step_of_the_whole_network(
    file: MatcherFile, goldens: Path, speaq: IterativeSgg, speaq_state: dict[str, Tensor]
) -> None:
    facts = stored(goldens, "g16_speaq_training.json")
    losses, targets = criterion(file, facts, pairs=300), file.targets(2)
    maps, padding = given_maps()
    for mask, (rows, columns) in zip(
        padding, np.load(goldens / "g16_speaq_inference.npz")["speaq/valid_rows_cols"].tolist(), strict=True
    ):
        mask[rows:] = True
        mask[:, columns:] = True
    speaq.zero_grad()
    layers = speaq.train().decode(maps, padding)
    try:
        check_losses(losses, layers, targets, facts)
        matches = losses.assigner.match(layers, targets)[-1]  # type: ignore[attr-defined]
        for match, (queries, clones), target in zip(
            matches, facts["matched_last"], facts["expanded_last"], strict=True
        ):
            assert match.queries.tolist() == queries
            assert len(target) == len(clones)
        total = losses(Output(layers), targets, 1.0)["total"]
        assert float(total.detach()) == pytest.approx(facts["weighted_total"], rel=1e-5)
        total.backward()
        reader = family("speaq").published
        blueprint = published_blueprint(speaq_state)
        assert reader is not None
        assert blueprint is not None
        names = {key: name for name, (key, _) in reader.rename(speaq_state, blueprint)[0].items()}
        gradients = {name: p.grad for name, p in speaq.named_parameters()}
        for key, expected in facts["gradients"].items():
            ours = gradients[names[key]]
            assert ours is not None
            norm = expected["norm"]
            assert float(ours.norm()) == pytest.approx(norm, rel=1e-3), key
            assert abs(float(ours.double().sum()) - expected["sum"]) <= 2e-4 * norm * ours.numel() ** 0.5
            # sums in another order (one or two threads) move single values by 3e-3 of their root mean square
            atol = 1e-2 * norm / ours.numel() ** 0.5
            first = torch.tensor(expected["first4"])
            torch.testing.assert_close(ours.flatten()[:4], first, rtol=1e-3, atol=atol)
        without = [n for n, g in gradients.items() if g is None and not n.startswith("backbone.")]
        assert without == facts["no_gradient"]
        norms = torch.stack([g.norm() for n, g in gradients.items() if g is not None])
        whole = facts["total_gradient_norm_without_backbone"]
        assert float(norms.norm()) == pytest.approx(whole, rel=1e-3)
    finally:
        speaq.zero_grad()
        speaq.eval()


@pytest.mark.parametrize("count", [1, 2])
def test_scene_graphs_are_the_published_ones(goldens: Path, golden: Callable[[str], Any], count: int) -> None:
    arrays = golden("g16_speaq_postprocess")
    facts = json.loads((goldens / "g16_speaq_postprocess.json").read_text())
    names = ("subject_boxes", "object_boxes", "subject_logits", "object_logits", "logits")
    prediction = Prediction(*(arrays[f"in/relation_{name}"] for name in names))
    found = detections(prediction)  # four images at once, where the release takes one
    for i, one in enumerate(found):
        graph = scene_graph(one, GraphOptions(max_overlap=facts["nms_thresh"], predicates=count))
        stem = f"num_rel{count}/image{i}"
        height, width = facts["network_hw"][i]
        scale = torch.tensor([width, height, width, height])
        arrays.check(f"{stem}/pred_boxes", graph.boxes * scale, 2e-3)
        arrays.check(f"{stem}/scores", graph.scores, 1e-5)
        assert torch.equal(graph.classes, arrays[f"{stem}/pred_classes"])
        assert torch.equal(graph.pairs, arrays[f"{stem}/rel_pair_idxs"])
        assert torch.equal(graph.predicates, arrays[f"{stem}/pred_rel_labels"])
        # of an exact tie either query may stand
        places = arrays[f"{stem}/query_index"] // count
        tied = torch.where(places == 10, 4, places), torch.where(graph.queries == 10, 4, graph.queries)
        assert torch.equal(*(tied if i == 2 else (places, graph.queries)))
        height, width = facts["original_hw"][i]
        resized = in_pixels(graph, (width, height))
        arrays.check(f"{stem}/resized_boxes", resized.boxes, 2e-3)


def test_boxes_outside_the_image_take_their_relations_along() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.4], [1.6, 0.5, 0.4, 0.4], [0.3, 0.3, 0.2, 0.2]])
    logits = torch.full((1, 3, 4), -5.0)
    logits[0, range(3), [0, 1, 2]] = torch.tensor([5.0, 6.0, 4.0])
    others = boxes.roll(1, 0)
    prediction = Prediction(boxes[None], others[None], logits, logits.roll(1, 1), torch.randn(1, 3, 6))
    (found,) = detections(prediction)
    graph = in_pixels(scene_graph(found), (100, 50))
    assert len(graph.boxes) == 2
    assert len(graph.pairs) == 1
    corners = xyxy_from_cxcywh(boxes[[0, 2]]) * torch.tensor([100, 50, 100, 50])
    torch.testing.assert_close(graph.boxes[graph.pairs[0]], corners)
