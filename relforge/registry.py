"""The one look-up behind every choice by name: backends, datasets, parsers, exports, models, evaluators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from relforge.contracts import Contract
from relforge.nearest import find_nearest


class UnknownName(ValueError):
    """A name that no entry has; the sentence lists the choices."""


@dataclass(frozen=True)
class Registry:
    """Names a user can write and the code behind them.

    Entries are `module:attribute`, so that choosing one never imports the others.

    Args:
        kind: what an entry is, for the error sentence, e.g. `parser`.
        entries: name -> `module:attribute`.
        own: whether a user may write `package.module:attribute` of their own instead of a name.
        contract: what the user's own must be; checked before it is called (its module is imported).
    """

    kind: str
    entries: Mapping[str, str]
    own: bool = True
    contract: Contract | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def target(self, name: str) -> str:
        """`module:attribute` behind a name.

        Raises:
            UnknownName: no such entry.
        """
        if name in self.entries:
            return self.entries[name]
        if self.own and ":" in name:
            return name
        raise UnknownName(self.refusal(name))

    def load(self, name: str) -> Callable[..., Any]:
        """Import what is behind a name.

        Raises:
            UnknownName: no such entry.
            ModuleNotFoundError: its module, or a package that the module needs, is not installed.
            AttributeError: its module has no such attribute.
            WrongKind: the user's own code does not satisfy the contract; it is not called.
        """
        module, _, attribute = self.target(name).partition(":")
        found: Callable[..., Any] = getattr(import_module(module), attribute)
        if self.contract is not None and name not in self.entries:
            self.contract.check(self.kind, name, found)
        return found

    def is_foreign(self, name: str) -> bool:
        """Whether choosing `name` runs code that does not come with relforge."""
        return name not in self.entries and ":" in name and not name.startswith("relforge.")

    def refusal(self, name: str) -> str:
        """The sentence for a name that has no entry."""
        near = find_nearest(name, self.entries)
        guess = f"did you mean {near!r}? " if near else ""
        choices = [f"choose one of {', '.join(sorted(self.entries))}"] if self.entries else []
        choices += ["give package.module:Name"] if self.own else []
        return f"unknown {self.kind} {name!r}; {guess}{', or '.join(choices)}"
