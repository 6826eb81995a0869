"""Ray's token authentication, found where Ray itself looks."""

from __future__ import annotations

import os
from pathlib import Path

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"

ADVICE = (
    f"set {TOKEN} or {TOKEN_PATH} to the cluster's token (on its head node: ~/.ray/auth_token), "
    f"and start the cluster with {MODE}=token"
)


def token_source() -> str | None:
    """Where a token would come from; None when there is none. The token itself is never shown."""
    if os.environ.get(TOKEN):
        return f"environment variable {TOKEN}"
    if path := os.environ.get(TOKEN_PATH):
        return f"{path} ({TOKEN_PATH})" if Path(path).is_file() else None
    default = Path.home() / ".ray" / "auth_token"
    return str(default) if default.is_file() else None


def use_token() -> None:
    """Let Ray's client send the token where one is at hand; a mode set by the user stands.

    Call before Ray is imported. A local `ray.init()` leaves a token that `ray start --head` then asks
    for, while Ray's job client sends it only in this mode.
    """
    if token_source():
        os.environ.setdefault(MODE, "token")
