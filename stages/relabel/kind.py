"""Which family of the zoo a model folder holds, without loading anything."""

from __future__ import annotations

import json

from relforge.models.files import resolve_model


def stored_kind(model: str) -> str | None:
    """The family that a model folder names; None where the files do not say.

    Raises:
        FileNotFoundError: there is no such model.
    """
    path = resolve_model(model).path
    config = path / "config.json" if path.is_dir() else path.with_name("config.json")
    try:
        kind = json.loads(config.read_text(encoding="utf-8")).get("model")
    except (OSError, ValueError, AttributeError):
        return None
    return kind if isinstance(kind, str) else None
