"""What a process takes from its surroundings: threads, and how gradients are averaged."""

from __future__ import annotations

from dataclasses import fields
from inspect import signature
from typing import Any

import pytest
import torch

from relforge import machine
from relforge.models.blocks.prediction import Labels
from relforge.models.blocks.text import NO_OBJECTS
from relforge.models.blueprint import Blueprint
from relforge.models.training.targets import Targets
from relforge.models.zoo import MODELS, family
from relforge.trainer import processes
from relforge.trainer.processes import Processes
from relforge.trainer.settings import settings_from
from relforge.trainer.tokenizer import train_tokenizer

SMALL: dict[str, Any] = {"dim": 64, "heads": 2, "feedforward": 64, "encoder_layers": 2, "decoder_layers": 2}
SMALL |= {"fusions": 2, "fusion_dim": 64, "language_heads": 2, "language_feedforward": 64, "pairs": 8}
BACKBONE = {"family": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1]}
TEXT = {"model_type": "roberta", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
TEXT |= {"intermediate_size": 64, "max_position_embeddings": 66}
CLASSES, RELATIONS = [f"class {i}" for i in range(5)], [f"relation {i}" for i in range(4)]


@pytest.mark.parametrize(
    ("cores", "world_size", "local", "threads"),
    [(64, 1, None, 8), (2, 1, None, 2), (16, 4, None, 4), (16, 8, "4", 4), (2, 8, None, 1)],
)
def test_threads_are_eight_or_the_cores_of_a_process(
    monkeypatch: pytest.MonkeyPatch, cores: int, world_size: int, local: str | None, threads: int
) -> None:
    monkeypatch.setattr(processes, "count_usable_cpus", lambda: cores)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if local is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", local)
    group = Processes(0, world_size, torch.device("cpu"))
    assert group.loading_threads(None) == threads
    assert group.loading_threads(5) == 5
    assert machine.count_usable_cpus() >= 1


@pytest.mark.parametrize("threads", [0, "many", True, 1.5])
def test_what_is_no_number_of_threads_is_refused(settings: dict[str, Any], threads: object) -> None:
    with pytest.raises(ValueError, match="is no number of threads, at least 1"):
        settings_from(settings | {"threads": threads})


@pytest.mark.parametrize("name", [name for name in MODELS if family(name).all_used])
@pytest.mark.parametrize("pairs", [0, 3])
def test_families_that_say_so_use_every_parameter(name: str, pairs: int) -> None:
    entry = family(name)
    names = {field.name for field in fields(entry.sizes)}
    tokenizer = train_tokenizer([*CLASSES, *RELATIONS], 300) if entry.labels == "open" else None
    text = None
    if tokenizer is not None:
        text = TEXT | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    sizes = entry.sizes(**{key: value for key, value in SMALL.items() if key in names})
    model = Blueprint(name, sizes, BACKBONE, text, CLASSES, RELATIONS).build(tokenizer).train()
    box, label = torch.full((pairs, 4), 0.4), torch.zeros(pairs, dtype=torch.long)
    targets = [Targets(box, box, label, label, torch.eye(4)[:pairs])] * 2
    assert "counts" not in signature(entry.losses).parameters
    output = model(torch.randn(2, 3, 64, 64), Labels([*CLASSES, NO_OBJECTS], RELATIONS))
    entry.losses()(output, targets, max(1.0, 2.0 * pairs))["total"].backward()
    assert [key for key, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
