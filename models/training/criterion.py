"""The losses of a pair detector: an assigner, named terms and their weights, on every decoder layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from relforge.models.blocks.prediction import Output, Prediction
from relforge.models.training.assign import Assigner
from relforge.models.training.grouped_matching import GroupedMatching
from relforge.models.training.precision import in_float32
from relforge.models.training.targets import Targets
from relforge.models.training.terms import Assigned, LabelWeights, Term

WEIGHTS = {
    "subject_boxes": 2.5,
    "object_boxes": 2.5,
    "subject_giou": 1.0,
    "object_giou": 1.0,
    "labels": 1.0,
    "relations": 1.0,
}
"""Weights of the terms; the paper's lambdas."""


@dataclass(frozen=True)
class Criterion:
    """Weighted sum of terms over the decoder layers.

    Args:
        assigner: which query is trained for which target.
        terms: name -> term.
        weights: name -> weight; a term that is not named here has `WEIGHTS`' weight, or 1.
        subject_class: use the subjects' classes, where the model predicts them.
        prepare: changes each image's targets first; None: as they are.
        model_terms: names among `Output.terms` that count, once and not on every layer.

    Raises:
        ValueError: a weight of a term that there is not.
    """

    assigner: Assigner
    terms: Mapping[str, Term]
    weights: Mapping[str, float] = field(default_factory=dict)
    subject_class: bool = True
    model_terms: Sequence[str] = ()
    prepare: Callable[[Targets], Targets] | None = None

    def __post_init__(self) -> None:
        names = [*self.terms, *self.model_terms]
        for name in self.weights:
            if name not in names:
                raise ValueError(f"losses.weights.{name}: there is no such term; {', '.join(names)} are")

    @in_float32
    def __call__(self, output: Output, targets: list[Targets], pairs: float) -> dict[str, Tensor]:
        """`total` over all layers, and the last layer's terms by name, unweighted.

        Args:
            output: of the model; rows are images.
            targets: one per image.
            pairs: mean number of target pairs per process, at least 1.
        """
        # the last layer first, as published: terms that keep counts see the layers in this order
        *others, last = self.assign(output.layers, targets, pairs, output.relation_features)
        terms = self._compute(last)
        terms |= {name: output.terms[name] for name in self.model_terms}
        totals = [self.weigh(terms)]
        for assigned in others:
            totals.append(self.weigh(self._compute(assigned)))
        return {"total": torch.stack(totals).sum(), **terms, **last.report}

    @in_float32
    def layer_terms(
        self, layer: Prediction, targets: list[Targets], pairs: float, features: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The terms of one decoder layer, unweighted; `features` are the relation labels', R x width."""
        (assigned,) = self.assign([layer], targets, pairs, features)
        return self._compute(assigned)

    def _compute(self, layer: Assigned) -> dict[str, Tensor]:
        """The terms that the model's prediction has something for."""
        terms = {name: term(layer) for name, term in self.terms.items()}
        return {name: value for name, value in terms.items() if value is not None}

    def assign(
        self,
        layers: list[Prediction],
        targets: list[Targets],
        pairs: float,
        features: Tensor | None = None,
    ) -> list[Assigned]:
        """What the terms of every layer are computed from."""
        if self.prepare is not None:
            targets = [self.prepare(target) for target in targets]
        if not self.subject_class:
            layers = [replace(layer, subject_logits=None) for layer in layers]
        if isinstance(self.assigner, GroupedMatching):
            return self.assigner.assign_layers(layers, targets, features)
        return [
            Assigned(layer, targets, self.assigner.assign(layer, targets), pairs, features)
            for layer in layers
        ]

    def for_relations(self, relations: Sequence[str]) -> Criterion:
        """The same for a batch that is scored against these relation labels: groups are of names."""
        if not isinstance(self.assigner, GroupedMatching):
            return self
        return replace(self, assigner=self.assigner.for_relations(relations))

    def weigh(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of one layer's terms."""
        weights = {name: self.weights.get(name, WEIGHTS.get(name, 1.0)) for name in terms}
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """What terms remember of the batches that they have seen, by name; for snapshots of a training."""
        return {name: weigh.state_dict() for name, weigh in self._weights().items()}

    def load_state_dict(self, state: Mapping[str, dict[str, Tensor]]) -> None:
        """Remember what `state_dict` returned."""
        for name, weigh in self._weights().items():
            weigh.load_state_dict(state[name])

    def _weights(self) -> dict[str, LabelWeights]:
        found = {name: getattr(term, "weigh", None) for name, term in self.terms.items()}
        return {name: weigh for name, weigh in found.items() if weigh is not None}
