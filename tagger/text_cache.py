"""Text features on disk, so that a label is encoded once per model and not once per image."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from relforge.models.blocks.text import TextEncoder
from relforge.models.gpu import upload


class Tile(NamedTuple):
    """Shape of a batch of labels."""

    labels: int
    tokens: int


GPU_TILE = Tile(64, 16)


class TextFeatures:
    """Pooled label features, kept in memory and, where a folder is given, on disk.

    One small file per label, written under a temporary name and renamed, so several processes may share
    a folder. A feature never depends on which other labels were requested: on a CPU, to the last bit, since
    every label is encoded in a batch of its own; on a GPU, where that would take minutes for the labels of a
    large data set, in batches of one fixed shape, which are filled up.

    Args:
        encoder: what encodes a label that is not cached.
        model_hash: of the encoder's weights; other weights use other files.
        folder: where features are kept; None keeps them in memory only.
        tile: shape of the batches; labels that do not leave a token of it
            free are encoded alone. None: `GPU_TILE` where the
            encoder is on a GPU, else every label alone.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        model_hash: str,
        folder: str | Path | None = None,
        tile: Tile | None = None,
    ) -> None:
        self.encoder = encoder
        self.device = next(encoder.parameters()).device
        self.folder = None if folder is None else Path(folder).expanduser() / model_hash[:16]
        self.tile = GPU_TILE if tile is None and self.device.type != "cpu" else tile
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
        missing = [label for label in dict.fromkeys(labels) if not self._read(label)]
        for batch in self._batches(missing):
            for label, feature in zip(batch, self._encode(batch), strict=True):
                self.encoded += 1
                self.memory[label] = feature
                if (path := self._path(label)) is not None:
                    _write(path, feature)
        return torch.stack([self.memory[label] for label in labels])

    def _read(self, label: str) -> bool:
        """Whether the label's feature is in memory now."""
        if label not in self.memory and (path := self._path(label)) is not None:
            feature = _read(path, self.encoder.width)
            if feature is not None:
                self.memory[label] = feature.to(self.device)
        return label in self.memory

    def _batches(self, labels: Sequence[str]) -> list[list[str]]:
        """Labels that are encoded together: alone, or as many as fit into a tile."""
        if self.tile is None:
            return [[label] for label in labels]
        tile = self.tile
        # the last column is always padding: without any, transformers would compute without a mask
        short = [label for label in labels if len(self.encoder.tokenize(label)) < tile.tokens]
        fit = set(short)
        tiles = [short[i : i + tile.labels] for i in range(0, len(short), tile.labels)]
        return [*tiles, *([label] for label in labels if label not in fit)]

    def _encode(self, labels: Sequence[str]) -> Tensor:
        """Features of one batch, labels x width."""
        rows = [list(self.encoder.tokenize(label)) for label in labels]
        if self.tile is None or len(rows[0]) >= self.tile.tokens:
            return self.encoder.encode(labels).float()
        ids = torch.full(self.tile, self.encoder.pad)
        attention = torch.zeros(self.tile, dtype=torch.bool)
        for i in range(self.tile.labels):
            row = rows[i % len(rows)]  # filled up by repeating
            ids[i, : len(row)] = torch.tensor(row)
            attention[i, : len(row)] = True
        return self.encoder(*upload(self.device, ids, attention))[: len(rows)].float()

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
