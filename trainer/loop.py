"""The training loop that every recipe shares: steps, precision, clipping, snapshots, the log."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from relforge.models.training.activation_checkpointing import checkpoint_activations
from relforge.trainer import snapshots
from relforge.trainer.curves import Curves
from relforge.trainer.errors import Diverged
from relforge.trainer.finite_losses import FiniteLosses
from relforge.trainer.optimiser import (
    BACKBONE_PREFIXES,
    Average,
    Optimisation,
    build_optimiser,
    freeze,
    set_learning_rates,
)
from relforge.trainer.processes import Processes


class Batch(Protocol):
    """One step's input, of any kind."""

    def to(self, device: torch.device) -> Self:
        """The same on that device."""


B = TypeVar("B", bound=Batch)
Made = TypeVar("Made", bound=Batch, covariant=True)


class Batches(Protocol[Made]):
    """Where batches come from."""

    def from_step(self, start: int) -> Iterator[Made]:
        """Batches `start`, `start + 1`, ..., functions of their numbers alone. Step s takes the batches from
        s times `Optimisation.accumulate` on."""


StepLoss = Callable[[nn.Module, B, torch.Generator], dict[str, Tensor]]
"""(model, batch on the device, source of noise) -> named terms; `total` is minimised."""


@runtime_checkable
class EndsSteps(Protocol):
    """A loss with something left to do when all batches of a step have had their backward pass."""

    def end_step(self) -> None:
        """Complete the gradients of the step."""


def train(
    model: nn.Module,
    batches: Batches[B],
    step_loss: StepLoss[B],
    options: Optimisation,
    *,
    steps: int,
    out: Path,
    seed: int,
    processes: Processes,
    settings: Mapping[str, object],
    save_every: int = 500,
    log_every: int = 20,
    backbone_prefixes: Sequence[str] = BACKBONE_PREFIXES,
    all_used: bool = False,
    report: Callable[[str], None] = print,
) -> Average | None:
    """Train, or continue from the last snapshot in `out`.

    Args:
        step_loss: what is minimised; where it is `snapshots.Remembers`, its state is in the snapshots.
        steps: of the whole run.
        out: folder of `snapshot.pt` and the curves.
        seed: of dropout and noise.
        settings: of the whole recipe; a snapshot of other settings is refused.
        save_every, log_every: steps.
        backbone_prefixes: parameters under these names learn at the rate of pre-trained parts.
        all_used: every trainable parameter has a gradient in every batch, see `Processes.wrap`.
        report: receives progress, one line at a time.

    Returns:
        The moving average where `options.average_decay` is given.

    Raises:
        Diverged: a loss or predicted boxes that are not finite, naming the step; the last snapshot stays.
        ValueError: the snapshot in `out` is of other settings.
    """
    fingerprint = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
    device = processes.device
    model.to(device)
    freeze(model, options.frozen)
    optimiser = build_optimiser(model, options, backbone_prefixes)
    average = Average(model, options.average_decay) if options.average_decay else None
    remembers = step_loss if isinstance(step_loss, snapshots.Remembers) else None
    start = snapshots.load(out, model, optimiser, average, fingerprint, remembers)
    curves = Curves(out, start) if processes.first else None
    if start >= steps:
        report(f"{out}: all {steps} steps are done")
        return average
    if start:
        report(f"{out}: continuing at step {start} of {steps}")
    parallel = processes.wrap(_StepLoss(model, step_loss, options.checkpoint_activations), all_used=all_used)
    losses = FiniteLosses()
    trainable = [p for p in model.parameters() if p.requires_grad]
    began = time.monotonic()
    source = batches.from_step(start * options.accumulate)
    for step in range(start, steps):
        set_learning_rates(optimiser, options, step, steps)
        model.train()
        optimiser.zero_grad(set_to_none=True)
        _check(losses, out)  # of the step before: its backward pass runs on while this one is queued
        parts = []
        for part in range(options.accumulate):
            batch = next(source).to(device)
            number = _random_number(seed, step, processes.rank, part)
            torch.manual_seed(number)
            last = part + 1 == options.accumulate
            with nullcontext() if last else processes.local(parallel):
                try:
                    with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16"):
                        terms = parallel(batch, torch.Generator().manual_seed(number))
                except FloatingPointError as error:
                    raise Diverged(_explain(step, str(error), out)) from error
                losses.add(step, terms["total"])
                (terms["total"] / options.accumulate).backward()
            parts.append({name: value.detach() for name, value in terms.items()})
        if isinstance(step_loss, EndsSteps):
            step_loss.end_step()
        norm = torch.nn.utils.clip_grad_norm_(trainable, options.max_gradient_norm)
        optimiser.step()
        if average:
            average.update(model)
        done = step + 1
        if done % log_every == 0 or done == steps:
            # every process takes part in the means, the first one writes them
            means = {
                name: round(float(processes.mean(torch.stack([part[name] for part in parts]).mean())), 5)
                for name in parts[0]
            }
            if curves:
                curves.write(step, **means, gradient_norm=round(float(norm), 4))
                rate = (done - start) / (time.monotonic() - began)
                report(f"step {done}/{steps}  {_format_progress(means, rate, steps - done)}")
        if done % save_every == 0 or done == steps:
            _check(losses, out)
        if processes.first and (done % save_every == 0 or done == steps):
            snapshots.save(out, done, model, optimiser, average, fingerprint, remembers)
    return average


def _check(losses: FiniteLosses, out: Path) -> None:
    found = losses.find()
    if found is not None:
        step, total = found
        raise Diverged(_explain(step, f"the loss is {total}", out))


def _explain(step: int, what: str, out: Path) -> str:
    return (
        f"step {step}: {what}, so the training diverged; lower optimisation.learning_rate and train into "
        f"another folder than {out}, which keeps its last snapshot"
    )


def _format_progress(means: Mapping[str, float], rate: float, left: int) -> str:
    """Losses, steps a second, and how long the rest takes at that rate."""
    terms = ", ".join(f"{name} {value:.3f}" for name, value in means.items() if name != "total")
    time_left = timedelta(seconds=round(left / rate))
    return f"loss {means['total']:.3f}{f' ({terms})' if terms else ''}  {rate:.2f} steps/s  {time_left} left"


def _random_number(seed: int, step: int, rank: int, part: int) -> int:
    """Decides dropout and noise of the part of a step, whatever ran before."""
    text = f"{seed}/{step}/{rank}" + (f"/{part}" if part else "")
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "little")


class _StepLoss(nn.Module, Generic[B]):
    """Makes one step's loss a module call: gradients are averaged between processes by its hooks."""

    def __init__(self, model: nn.Module, step_loss: StepLoss[B], checkpoint: bool) -> None:
        super().__init__()
        self.model = model
        self._step_loss, self._checkpoint = step_loss, checkpoint

    def forward(self, batch: B, generator: torch.Generator) -> dict[str, Tensor]:
        with checkpoint_activations(self.model) if self._checkpoint else nullcontext():
            return self._step_loss(self.model, batch, generator)
