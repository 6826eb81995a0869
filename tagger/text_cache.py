"""Text features on disk, so that a label is encoded once per model and not once per image."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from relforge.models.blocks.text import TextEncoder


class TextFeatures:
    """Pooled label features, kept in memory and, where a folder is given, on disk.

    One small file per label, written under a temporary name and renamed, so several processes may share
    a folder. Every label is encoded in a batch of its own: a feature then never depends, to the last bit, on
    which other labels were requested.

    Args:
        encoder: what encodes a label that is not cached.
        model_hash: of the encoder's weights; other weights use other files.
        folder: where features are kept; None keeps them in memory only.
    """

    def __init__(self, encoder: TextEncoder, model_hash: str, folder: str | Path | None = None) -> None:
        self.encoder = encoder
        self.folder = None if folder is None else Path(folder).expanduser() / model_hash[:16]
        self.memory: dict[str, Tensor] = {}
        self.encoded = 0  # labels that were in neither memory nor folder

    def fits(self, label: str) -> bool:
        """Whether the whole label fits into the encoder."""
        return label in self.memory or len(self.encoder.tokenize(label)) <= self.encoder.max_tokens

    @torch.no_grad()
    def get(self, labels: Sequence[str]) -> Tensor:
        """Features, labels x width, float32 on the encoder's device.

        Raises:
            ValueError: a label is too long; see `fits`.
        """
        return torch.stack([self._get_one(label) for label in labels])

    def _get_one(self, label: str) -> Tensor:
        if label not in self.memory:
            path = self._path(label)
            feature = None if path is None else _read(path, self.encoder.width)
            if feature is None:
                self.encoded += 1
                feature = self.encoder.encode([label])[0].float()
                if path is not None:
                    _write(path, feature)
            self.memory[label] = feature.to(next(self.encoder.parameters()).device)
        return self.memory[label]

    def _path(self, label: str) -> Path | None:
        if self.folder is None:
            return None
        name = hashlib.sha256(label.encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.npy"


def _read(path: Path, width: int) -> Tensor | None:
    """A cached feature, or None where there is none or the file is damaged."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return torch.from_numpy(array) if array.shape == (width,) and array.dtype == np.float32 else None


def _write(path: Path, feature: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.save(file, feature.cpu().numpy())
    temporary.replace(path)
