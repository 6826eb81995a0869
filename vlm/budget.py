"""What answers cost: counted where it is spent, kept in the run folder, held against a limit."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from relforge.vlm.append import AppendFolder, open_folder, whole_lines, writer_name
from relforge.vlm.client import Usage

LOGS = "logs"
_PREFIX, _ENDING = "vlm-", ".jsonl"


class BudgetSpent(Exception):
    """`max_cost` is reached: no new shard is begun; what is answered stays."""


@dataclass(frozen=True)
class Price:
    """Args:
    input, output: of a million tokens, in whatever currency.
    """

    input: float = 0.0
    output: float = 0.0

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Of so many tokens."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


@dataclass
class Spent:
    """Sums over requests that were really made.

    Args:
        requests: that were answered.
        retries: that were not, and made again.
        input_tokens, output_tokens: as the server counts them.
        cost: at the price of the time.
    """

    requests: int = 0
    retries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    def add(self, other: Spent) -> None:
        """Add another sum to this one."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class Ledger:
    """The spending of one worker, a line of `RUN/logs/vlm-<worker>.jsonl` at each flush.

    Args:
        stage: that spends.
        price: of tokens.
        max_cost: of the stage in this run folder, over all workers; None: no limit.
        run_folder: path or URI; empty: nothing is kept.
    """

    def __init__(self, stage: str, price: Price, max_cost: float | None = None, run_folder: str = "") -> None:
        self.stage, self.price, self.max_cost = stage, price, max_cost
        self._folder = open_folder(f"{run_folder.rstrip('/')}/{LOGS}") if run_folder else None
        self._file = f"{_PREFIX}{stage}-{writer_name()}{_ENDING}"
        self._new, self._own = Spent(), Spent()

    def count(self, usage: Usage | None) -> None:
        """A request that was answered."""
        given = usage or Usage(0, 0)
        self._new.add(Spent(1, 0, *given, self.price.cost(*given)))

    def retry(self) -> None:
        """A request that has to be made again."""
        self._new.retries += 1

    def flush(self) -> None:
        """Write down what was spent since the last time."""
        if self._new == Spent():
            return
        line = json.dumps({"time": time.time(), "stage": self.stage, **vars(self._new)}, sort_keys=True)
        if self._folder:
            self._folder.append(self._file, line.encode() + b"\n")
        self._own.add(self._new)
        self._new = Spent()

    def check(self) -> None:
        """Raises:
        BudgetSpent: all workers of the stage together have spent `max_cost`.
        """
        if self.max_cost is None:
            return
        self.flush()
        spent = self._own.cost if not self._folder else _read(self._folder).get(self.stage, Spent()).cost
        if spent >= self.max_cost:
            raise BudgetSpent(
                f"stages.{self.stage}.max_cost of {self.max_cost:g} is spent ({spent:.4g}); raise it: "
                "nothing that was answered is asked again"
            )


def read_spent(run_folder: str) -> dict[str, Spent]:
    """Stage -> what was really spent on it in this run folder, by all workers of all attempts."""
    return _read(open_folder(f"{run_folder.rstrip('/')}/{LOGS}"))


def _read(folder: AppendFolder) -> dict[str, Spent]:
    found: dict[str, Spent] = {}
    for name in sorted(folder.listing()):
        if not (name.startswith(_PREFIX) and name.endswith(_ENDING)):
            continue
        for line in whole_lines(folder.read(name)):
            try:
                record = json.loads(line)
                spent = Spent(**{key: record[key] for key in vars(Spent())})
                found.setdefault(record["stage"], Spent()).add(spent)
            except (ValueError, KeyError, TypeError):
                continue  # a torn line in the middle is of a disk that was full
    return found


def read_price(price: Mapping[str, float] | None) -> Price:
    """The option `price`.

    Raises:
        ValueError: other keys than `input` and `output`, or a negative price.
    """
    given = dict(price or {})
    if set(given) - {"input", "output"}:
        raise ValueError(f"price is {given}; write it as {{input: 1.25, output: 5}}, of a million tokens")
    if any(value < 0 for value in given.values()):
        raise ValueError(f"price is {given}; neither may be negative")
    return Price(**given)
