"""What code that a user names as `package.module:NAME` must be before anything of it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_origin, get_type_hints


class WrongKind(ValueError):
    """`package.module:NAME` is something else than the place for it takes; it was not called."""


@dataclass(frozen=True)
class Builds:
    """A class with these methods, or a function whose return annotation is such a class.

    Args:
        methods: names, as in the `Protocol` that `described` names.
        described: the contract, for the error sentence.
    """

    methods: tuple[str, ...]
    described: str

    def check(self, kind: str, name: str, target: object) -> None:
        """Inspect without calling.

        Raises:
            WrongKind: it builds something else, or does not say what.
        """
        built = _built_by(target)
        absent = [method for method in self.methods if not callable(getattr(built, method, None))]
        if built is None or absent:
            lacks = f"it has no {', '.join(absent)}" if built is not None else "it is no class"
            raise WrongKind(
                f"{name!r} is no {kind} and was not called: {lacks}; give a class with the methods of "
                f"{self.described}, or a function whose return annotation is one"
            )


@dataclass(frozen=True)
class Takes:
    """A function with these first parameters.

    Args:
        parameters: names, in order.
        described: the contract, for the error sentence.
    """

    parameters: tuple[str, ...]
    described: str

    def check(self, kind: str, name: str, target: object) -> None:
        """Inspect without calling.

        Raises:
            WrongKind: it is no function, or takes something else.
        """
        found = tuple(inspect.signature(target).parameters) if inspect.isfunction(target) else ()
        if found[: len(self.parameters)] != self.parameters:
            raise WrongKind(f"{name!r} is no {kind} and was not called; give {self.described}")


Contract = Builds | Takes


def _built_by(target: object) -> type | None:
    """The class of what calling `target` returns, as far as it says."""
    inner: Callable[..., Any] | None = getattr(target, "builds", None)  # `stages.backend.Backend`
    if inner is not None and not inspect.isclass(target):
        target = inner
    if inspect.isfunction(target):
        try:
            target = get_type_hints(target).get("return")
        except (NameError, TypeError, AttributeError):  # an annotation that only a type checker can read
            return None
        target = get_origin(target) or target
    return target if inspect.isclass(target) else None
