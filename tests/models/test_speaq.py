"""Iterative SGG as a small model: batches, weights to start from, scene graphs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from relforge.models.blocks.prediction import Labels
from relforge.models.blueprint import Blueprint
from relforge.models.checkpoint import Loaded
from relforge.models.detections import Detections
from relforge.models.published import published_blueprint, start_from_boxes, start_from_detector
from relforge.models.query_tables import cut_queries, repeat_predicate_queries
from relforge.models.scene_graph import GraphOptions, scene_graph
from relforge.models.training.targets import Targets, single_predicates
from relforge.models.zoo import family

DIM, PAIRS, LAYERS = 32, 6, 2
CLASSES, RELATIONS = ("dog", "unicorn", "person"), ("on", "near")
BACKBONE = {"family": "resnet", "embedding_size": 8, "hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 1, 1]}


def blueprint(copies: int = 1) -> Blueprint:
    sizes = family("speaq").sizes(
        dim=DIM,
        heads=4,
        pairs=PAIRS,
        predicate_copies=copies,
        feedforward=48,
        encoder_layers=1,
        decoder_layers=LAYERS,
        dropout=0.0,
    )
    return Blueprint("speaq", sizes, BACKBONE, None, CLASSES, RELATIONS)


def detr() -> dict[str, Tensor]:
    """A DETR of 4 queries and 3 decoder layers, with random weights."""
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    def attention(name: str) -> dict[str, Tensor]:
        return {
            f"{name}.in_proj_weight": random(3 * DIM, DIM),
            f"{name}.in_proj_bias": random(3 * DIM),
            f"{name}.out_proj.weight": random(DIM, DIM),
            f"{name}.out_proj.bias": random(DIM),
        }

    state = {
        "input_proj.weight": random(DIM, 48, 1, 1),
        "input_proj.bias": random(DIM),
        "query_embed.weight": random(4, DIM),
        "class_embed.weight": random(92, DIM),
        "class_embed.bias": random(92),
        "transformer.decoder.norm.weight": random(DIM),
        "transformer.decoder.norm.bias": random(DIM),
    }
    for number, rows in enumerate((DIM, DIM, 4)):
        state[f"bbox_embed.layers.{number}.weight"] = random(rows, DIM)
        state[f"bbox_embed.layers.{number}.bias"] = random(rows)
    for stack, count in (("encoder", 1), ("decoder", 3)):
        for k in range(count):
            layer = f"transformer.{stack}.layers.{k}"
            state |= attention(f"{layer}.self_attn")
            if stack == "decoder":
                state |= attention(f"{layer}.multihead_attn")
            state |= {f"{layer}.linear1.weight": random(48, DIM), f"{layer}.linear1.bias": random(48)}
            state |= {f"{layer}.linear2.weight": random(DIM, 48), f"{layer}.linear2.bias": random(DIM)}
            for number in range(1, 4 if stack == "decoder" else 3):
                norm = f"{layer}.norm{number}"
                state |= {f"{norm}.weight": random(DIM), f"{norm}.bias": random(DIM)}
    return state


def test_a_batch_gives_what_its_images_give_alone() -> None:
    torch.manual_seed(0)
    model = blueprint(2).build(None).eval()
    for name, parameter in model.named_parameters():  # what starts at zero must take part
        if "residual" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    images, padding = torch.randn(2, 3, 64, 96), torch.zeros(2, 64, 96, dtype=torch.bool)
    padding[1, :, 64:] = True
    labels = Labels([*CLASSES, "none"], RELATIONS)
    with torch.no_grad():
        batch = model(images, labels, padding).layers
        for i in range(2):
            alone = model(images[i : i + 1], labels, padding[i : i + 1]).layers
            for together, one in zip(batch, alone, strict=True):
                for field in ("subject_boxes", "object_logits", "relation_logits", "relation_boxes"):
                    torch.testing.assert_close(getattr(together, field)[i], getattr(one, field)[0])


def test_at_first_the_three_decoders_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    model = blueprint().build(None).eval()
    images, labels = torch.randn(1, 3, 64, 64), Labels([*CLASSES, "none"], RELATIONS)
    with torch.no_grad():
        before = model(images, labels).layers[-1]
        model.subject_queries.weight.normal_()
        after = model(images, labels).layers[-1]
    assert torch.equal(before.object_boxes, after.object_boxes)
    assert torch.equal(before.relation_logits, after.relation_logits)
    assert not torch.equal(before.subject_boxes, after.subject_boxes)


@pytest.mark.parametrize("writer", ["authors", "detectron2"])
def test_a_detr_starts_all_three_decoders(writer: str) -> None:
    torch.manual_seed(0)
    plan = blueprint()
    model = plan.build(None)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = detr()
    given = {f"detr.{key}": tensor for key, tensor in state.items()} if writer == "detectron2" else state
    if writer == "detectron2":
        given["detr.backbone.0.backbone.stem.conv1.weight"] = torch.rand(8, 3, 7, 7)

    start_from_detector(model, given, plan)

    ours = model.state_dict()
    for role in ("subject", "object", "predicate"):
        for k in range(LAYERS):
            for part in (
                "cross_attn.in_proj_weight",
                "self_attn.out_proj.bias",
                "linear1.weight",
                "norm3.bias",
            ):
                theirs = f"transformer.decoder.layers.{k}.{part.replace('cross_attn', 'multihead_attn')}"
                assert torch.equal(ours[f"decoder.{role}_layers.{k}.{part}"], state[theirs])
        table, queries = ours[f"{role}_queries.weight"], state["query_embed.weight"]
        assert torch.equal(table[:4], queries)
        assert torch.equal(table[4:], before[f"{role}_queries.weight"][4:])
    for norm in ("entity_norm", "predicate_norm"):
        assert torch.equal(ours[f"decoder.{norm}.weight"], state["transformer.decoder.norm.weight"])
    assert torch.equal(ours["box.layers.2.weight"], state["bbox_embed.layers.2.weight"])
    head, rows = ours["entity_classifier.weight"], state["class_embed.weight"]
    assert torch.equal(head[[0, 2, 3]], rows[[18, 1, 91]])  # dog, person, "no objects"
    assert torch.equal(head[1], before["entity_classifier.weight"][1])
    assert torch.equal(ours["relation_classifier.weight"], before["relation_classifier.weight"])
    if writer == "detectron2":
        stem = ours["backbone.body.embedder.embedder.convolution.weight"]
        assert torch.equal(stem, given["detr.backbone.0.backbone.stem.conv1.weight"])


def test_a_detr_of_the_same_classes_gives_its_whole_head() -> None:
    plan = blueprint(2)
    model = plan.build(None)
    predicates = model.state_dict()["predicate_queries.weight"].clone()
    state = detr() | {"class_embed.weight": torch.rand(4, DIM), "class_embed.bias": torch.rand(4)}
    start_from_detector(model, state, plan)
    assert torch.equal(model.state_dict()["entity_classifier.weight"], state["class_embed.weight"])
    # a table with two rows for a pair stays as it is, as in the published training
    assert torch.equal(model.state_dict()["predicate_queries.weight"], predicates)


def test_a_detector_of_ours_starts_all_three_decoders_and_the_classes_it_knows() -> None:
    torch.manual_seed(0)
    sizes = family("detr").sizes(
        dim=DIM, heads=4, queries=PAIRS, encoder_layers=1, decoder_layers=LAYERS, feedforward=48
    )
    detector = Blueprint("detr", sizes, BACKBONE, None, ("person", "unicorn"))
    loaded = Loaded(detector.build(None), detector, "")
    plan = blueprint()
    model = plan.build(None)
    dog = model.state_dict()["entity_classifier.weight"][0].clone()

    start_from_boxes(model, loaded, plan)

    ours, theirs = model.state_dict(), loaded.model.state_dict()
    for role in ("subject", "object", "predicate"):
        assert torch.equal(ours[f"{role}_queries.weight"], theirs["queries.weight"])
        norm = ours[f"decoder.{role}_layers.1.norm3.weight"]
        assert torch.equal(norm, theirs["decoder.layers.1.norm3.weight"])
        attention = ours[f"decoder.{role}_layers.1.cross_attn.in_proj_weight"]
        assert torch.equal(attention, theirs["decoder.layers.1.cross_attn.in_proj_weight"])
    assert torch.equal(ours["entity_classifier.weight"][[2, 1, 3]], theirs["class_head.weight"])
    assert torch.equal(ours["entity_classifier.weight"][0], dog)
    stem = "backbone.body.embedder.embedder.convolution.weight"
    assert torch.equal(ours[stem], theirs[stem])


def test_a_detector_that_the_authors_copied_three_times_is_no_finished_model_and_starts_one() -> None:
    plan = blueprint()
    model = plan.build(None)
    state = {
        f"detr.transformer.decoder.{role}_layers.{k}.linear1.weight": torch.rand(48, DIM)
        for role in ("subject", "object", "relation")
        for k in range(LAYERS)
    }
    state |= {"detr.query_embed.weight": torch.rand(PAIRS, DIM), "detr.surplus": torch.rand(1)}
    assert published_blueprint(state) is None
    assert start_from_detector(model, state, plan) == 3 * LAYERS + 1
    ours = model.state_dict()["decoder.predicate_layers.1.linear1.weight"]
    assert torch.equal(ours, state["detr.transformer.decoder.relation_layers.1.linear1.weight"])


def test_predicate_queries_are_cut_and_repeated_with_their_pairs() -> None:
    table = torch.arange(6.0)[:, None]  # three pairs, two rows each
    state = {"predicate_queries.weight": table, "subject_queries.weight": torch.arange(3.0)[:, None]}
    cut = cut_queries(state, 3, 2)
    assert cut["predicate_queries.weight"].flatten().tolist() == [0, 1, 2, 3]
    assert cut["subject_queries.weight"].flatten().tolist() == [0, 1]
    more = repeat_predicate_queries(state, 2, 3)["predicate_queries.weight"].unflatten(0, (3, 3))
    assert torch.equal(more[:, :2], table.unflatten(0, (3, 2)))
    assert (more[:, 2] - table[::2]).abs().max() < 0.2
    assert not torch.equal(more[:, 2], table[::2])
    fewer = repeat_predicate_queries(state, 2, 1)["predicate_queries.weight"]
    assert torch.equal(fewer, table[::2])


def test_a_pair_with_two_predicates_is_two_targets_and_one_without_is_none() -> None:
    boxes = torch.rand(3, 4)
    labels = torch.tensor([3, 4, 5])
    true = torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 0]])
    single = single_predicates(Targets(boxes, boxes, labels, labels, true))
    assert single.subject_labels.tolist() == [3, 3, 5]
    assert single.relations.argmax(1).tolist() == [0, 2, 1]
    assert single.relations.sum(1).tolist() == [1, 1, 1]


FOUND = Detections(
    subject_boxes=torch.tensor([[0.0, 0.0, 0.4, 0.4], [0.0, 0.0, 0.4, 0.38], [0.6, 0.6, 0.9, 0.9]]),
    object_boxes=torch.tensor([[0.5, 0.5, 1.0, 1.0], [0.5, 0.5, 1.0, 0.98], [0.0, 0.0, 0.4, 0.4]]),
    subject_classes=torch.tensor([0, 0, 1]),
    object_classes=torch.tensor([1, 1, 2]),
    subject_scores=torch.tensor([0.9, 0.8, 0.7]),
    object_scores=torch.tensor([0.6, 0.9, 0.5]),
    relation_scores=torch.tensor([[0.8, 0.1], [0.7, 0.2], [0.3, 0.5]]),
)


def test_repeated_boxes_are_suppressed_and_repeated_relations_dropped() -> None:
    graph = scene_graph(FOUND)
    # the second subject snaps to the first, the first object to the second, and both relations are one
    assert graph.classes.tolist() == [0, 1, 1, 2]
    assert graph.scores.tolist() == pytest.approx([0.9, 0.9, 0.7, 0.5])
    assert graph.pairs.tolist() == [[0, 1], [2, 3]]
    assert graph.predicates.tolist() == [0, 1]
    assert graph.queries.tolist() == [1, 2]
    assert graph.relation_scores.tolist() == pytest.approx([0.8 * 0.7 * 0.9, 0.7 * 0.5 * 0.5])


def test_suppression_may_be_off_or_across_classes_and_queries_may_have_two_relations() -> None:
    assert len(scene_graph(FOUND, GraphOptions(max_overlap=None)).boxes) == 6
    across = scene_graph(FOUND, GraphOptions(by_class=False))
    assert across.classes.tolist() == [0, 1, 1]  # the third object is where the first subject is
    assert across.pairs.tolist() == [[0, 1], [2, 0]]
    two = scene_graph(FOUND, GraphOptions(predicates=2))
    assert two.predicates.tolist() == [0, 1, 1, 0]
    assert two.queries.tolist() == [1, 2, 1, 2]


def test_options_out_of_range_and_models_without_subject_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="max_overlap is 2"):
        GraphOptions(max_overlap=2)
    with pytest.raises(ValueError, match="predicates is 0"):
        GraphOptions(predicates=0)
    with pytest.raises(ValueError, match="classes of subjects"):
        scene_graph(replace(FOUND, subject_classes=None))
