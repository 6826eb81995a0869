"""Matching by groups of predicates, of targets that are repeated (SpeaQ, CVPR 2024)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from relforge.models.blocks.prediction import Prediction, repeat_pairs
from relforge.models.training.assign import Assignment, Matcher, check_finite
from relforge.models.training.matches import Match, assign_pairs
from relforge.models.training.multi_assignment import MultiAssignment, limit_load
from relforge.models.training.precision import in_float32
from relforge.models.training.predicate_groups import PredicateGroups
from relforge.models.training.target_parts import TargetParts, split_targets
from relforge.models.training.targets import Targets
from relforge.models.training.terms import Assigned

FOREIGN = 1e6
"""Added to the cost of a query of another group."""


@dataclass(frozen=True)
class GroupedMatching:
    """The cheapest assignment of the decoder layers, of targets that are repeated or bound to queries.

    A target whose predicates are of several groups is split: each part is matched on its own, and its queries
    are not told that the predicates of the other parts are false.

    Args:
        matcher: whose costs count.
        groups: of predicates and queries; None: any query may learn any target.
        multi: how often targets are repeated; None: not.
        joint: one assignment for all layers, by the sum of their costs. Otherwise each layer has its own.
        published: as SpeaQ trains: matches with foreign queries stay, repeated targets may take all queries
            of a group, and where a pair has several predicate queries, its boxes and classes are trained with
            each of them, on different targets if they have such. Here they learn the cheapest.
        max_load: share of a group's queries that repeated targets may take.
        predicate_weights: predicate -> factor of its positive loss; None: all count alike.
        mean: averages a number over the processes.
        relations: names of the batch's relation labels, see `for_relations`.

    Raises:
        ValueError: `joint` with numbers of repeats that differ from layer to layer.
    """

    matcher: Matcher
    groups: PredicateGroups | None = None
    multi: MultiAssignment | None = None
    joint: bool = False
    published: bool = False
    max_load: float = 0.5
    predicate_weights: Mapping[str, float] | None = None
    mean: Callable[[Tensor], Tensor] = field(default=torch.Tensor.clone)
    relations: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.joint and self.multi is not None and self.multi.scheme == "dynamic":
            raise ValueError(
                "assign.joint: one assignment for all layers needs one number of repeats, and `dynamic` "
                "has one for each layer (the published code crashes here); set assign.multi.scheme: static"
            )

    def for_relations(self, relations: Sequence[str]) -> GroupedMatching:
        """The same for a batch that is scored against these relation labels."""
        return replace(self, relations=relations)

    def assign(self, prediction: Prediction, targets: list[Targets]) -> Assignment:
        """Predicate queries, ascending, and targets; see `Assigner`."""
        device = prediction.subject_boxes.device
        (only,) = self.match([prediction], targets)
        return [(match.queries.to(device), match.targets.to(device)) for match in only]

    def assign_layers(
        self, layers: list[Prediction], targets: list[Targets], features: Tensor | None = None
    ) -> list[Assigned]:
        """What the terms of every layer are computed from.

        Args:
            layers: of the decoder; rows are images.
            targets: one per image.
            features: R x width text features of the relation labels.

        Raises:
            ValueError: a cost is not finite.
        """
        matches = self.match(layers, targets)
        device = layers[0].subject_boxes.device
        copies = layers[0].copies
        counts = [[sum(map(len, row)), sum(match.pairs_of(copies) for match in row)] for row in matches]
        means = self.mean(torch.tensor(counts, dtype=torch.float32, device=device)).clamp(min=1).tolist()
        weights = self._weights(device)
        out = []
        for layer, row, (queries, pairs) in zip(layers, matches, means, strict=True):
            of_relations = Assigned(
                repeat_pairs(layer),
                targets,
                [(match.queries.to(device), match.targets.to(device)) for match in row],
                queries,
                features,
                columns=None if self.groups is None else torch.cat([m.columns for m in row]).to(device),
                predicate_weights=weights,
            )
            if layer.copies == 1 or self.published:
                assigned = of_relations
            else:
                chosen = [assign_pairs(match, layer.copies, device) for match in row]
                assigned = Assigned(layer, targets, chosen, pairs, features, of_relations=of_relations)
            found = max(1, sum(match.found for match in row))
            assigned.report = {
                "repeats": torch.tensor(sum(match.repeats for match in row) / found, device=device),
                "foreign": torch.tensor(float(sum(match.foreign for match in row)), device=device),
            }
            out.append(assigned)
        return out

    @torch.no_grad()
    @in_float32
    def match(self, layers: list[Prediction], targets: list[Targets]) -> list[list[Match]]:
        """The matches of every layer, one entry per image.

        Raises:
            ValueError: a cost is not finite.
        """
        groups = None if self.groups is None else self.groups.groups_of(self.relations)
        parts = [split_targets(target, groups) for target in targets]
        tables = self.matcher.tables(layers, [part.targets for part in parts])
        check_finite(torch.cat([table.flatten() for table in tables]))
        if self.joint:
            tables = [table.sum(0, keepdim=True) for table in tables]
        queries = None if self.groups is None else self.groups.groups_of_queries(layers[0].copies)
        probabilities = [] if self.multi is None else [self.matcher.probabilities(layer) for layer in layers]
        images = [
            self._match_image(image, table, part, layers, probabilities, queries)
            for image, (table, part) in enumerate(zip(tables, parts, strict=True))
        ]
        by_layer = [list(row) for row in zip(*images, strict=True)]
        return by_layer * len(layers) if self.joint else by_layer

    def _match_image(
        self,
        image: int,
        table: Tensor,
        parts: TargetParts,
        layers: list[Prediction],
        probabilities: list[Tensor],
        query_groups: Tensor | None,
    ) -> list[Match]:
        """The matches of one image, layer by layer; a single entry where the layers are joint."""
        count = len(parts.targets)
        if not count:
            return [Match.empty(parts)] * len(table)
        own = torch.ones(table.shape[1], count, dtype=torch.bool)
        if query_groups is not None:
            own = (query_groups[:, None] == parts.groups) | (parts.groups < 0)
        repeats = self._repeats(image, parts, layers, probabilities, own)
        costs = table.float().cpu()
        matches = []
        for layer, penalised in enumerate(costs + FOREIGN * ~own):
            columns = torch.arange(count).repeat_interleave(torch.tensor(repeats[layer]))
            queries, chosen = map(torch.as_tensor, linear_sum_assignment(penalised[:, columns]))
            part = columns[chosen]
            legal = own[queries, part]
            foreign = int((~legal).sum())
            if not self.published:
                queries, part = queries[legal], part[legal]
            matches.append(
                Match(
                    queries=queries,
                    targets=parts.rows[part],
                    columns=parts.columns[part],
                    costs=costs[layer][queries, part],
                    found=count,
                    repeats=sum(repeats[layer]),
                    foreign=foreign,
                )
            )
        return matches

    def _repeats(
        self,
        image: int,
        parts: TargetParts,
        layers: list[Prediction],
        probabilities: list[Tensor],
        own: Tensor,
    ) -> list[list[int]]:
        """How often every part of the image's targets is repeated, layer by layer."""
        targets = parts.targets
        if self.multi is None:
            return [[1] * len(targets)] * len(layers)
        probability = torch.stack([one[image] for one in probabilities])  # L x Q x R
        quality = self.multi.quality_of(
            (torch.stack([layer.subject_boxes[image] for layer in layers]), targets.subject_boxes),
            (torch.stack([layer.object_boxes[image] for layer in layers]), targets.object_boxes),
            probability @ targets.relations.T / targets.relations.sum(1).clamp(min=1),
            own.to(probability.device),
        )
        repeats: list[list[int]] = self.multi.repeats(quality).tolist()
        if self.published:
            return repeats
        queries, groups = [quality.shape[1]], [0] * len(targets)
        if self.groups is not None:
            queries = [count * layers[0].copies for count in self.groups.queries]
            groups = parts.groups.tolist()
        return [
            limit_load(times, groups, worth, queries, self.max_load)
            for times, worth in zip(repeats, quality.sum(1).tolist(), strict=True)
        ]

    def _weights(self, device: torch.device) -> Tensor | None:
        """R factors of the batch's relation labels."""
        if self.predicate_weights is None:
            return None
        return torch.tensor([self.predicate_weights.get(name, 1.0) for name in self.relations], device=device)
