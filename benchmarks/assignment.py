"""Cost of SpeaQ's assignment beside plain matching, at published sizes.

    python benchmarks/assignment.py [--json]

Milliseconds of the process for one training step, the middle of five; predictions and targets are drawn.
`speaq` has 20 images, six decoder layers, 300 pairs with two predicate queries each, 150 classes and 50
predicates. `parseda` has 8 images, three layers, 100 pairs, 334 object and 167 relation labels. Images have
2 to 20 targets.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from report import emit
from torch import Tensor

from relforge.models.blocks.prediction import Prediction
from relforge.models.training.assign import Hungarian, Matcher
from relforge.models.training.criterion import Criterion
from relforge.models.training.grouped_matching import GroupedMatching
from relforge.models.training.multi_assignment import MultiAssignment
from relforge.models.training.predicate_groups import PredicateGroups
from relforge.models.training.targets import Targets
from relforge.models.zoo import family

SIZES = {
    "speaq": {"images": 20, "layers": 6, "pairs": 300, "copies": 2, "objects": 151, "relations": 50},
    "parseda": {"images": 8, "layers": 3, "pairs": 100, "copies": 1, "objects": 334, "relations": 167},
}
TIMES = 5


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for kind, sizes in SIZES.items():
        layers, targets, names = draw(kind, **sizes)
        matcher = matcher_of(kind)
        counts = {name: max(1, 100_000 // (rank + 1) ** 2) for rank, name in enumerate(names)}
        groups = PredicateGroups.fit(counts, 4, sizes["pairs"], min_queries=8)
        plain = milliseconds(GroupedMatching(matcher, relations=names), layers, targets)
        cases = {
            "one for all layers": GroupedMatching(matcher, joint=True, relations=names),
            "groups": GroupedMatching(matcher, groups, relations=names),
            "groups and repeats": GroupedMatching(matcher, groups, MultiAssignment(), relations=names),
        }
        for case, assigner in cases.items():
            ours = milliseconds(assigner, layers, targets)
            rows.append(row(f"{kind}: {case}", "plain matching", ours, plain))
        if isinstance(matcher, Hungarian):
            before = milliseconds(matcher, layers, targets)
            rows.append(row(f"{kind}: plain matching", "Hungarian, layer by layer", plain, before))
    emit(rows, options.json, "assignment of one step, ms of CPU time")


def matcher_of(kind: str) -> Matcher:
    """Of the model's losses."""
    losses = family(kind).losses()
    assert isinstance(losses, Criterion)
    assigner = losses.assigner
    found = assigner.matcher if isinstance(assigner, GroupedMatching) else assigner
    assert isinstance(found, Matcher)
    return found


def row(case: str, peer: str, ours: float, theirs: float) -> dict[str, Any]:
    """One line: milliseconds, and how many times the peer's."""
    return {"case": case, "peer": peer, "ours": ours, "theirs": theirs, "ratio": ours / theirs}


def milliseconds(
    assigner: GroupedMatching | Hungarian, layers: list[Prediction], targets: list[Targets]
) -> float:
    """CPU time of one step's assignment."""
    times = []
    for _ in range(TIMES):
        start = time.process_time()
        if isinstance(assigner, GroupedMatching):
            assigner.match(layers, targets)
        else:
            for layer in layers:
                assigner.assign(layer, targets)
        times.append(1e3 * (time.process_time() - start))
    return statistics.median(times)


def draw(
    kind: str, *, images: int, layers: int, pairs: int, copies: int, objects: int, relations: int
) -> tuple[list[Prediction], list[Targets], Sequence[str]]:
    """Predictions, targets and names of the relation labels, the most frequent first."""
    generator = torch.Generator().manual_seed(0)

    def boxes(*shape: int) -> Tensor:
        centre = torch.rand(*shape, 2, generator=generator) * 0.6 + 0.2
        return torch.cat([centre, torch.rand(*shape, 2, generator=generator) * 0.3 + 0.05], -1)

    def logits(queries: int, labels: int) -> Tensor:
        return torch.randn(images, queries, labels, generator=generator)

    closed = kind == "speaq"
    predicted = [
        Prediction(
            boxes(images, pairs),
            boxes(images, pairs),
            logits(pairs, objects),
            logits(pairs, objects),
            logits(pairs * copies, relations + closed),
            relation_boxes=boxes(images, pairs * copies) if closed else None,
        )
        for _ in range(layers)
    ]
    frequency = 1 / torch.arange(1.0, relations + 1) ** 2
    targets = []
    for _ in range(images):
        count = int(torch.randint(2, 21, (1,), generator=generator))
        labels = torch.randint(0, objects - 1, (2, count), generator=generator)
        predicates = torch.multinomial(frequency, count, replacement=True, generator=generator)
        true = torch.nn.functional.one_hot(predicates, relations).float()
        targets.append(Targets(boxes(count), boxes(count), labels[0], labels[1], true))
    return predicted, targets, [f"relation {rank}" for rank in range(relations)]


if __name__ == "__main__":
    main()
