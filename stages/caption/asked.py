"""What every captioning backend is asked for alike."""

from __future__ import annotations

from collections.abc import Collection

from relforge.stages.caption.quality import check_reasons


def check_asked(mode: str, captions: int, drop: Collection[str]) -> None:
    """Refuse impossible wishes when the stage is built, not on a worker after the weights are loaded.

    Args:
        mode: `nucleus` (sampled, `captions` per image) or `beam` (the likeliest one).
        captions: per image.
        drop: quality reasons whose captions are left out.

    Raises:
        ValueError: naming the option and what it may be.
    """
    if mode not in ("nucleus", "beam"):
        raise ValueError(f"mode is {mode!r}; choose nucleus or beam")
    if captions < 1:
        raise ValueError(f"captions is {captions}; it must be 1 or more")
    check_reasons(drop)
