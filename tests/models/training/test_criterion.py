"""Assignment and losses at their edges."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from relforge.models.blocks.prediction import Output, Prediction
from relforge.models.rlipv2.family import tagger_losses
from relforge.models.training.assign import Hungarian
from relforge.models.training.search_losses import search_losses
from relforge.models.training.targets import Targets


def prediction(batch_size: int = 2, queries: int = 6, objects: int = 4, relations: int = 3) -> Prediction:
    torch.manual_seed(0)

    def boxes() -> Tensor:
        return (torch.rand(batch_size, queries, 4) * 0.3 + 0.2).requires_grad_()

    def logits(labels: int) -> Tensor:
        return torch.randn(batch_size, queries, labels).requires_grad_()

    return Prediction(boxes(), boxes(), logits(objects), logits(objects), logits(relations))


def targets(count: int, relations: int = 3) -> Targets:
    box = torch.tensor([[0.4, 0.4, 0.2, 0.2]]).repeat(count, 1)
    labels = torch.zeros(count, dtype=torch.long)
    true = torch.eye(relations)[torch.arange(count) % relations]
    return Targets(box, box, labels, labels + 1, true)


def test_a_batch_without_given_pairs_costs_nothing_and_still_has_gradients() -> None:
    layer = prediction()
    total = tagger_losses()(Output([layer]), [targets(0), targets(0)], 1.0)["total"]
    assert float(total.detach()) == 0
    total.backward()
    tensors = [value for value in vars(layer).values() if isinstance(value, torch.Tensor)]
    assert all(tensor.grad is not None for tensor in tensors)


def test_a_search_without_pairs_still_learns_that_there_are_none() -> None:
    losses = search_losses(pseudo=False)(Output([prediction()]), [targets(0), targets(0)], 1.0)
    assert float(losses["labels"].detach()) > 0
    assert float(losses["subject_boxes"].detach()) == 0


def test_an_object_that_does_not_exist_counts_nowhere() -> None:
    absent = targets(2)
    absent.object_boxes = torch.zeros(2, 4)
    losses = tagger_losses()(Output([prediction()]), [absent, targets(0)], 2.0)
    assert float(losses["object_boxes"].detach()) == 0
    assert float(losses["object_giou"].detach()) == 0
    assert float(losses["subject_boxes"].detach()) > 0


def test_subject_box_terms_are_divided_by_the_number_of_pairs_that_is_passed() -> None:
    output, given = Output([prediction()]), [targets(2), targets(1)]
    three, six = (tagger_losses()(output, given, pairs) for pairs in (3.0, 6.0))
    for name in ("subject_boxes", "subject_giou"):
        assert float(three[name].detach()) == pytest.approx(2 * float(six[name].detach()))
    for name in ("object_boxes", "object_giou", "labels", "relations"):
        assert float(three[name].detach()) == float(six[name].detach())


def test_perfect_boxes_and_labels_are_matched() -> None:
    layer = prediction(batch_size=1)
    target = targets(2)
    target.subject_boxes = layer.subject_boxes[0, [4, 1]].detach()
    target.object_boxes = layer.object_boxes[0, [4, 1]].detach()
    ((queries, chosen),) = Hungarian().assign(layer, [target])
    assert dict(zip(queries.tolist(), chosen.tolist(), strict=True)) == {4: 0, 1: 1}


def test_outputs_that_are_not_finite_are_refused() -> None:
    layer = prediction()
    with torch.no_grad():
        layer.relation_logits[0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        Hungarian().assign(layer, [targets(1), targets(1)])


def test_a_model_without_subject_classes_trains_and_matches_without_them() -> None:
    layer = prediction()
    layer.subject_logits = None
    losses = search_losses(pseudo=False)(Output([layer]), [targets(1), targets(2)], 3.0)
    losses["total"].backward()
    assert layer.object_logits.grad is not None


def test_a_weight_changes_its_term_alone() -> None:
    output, given = Output([prediction()]), [targets(2), targets(1)]
    plain = tagger_losses()(output, given, 3.0)
    doubled = tagger_losses(weights={"relations": 2.0})(output, given, 3.0)
    more = float(doubled["total"].detach() - plain["total"].detach())
    assert more == pytest.approx(float(plain["relations"].detach()), rel=1e-5)


def test_a_weight_of_no_term_is_named() -> None:
    with pytest.raises(ValueError, match=r"losses\.weights\.verbs: there is no such term"):
        tagger_losses(weights={"verbs": 2.0})


@pytest.mark.parametrize("relations", ["focal", "smooth", "bce"])
def test_pseudo_labels_need_soft_targets(relations: str) -> None:
    with pytest.raises(ValueError, match=r"they need losses\.relations `quality`"):
        search_losses(relations=relations, pseudo=True)


def test_pseudo_labels_need_text_features() -> None:
    with pytest.raises(ValueError, match="this model has closed labels"):
        search_losses(pseudo=True)(Output([prediction()]), [targets(1), targets(1)], 2.0)


def test_unknown_relation_targets_are_named() -> None:
    with pytest.raises(ValueError, match="choose one of quality, focal, smooth, bce"):
        search_losses(relations="hard")
