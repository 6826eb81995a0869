"""Matching by groups of predicates, of repeated targets, in models of our own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from relforge.models.blocks.prediction import Output, Prediction
from relforge.models.training.assign import Hungarian
from relforge.models.training.criterion import Criterion
from relforge.models.training.grouped_matching import GroupedMatching
from relforge.models.training.matches import Match, assign_pairs
from relforge.models.training.multi_assignment import MultiAssignment
from relforge.models.training.predicate_groups import PredicateGroups
from relforge.models.training.search_losses import search_losses
from relforge.models.training.targets import Targets

NAMES = ["on", "in", "ride", "hold"]
GROUPS = PredicateGroups(("on", "in", "ride", "hold"), (60, 30, 2, 1), (2, 2), (6, 6))
"""Queries 0 to 5 are for "on" and "in", 6 to 11 for "ride" and "hold"."""


def layers(count: int = 2, queries: int = 12, copies: int = 1, relations: int = 4) -> list[Prediction]:
    generator = torch.Generator().manual_seed(0)

    def boxes() -> Tensor:
        return (torch.rand(2, queries, 4, generator=generator) * 0.3 + 0.2).requires_grad_()

    def logits(number: int, labels: int) -> Tensor:
        return torch.randn(2, number, labels, generator=generator).requires_grad_()

    return [
        Prediction(
            boxes(), boxes(), logits(queries, 4), logits(queries, 4), logits(queries * copies, relations)
        )
        for _ in range(count)
    ]


def targets(*predicates: str | tuple[str, ...]) -> Targets:
    generator = torch.Generator().manual_seed(len(predicates))
    true = torch.zeros(len(predicates), len(NAMES))
    for row, names in enumerate(predicates):
        for name in [names] if isinstance(names, str) else names:
            true[row, NAMES.index(name)] = 1
    boxes = torch.rand(2, len(predicates), 4, generator=generator) * 0.3 + 0.2
    labels = torch.arange(len(predicates)) % 3
    return Targets(boxes[0], boxes[1], labels, labels, true)


def matching(**options: object) -> GroupedMatching:
    return GroupedMatching(Hungarian(), relations=NAMES, **options)  # type: ignore[arg-type]


def criterion(assigner: GroupedMatching | Hungarian, relations: str = "focal") -> Criterion:
    return replace(search_losses(relations=relations, pseudo=False), assigner=assigner)


def total(assigner: GroupedMatching | Hungarian, given: list[Targets]) -> tuple[float, list[Tensor]]:
    """The loss and its gradients."""
    predicted = layers()
    pairs = float(sum(len(target) for target in given))
    loss = criterion(assigner)(Output(predicted), given, max(1.0, pairs))["total"]
    loss.backward()
    tensors = [value for layer in predicted for value in vars(layer).values() if isinstance(value, Tensor)]
    return float(loss.detach()), [tensor.grad for tensor in tensors if tensor.grad is not None]


@pytest.mark.parametrize("options", [{}, {"multi": MultiAssignment(1, "static")}])
def test_without_groups_and_with_one_repeat_it_is_the_plain_matching(options: dict[str, object]) -> None:
    given = [targets("on", "ride", ("in", "hold")), targets("hold")]
    plain, plain_gradients = total(Hungarian(), given)
    loss, gradients = total(matching(**options), given)
    assert loss == plain
    assert all(torch.equal(a, b) for a, b in zip(gradients, plain_gradients, strict=True))


def test_repeats_of_a_target_go_to_queries_of_its_own_group() -> None:
    assigner = matching(groups=GROUPS, multi=MultiAssignment(2, "static"))
    rows = assigner.match(layers(), [targets("on", "hold"), targets("ride")])
    for row in rows:
        assert [match.targets.bincount().tolist() for match in row] == [[2, 2], [2]]
        for match, group in zip(row, [(0, 1), (1,)], strict=True):
            assert len(set(match.queries.tolist())) == len(match)
            own = [group[target] for target in match.targets.tolist()]
            assert (match.queries // 6).tolist() == own


def test_a_target_of_two_groups_is_learned_in_both_and_its_queries_are_not_told_otherwise() -> None:
    assigner = matching(groups=GROUPS)
    (match, _), *_ = assigner.match(layers(), [targets(("on", "ride")), targets()])
    assert (match.queries // 6).tolist() == [0, 1]
    assert match.targets.tolist() == [0, 0]
    assert match.columns.tolist() == [[True, True, False, False], [False, False, True, True]]

    # the logit of "ride" at the query that learns "on" gets no gradient, that of "in" does
    predicted = layers(1)
    terms = criterion(assigner).layer_terms(predicted[0], [targets(("on", "ride")), targets()], 1.0)
    terms["relations"].backward()
    gradient = predicted[0].relation_logits.grad
    assert gradient is not None
    first, second = match.queries.tolist()
    assert gradient[0, first, NAMES.index("ride")] == 0
    assert gradient[0, first, NAMES.index("in")] != 0
    assert gradient[0, first, NAMES.index("on")] < 0
    assert gradient[0, second, NAMES.index("ride")] < 0
    assert gradient[0, second, NAMES.index("on")] == 0


@pytest.mark.parametrize("relations", ["focal", "quality", "smooth", "bce"])
def test_every_loss_of_relations_knows_the_left_out_labels_and_the_factors(relations: str) -> None:
    given = [targets(("on", "ride")), targets()]
    plain = matching(groups=GROUPS)
    weighed = matching(groups=GROUPS, predicate_weights={"ride": 3.0})
    values = []
    for assigner in (plain, weighed):
        predicted = layers(1)
        criterion(assigner, relations).layer_terms(predicted[0], given, 1.0)["relations"].backward()
        gradient = predicted[0].relation_logits.grad
        assert gradient is not None
        (match, _), *_ = assigner.match(predicted, given)
        assert gradient[0, match.queries[0], NAMES.index("ride")] == 0
        values.append(gradient[0, match.queries[1], NAMES.index("ride")])
    torch.testing.assert_close(values[1], 3 * values[0])


def test_a_pair_without_a_relation_may_go_to_any_query() -> None:
    none = targets("on")
    none.relations.zero_()
    rows = matching(groups=GROUPS, multi=MultiAssignment(3, "static")).match(layers(1), [none, targets()])
    assert len(rows[0][0]) == 3
    assert rows[0][0].foreign == 0
    assert rows[0][0].columns.all()


def test_what_a_group_has_no_query_for_is_dropped_and_counted_and_kept_as_published() -> None:
    given = [targets(*["on"] * 8), targets()]
    (match, empty), *_ = matching(groups=GROUPS).match(layers(1), given)
    assert len(match) == 6
    assert match.foreign == 2
    assert len(empty) == 0
    (published, _), *_ = matching(groups=GROUPS, published=True).match(layers(1), given)
    assert len(published) == 8


def test_more_targets_than_queries_and_images_without_any_are_matched() -> None:
    multi = MultiAssignment(4, "dynamic", "min", 1.0)
    for given in (
        [targets(*["on", "in", "ride", "hold"] * 5), targets()],
        [targets(), targets()],
    ):
        loss, gradients = total(matching(groups=GROUPS, multi=multi), given)
        assert loss > 0
        assert all(gradient.isfinite().all() for gradient in gradients)


def test_the_order_of_the_labels_changes_nothing() -> None:
    given = [targets("on", ("in", "hold")), targets("ride")]
    order = torch.tensor([2, 0, 3, 1])
    losses = []
    for columns in (torch.arange(4), order):
        assigner = matching(groups=GROUPS, multi=MultiAssignment()).for_relations(
            [NAMES[column] for column in columns.tolist()]
        )
        predicted = [replace(one, relation_logits=one.relation_logits[..., columns]) for one in layers()]
        renamed = [replace(target, relations=target.relations[:, columns]) for target in given]
        losses.append(criterion(assigner)(Output(predicted), renamed, 3.0)["total"])
    torch.testing.assert_close(losses[0], losses[1])


def test_joint_layers_share_one_assignment_and_cannot_have_numbers_of_their_own() -> None:
    given = [targets("on", "ride"), targets("hold")]
    apart = matching(multi=MultiAssignment(2, "static")).match(layers(3), given)
    joint = matching(multi=MultiAssignment(2, "static"), joint=True).match(layers(3), given)
    assert len({tuple(row[0].queries.tolist()) for row in apart}) > 1
    assert len({tuple(row[0].queries.tolist()) for row in joint}) == 1
    with pytest.raises(ValueError, match=r"assign\.joint.*static"):
        matching(multi=MultiAssignment(), joint=True)


def test_a_pair_learns_the_cheapest_target_of_its_predicate_queries() -> None:
    columns = torch.ones(4, 1, dtype=torch.bool)
    match = Match(
        torch.tensor([0, 1, 4, 7]), torch.tensor([5, 6, 5, 7]), columns, torch.tensor([2.0, 1.0, 9.0, 3.0])
    )
    pairs, chosen = assign_pairs(match, 2, torch.device("cpu"))
    assert pairs.tolist() == [0, 2, 3]
    assert chosen.tolist() == [6, 5, 7]
    assert match.pairs_of(2) == 3


@pytest.mark.parametrize("published", [False, True])
def test_predicate_queries_outnumber_pairs_and_everything_gets_a_gradient(published: bool) -> None:
    predicted = layers(2, copies=2)
    given = [targets("on", "ride", "in"), targets("hold")]
    assigner = matching(groups=GROUPS, multi=MultiAssignment(2, "static"), published=published)
    losses = criterion(assigner)(Output(predicted), given, 4.0)
    losses["total"].backward()
    assert float(losses["repeats"]) == 2
    for layer in predicted:
        tensors = [value for value in vars(layer).values() if isinstance(value, Tensor)]
        assert all(tensor.grad is not None and tensor.grad.abs().sum() > 0 for tensor in tensors)


def test_costs_that_are_not_finite_are_refused() -> None:
    broken = layers(1)
    broken[0] = replace(broken[0], relation_logits=broken[0].relation_logits * float("nan"))
    with pytest.raises(ValueError, match="not finite"):
        matching(groups=GROUPS).match(broken, [targets("on"), targets()])


def test_box_terms_are_divided_by_the_mean_of_matches_over_the_processes() -> None:
    given = [targets("on", "ride"), targets("hold")]
    predicted = layers(1)[0]
    alone = criterion(matching(multi=MultiAssignment(2, "static"))).layer_terms(predicted, given, 1.0)
    double = matching(multi=MultiAssignment(2, "static"), mean=lambda counts: 2 * counts)
    shared = criterion(double).layer_terms(predicted, given, 1.0)
    torch.testing.assert_close(shared["subject_boxes"], alone["subject_boxes"] / 2)
    torch.testing.assert_close(shared["labels"], alone["labels"])


def test_pseudo_labels_follow_their_target_and_stay_in_its_group() -> None:
    # "in" means nearly the same as "on", "hold" nearly the same as "ride" and as "on"
    features = torch.tensor([[0.0, 0.0], [0.1, 0.0], [3.0, 0.0], [0.2, 0.0]])
    given = [targets("ride", ("on", "ride")), targets()]
    losses = replace(search_losses(relations="quality", pseudo=True), assigner=matching(groups=GROUPS))
    predicted = layers(1)
    losses.layer_terms(predicted[0], given, 1.0, features)["relations"].backward()
    gradient = predicted[0].relation_logits.grad
    assert gradient is not None
    plain = replace(search_losses(relations="quality", pseudo=False), assigner=matching(groups=GROUPS))
    other = layers(1)
    plain.layer_terms(other[0], given, 1.0)["relations"].backward()
    expected = other[0].relation_logits.grad
    assert expected is not None
    count = (expected - gradient).abs() > 1e-9
    (match, _), *_ = matching(groups=GROUPS).match(predicted, given)
    on = match.queries[match.columns[:, 0]]
    assert count[0, on, NAMES.index("in")].all()  # a soft target beside "on"
    # "hold" is of the other group: a query that learns "on" has no soft target there, only another divisor
    ratio = gradient[0, on, NAMES.index("hold")] / expected[0, on, NAMES.index("hold")]
    others = gradient[1] / expected[1]
    torch.testing.assert_close(ratio, others[:1, 0].expand_as(ratio))
