"""A stage and the part that a user chooses of it (a captioner, a tagger), built from one set of options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from relforge.stages.contract import Stage


class Backend:
    """What a registry entry names: called with the options of stage and part, it gives each its own.

    Its signature lists the options of both, so that a config can be checked against it.

    Args:
        stage: takes the part first, and its own options by keyword.
        part: takes its options by keyword; a class, most often.

    Raises:
        ValueError: stage and part have an option of the same name.
    """

    def __init__(self, stage: Callable[..., Stage], part: Callable[..., Any]) -> None:
        self.stage, self.part = stage, part
        _, *own = inspect.signature(stage).parameters.values()
        self.own = {option.name for option in own}
        options = [
            option if option.kind is option.VAR_KEYWORD else option.replace(kind=option.KEYWORD_ONLY)
            for option in (*inspect.signature(part).parameters.values(), *own)
        ]
        self.__signature__ = inspect.Signature(sorted(options, key=lambda option: option.kind))

    @property
    def builds(self) -> Callable[..., Stage]:
        """The class or function of the stage that calling this returns."""
        return self.stage

    def __call__(self, **options: Any) -> Stage:
        own = {name: value for name, value in options.items() if name in self.own}
        part = self.part(**{name: value for name, value in options.items() if name not in self.own})
        return self.stage(part, **own)
