"""The training loop that every recipe shares: steps, precision, clipping, snapshots, the log."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from relforge.trainer import snapshots
from relforge.trainer.optimise import Average, Optimisation, adamw, set_rates
from relforge.trainer.processes import Processes


class Batch(Protocol):
    """One step's input, of any kind."""

    def to(self, device: torch.device) -> Self:
        """The same on that device."""


class Batches(Protocol):
    """Where batches come from."""

    def from_step(self, start: int) -> Iterator[Any]:
        """Batches `start`, `start + 1`, ..., functions of their numbers alone."""


StepLoss = Callable[[nn.Module, Any, torch.Generator], dict[str, Tensor]]
"""(model, batch on the device, noise source) -> named terms; `total` is what is minimised."""


def train(
    model: nn.Module,
    batches: Batches,
    step_loss: StepLoss,
    options: Optimisation,
    *,
    steps: int,
    out: Path,
    seed: int,
    processes: Processes,
    plan: Mapping[str, Any],
    save_every: int = 500,
    log_every: int = 20,
    say: Callable[[str], None] = print,
) -> Average | None:
    """Train, or continue from the last snapshot in `out`.

    Args:
        plan: the recipe's settings; a snapshot of other settings is refused.
        steps: of the whole run.

    Returns:
        The moving average where `options.average` asks for one.

    Raises:
        FloatingPointError: a loss that is not finite, naming the step; the last snapshot stays.
    """
    fingerprint = hashlib.sha256(json.dumps(plan, sort_keys=True, default=str).encode()).hexdigest()
    model.to(processes.device)
    optimiser = adamw(model, options)
    average = Average(model, options.average) if options.average else None
    start = snapshots.load(out, model, optimiser, average, fingerprint)
    journal = snapshots.Journal(out, start) if processes.first else None
    if start >= steps:
        say(f"{out}: all {steps} steps are done")
        return average
    if start:
        say(f"{out}: continuing at step {start} of {steps}")
    wrapped = _Step(model, step_loss)
    parallel = processes.wrap(wrapped)
    trainable = [p for p in model.parameters() if p.requires_grad]
    began, device = time.monotonic(), processes.device
    source = batches.from_step(start)
    for step in range(start, steps):
        batch = next(source).to(device)
        # one number per (seed, step, rank) decides dropout and noise, whatever ran before
        number = int.from_bytes(
            hashlib.blake2b(f"{seed}/{step}/{processes.rank}".encode(), digest_size=7).digest(), "little"
        )
        torch.manual_seed(number)
        set_rates(optimiser, options, step, steps)
        model.train()
        with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16"):
            terms = parallel(batch, torch.Generator().manual_seed(number))
        if not math.isfinite(float(terms["total"].detach())):
            raise FloatingPointError(f"the loss of step {step} is {float(terms['total'].detach())}")
        optimiser.zero_grad(set_to_none=True)
        terms["total"].backward()
        norm = torch.nn.utils.clip_grad_norm_(trainable, options.clip)
        optimiser.step()
        if average:
            average.update(model)
        done = step + 1
        if journal and (done % log_every == 0 or done == steps):
            shown = {name: round(float(processes.mean(value.detach())), 5) for name, value in terms.items()}
            journal.write(step=step, **shown, gradient_norm=round(float(norm), 4))
            pace = (done - start) / (time.monotonic() - began)
            left = f"{pace:.2f} steps/s  {(steps - done) / pace:.0f} s left"
            say(f"step {done}/{steps}  loss {shown['total']:.3f}  {left}")
        elif processes.world > 1 and (done % log_every == 0 or done == steps):
            for value in terms.values():
                processes.mean(value.detach())
        if processes.first and (done % save_every == 0 or done == steps):
            snapshots.save(out, done, model, optimiser, average, fingerprint)
    return average


class _Step(nn.Module):
    """Makes one step's loss a module call, which is what gradient averaging hooks into."""

    def __init__(self, model: nn.Module, step_loss: StepLoss) -> None:
        super().__init__()
        self.model = model
        self._step_loss = step_loss

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return self._step_loss(self.model, batch, generator)
