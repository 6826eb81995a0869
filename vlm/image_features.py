"""Questions about one view follow one another: its features are computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class LastImage:
    """What a function made of the last pixels it was given.

    Args:
        compute: takes `pixel_values` and other arguments by keyword.
    """

    def __init__(self, compute: Callable[..., Any]) -> None:
        self._compute = compute
        self._last: tuple[Any, dict[str, Any], Any] | None = None

    def __call__(self, pixel_values: Any = None, **others: Any) -> Any:
        import torch

        if self._last is not None:
            pixels, settings, features = self._last
            same = pixels.shape == pixel_values.shape and torch.equal(pixels, pixel_values)
            if same and _equal(settings, others):
                return features
        features = self._compute(pixel_values=pixel_values, **others)
        self._last = pixel_values, others, features
        return features


def remember_image(model: Any) -> None:
    """Have a model remember the features of its last image, where it computes them in a method of their own.

    The same pixels give the same features, so no answer changes.
    """
    inner = getattr(model, "model", None)
    if inner is not None and hasattr(inner, "get_image_features"):
        inner.get_image_features = LastImage(inner.get_image_features)


def _equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    import torch

    if one.keys() != other.keys():
        return False
    for name, value in one.items():
        if isinstance(value, torch.Tensor):
            if not (isinstance(other[name], torch.Tensor) and torch.equal(value, other[name])):
                return False
        elif value != other[name]:
            return False
    return True
