"""Detections of a trained ParSeD or ParSeDA on annotated images: HICO-style mean average precision."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relforge.cli.exits import BadInput
from relforge.cli.output import Table


def is_model(path: str) -> bool:
    """Whether a model was saved there."""
    try:
        config = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "weights_sha256" in config


def measure(
    model: str,
    data: str,
    images: str,
    subject: str | None,
    unseen: Sequence[str],
    sides: tuple[int, int],
) -> dict[str, Any]:
    """Detect, compare with gold, and report predicates that training did not show apart.

    Args:
        model: folder of a trained model.
        data: scene graphs in Visual Genome's JSON form.
        images: folder of their images, or a pattern with `{image_id}`.
        subject: class of the subject that counts; None: all.
        unseen: predicates that training did not show.
        sides: bounds of an image's shorter and longer side, pixels.

    Raises:
        BadInput: not such a model, no such file, an image that is missing, nothing to detect.
    """
    from relforge.data.sources import load_relations
    from relforge.evaluation.detect import DetectOptions, detect
    from relforge.evaluation.hico import evaluate
    from relforge.evaluation.pairs import annotated
    from relforge.images import ImageError
    from relforge.models.checkpoint import load_model
    from relforge.stages.contract import SourceError

    source = {"format": "visual_genome", "annotations": data, "images": images}
    try:
        loaded = load_model(model)
        examples = load_relations([source], keep_empty=True, max_pairs=10**6)
    except (SourceError, ValueError) as error:
        raise BadInput(str(error)) from error
    gold = annotated(examples)
    predicates = sorted(set(gold.predicate.tolist()))
    if unknown := sorted(set(unseen) - set(predicates)):
        raise BadInput(f"--unseen {unknown[0]!r}: {data} has no such predicate")
    options = DetectOptions(short_side=sides[0], long_side=sides[1])
    try:
        found = detect(loaded, examples, predicates, subject, options)
    except (ImageError, ValueError) as error:
        raise BadInput(str(error)) from error
    result = evaluate(found, gold, subject)
    if not result.gold:
        raise BadInput(f"{data}: no relation has the subject {subject!r}; choose another --subject")
    means = {"mean_average_precision": result.mean()}
    if unseen:
        means["seen"] = result.mean(lambda kind: kind[1] not in unseen)
        means["unseen"] = result.mean(lambda kind: kind[1] in unseen)
    kinds = [
        {"subject": s, "predicate": p, "object": o, "gold": result.gold[s, p, o]}
        | {"average_precision": value, "unseen": p in unseen}
        for (s, p, o), value in result.average_precision.items()
    ]
    return {**means, "images": len(examples), "detections": result.found, "kinds": kinds}


def tables(found: dict[str, Any]) -> list[Table]:
    """`measure`'s result as tables for people."""
    measures = [("mean average precision", f"{found['mean_average_precision']:.4f}")]
    for name in ("seen", "unseen"):
        if name in found:
            measures.append((f"  {name} predicates", f"{found[name]:.4f}"))
    rows = [
        (row["subject"], row["predicate"], row["object"], row["gold"], f"{row['average_precision']:.4f}")
        for row in sorted(found["kinds"], key=lambda row: -row["gold"])
    ]
    return [(("measure", "value"), measures), (("subject", "predicate", "object", "gold", "AP"), rows)]
