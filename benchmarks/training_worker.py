"""One model in a process of its own, which takes a training step for each line that it is sent.

    PYTHONPATH=CHECKOUT python benchmarks/training_worker.py KIND HEIGHT WIDTH BATCH [checkpoint]

Run by `training.py --before` and `--memory`, with relforge from one checkout or another: it uses only what
both have, but for `checkpoint` (`optimisation.checkpoint_activations`). The step is the trainer's: the
recipe's losses, backward, clipping, its optimiser. Prints a line of JSON when it is ready, after every step
(`step` on standard input) and at the end.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

LENGTHS = {3: 166, 4: 272, 5: 41, 6: 18, 7: 2, 8: 1}
"""Tokens of 500 names as RoBERTa has them, its two special ones included: those of distinct names in the
scene graphs of FACTUAL's training split, two thirds objects, one third predicates (mean 3.8)."""
OBJECTS, PAIRS = 333, 8
CLIP = 0.1


def names() -> list[str]:
    """500 names, each as many words as it is to have tokens; the longest are spread over the list."""
    lengths = [length - 2 for length, count in LENGTHS.items() for _ in range(count)]
    order = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(0)).tolist()
    return [" ".join(f"{place}.{word}" for word in range(lengths[place])) for place in order]


def tokenize(label: str) -> list[int]:
    """A token a word."""
    return [0, *(10 + sum(map(ord, word)) * 7919 % 50000 for word in label.split()), 2]


def build(kind: str, objects: list[str], relations: list[str]) -> nn.Module:
    """The published size on ResNet-50 with roberta-base, random weights."""
    from relforge.models.blocks.backbone import build_backbone
    from relforge.models.blocks.text import TextEncoder
    from relforge.models.zoo import family

    entry, text = family(kind), None
    torch.manual_seed(0)
    if entry.labels == "open":
        from transformers import AutoConfig, AutoModel

        config = AutoConfig.for_model("roberta", max_position_embeddings=514, type_vocab_size=1)
        text = TextEncoder(AutoModel.from_config(config), tokenize)
    backbone = build_backbone("resnet50")
    return entry.build(
        entry.sizes(), backbone=backbone, text_encoder=text, classes=objects, relations=relations
    )


def make_step(kind: str, height: int, width: int, size: int, checkpoint: bool = False) -> Callable[[], float]:
    """A step of the trainer on one random batch; returns its loss."""
    from relforge.models.blocks.text import NO_OBJECTS
    from relforge.models.training.targets import Targets
    from relforge.models.zoo import family
    from relforge.trainer.optimiser import Optimisation, build_optimiser
    from relforge.trainer.processes import Processes
    from relforge.trainer.recipes.relations import StepLoss
    from relforge.trainer.settings import Settings

    found = names()
    objects, relations = found[:OBJECTS], found[OBJECTS:]
    model = build(kind, objects, relations)
    generator = torch.Generator().manual_seed(1)
    targets = []
    for _ in range(size):
        boxes = torch.rand(2, PAIRS, 4, generator=generator) * 0.3 + 0.2
        true = torch.zeros(PAIRS, len(relations))
        true[torch.arange(PAIRS), torch.randint(0, len(relations), (PAIRS,), generator=generator)] = 1
        labels = torch.randint(0, OBJECTS, (2, PAIRS), generator=generator)
        targets.append(Targets(boxes[0], boxes[1], labels[0], labels[1], true))
    batch: Any = SimpleNamespace(
        images=torch.randn(size, 3, height, width, generator=generator),
        padding=None,
        targets=targets,
        labels=SimpleNamespace(objects=[*objects, NO_OBJECTS], relations=relations),
        pairs=float(PAIRS * size),
        progress=0.0,
    )
    settings = Settings(out="", data=[], model={"kind": kind})
    losses = StepLoss(family(kind), settings, Processes(0, 1, torch.device("cpu")))
    optimiser = build_optimiser(model, Optimisation())
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def run() -> float:
        model.train()
        optimiser.zero_grad(set_to_none=True)
        torch.manual_seed(2)
        with checkpointing(model) if checkpoint else nullcontext():
            total = losses(model, batch, torch.Generator().manual_seed(2))["total"]
        total.backward()
        nn.utils.clip_grad_norm_(trained, CLIP)
        optimiser.step()
        return float(total.detach())

    return run


def checkpointing(model: nn.Module) -> AbstractContextManager[None]:
    """As the trainer's loop has it."""
    from relforge.models.training.activation_checkpointing import checkpoint_activations

    return checkpoint_activations(model)


def peak_gigabytes() -> float:
    """The most memory that this process has had (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e6


def main() -> None:
    kind, *numbers = sys.argv[1:5]
    torch.set_num_threads(1)
    height, width, size = map(int, numbers)
    step = make_step(kind, height, width, size, sys.argv[5:] == ["checkpoint"])
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        if line.strip() != "step":
            break
        began = time.process_time()
        loss = step()
        seconds = time.process_time() - began
        print(json.dumps({"seconds": seconds, "loss": loss}), flush=True)
    print(json.dumps({"peak": peak_gigabytes()}), flush=True)


if __name__ == "__main__":
    main()
