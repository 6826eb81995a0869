"""Measures beside a training: the teacher's votes, the model before training, and after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from relforge.data.image_labels import read_image_labels
from relforge.data.image_loading import logits_of
from relforge.evaluation.hico_image import HicoImageEvaluator
from relforge.stages.image_labels.table import POSITIVE
from relforge.stages.interactions import Interactions
from relforge.trainer.image_training import as_recogniser


class Judge:
    """Measures models and votes on one benchmark's images.

    Args:
        options: of `HicoImageEvaluator`.
        interactions: of the model, in its order; these are measured.

    Raises:
        ValueError: an option that there is not, or gold that cannot be read.
    """

    def __init__(self, options: Mapping[str, Any], interactions: Interactions) -> None:
        try:
            evaluator = HicoImageEvaluator(**options)
        except TypeError as error:
            raise ValueError(
                f"judge: {error}; its options are those of `relforge eval hico_image`"
            ) from error
        self._evaluator = evaluator
        self.gold = evaluator.gold_of(interactions)
        self.rows: dict[str, dict[str, float]] = {}

    def measure(self, name: str, scores: np.ndarray) -> None:
        """Add a row of measures of N x C scores."""
        result = self._evaluator.measure(scores, self.gold)
        self.rows[name] = {what: one.value for what, one in result.measures.items()}

    def measure_model(self, name: str, model: nn.Module) -> None:
        """Add a row of a model's measures."""
        recogniser = as_recogniser(model.eval().to(self._evaluator.device))
        parts = list(logits_of(recogniser, self.gold.labels, self._evaluator.batch, self._evaluator.device))
        self.measure(name, torch.cat(parts).double().numpy())

    def measure_votes(self) -> None:
        """Add rows of the captions' votes and states, where the judged images are a run that has them."""
        source = Path(self._evaluator.annotations)
        if not (source / "image_labels").is_dir():
            return
        votes = read_image_labels(
            str(source), labels="image_labels", interactions=self.gold.labels.interactions
        )
        assert votes.votes is not None
        self.measure("caption votes", votes.votes.astype(float))
        self.measure("caption labels", (votes.states == POSITIVE).astype(float))

    def write(self, path: Path) -> None:
        """The rows as JSON, name -> measure -> value."""
        path.write_text(json.dumps(self.rows, indent=2) + "\n")
        for name, row in self.rows.items():
            print(f"{name}: " + "  ".join(f"{what} {value:.3f}" for what, value in row.items()))
