"""What an evaluator is, what it returns, and the evaluators by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from relforge.contracts import Builds
from relforge.registry import Registry

EVALUATORS = Registry(
    "benchmark",
    {
        "hico": "relforge.evaluation.hico:HicoEvaluator",
        "vcoco": "relforge.evaluation.vcoco:VcocoEvaluator",
        "open_images": "relforge.evaluation.open_images:OpenImagesEvaluator",
        "hico_image": "relforge.evaluation.hico_image:HicoImageEvaluator",
        "coco": "relforge.evaluation.coco:CocoEvaluator",
        "labels": "relforge.evaluation.labels:LabelsEvaluator",
        "vg_sgg": "relforge.evaluation.vg_sgg:VgSggEvaluator",
    },
    contract=Builds(("read_gold", "read_detections", "measure"), "relforge.evaluation.evaluator.Evaluator"),
)
"""Benchmark -> its evaluator, which takes options by keyword. A new one is a file and a line here."""

Row = dict[str, str | int | float | bool]


@dataclass(frozen=True)
class Measure:
    """One number and what the frequency prior reaches beside it.

    Args:
        value: of the detections.
        prior: of the same detections when they are ranked by how often their predicate holds for their
            classes; None where a ranking plays no part.
    """

    value: float
    prior: float | None = None


@dataclass(frozen=True)
class Result:
    """What an evaluator measured.

    Args:
        benchmark: its name.
        protocol: name of the rules it went by, since published code differs.
        measures: name -> number.
        counts: name -> how many (images, gold, detections).
        classes: one row per class of the benchmark, all with the same columns.
        options: choices that decide the numbers beside the protocol, e.g. setting, cut and suppression.
    """

    benchmark: str
    protocol: str
    measures: dict[str, Measure]
    counts: dict[str, int] = field(default_factory=dict)
    classes: list[Row] = field(default_factory=list)
    options: Row = field(default_factory=dict)


Gold = TypeVar("Gold")
Detections = TypeVar("Detections")


class Evaluator(Protocol[Gold, Detections]):
    """One benchmark: it reads its official files and measures detections against them.

    Its constructor takes the options by keyword: the gold's files, thresholds, and `protocol` where there is
    a choice.
    """

    def read_gold(self, target: str) -> Gold:
        """The gold, from the files that the options name.

        Args:
            target: what is to be measured, for benchmarks whose gold is in it (a run folder).

        Raises:
            ValueError, OSError: a file that cannot be read or holds no gold, naming it.
        """

    def read_detections(self, target: str, gold: Gold) -> Detections:
        """What is to be measured.

        Raises:
            ValueError, OSError: it cannot be read, naming it.
        """

    def measure(self, detections: Detections, gold: Gold) -> Result:
        """Compare.

        Raises:
            ValueError: nothing in the gold is of the kind that is measured.
        """
