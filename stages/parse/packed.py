"""A faster, equal evaluation of spaCy's small convolutional `tok2vec`.

Two facts are used. The embedding stage reads one token at a time, so its output is cached per
distinct token. And the window layers, run over all documents of a batch laid end to end with a gap, are
one GEMM each, which NumPy's BLAS does faster than the library's own.
Results differ from spaCy's by rounding (about 1e-6); tests compare the parses.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MethodType
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc

MAX_CACHED = 200_000
"""Distinct tokens cached (about 100 MB at width 96); then the cache starts afresh."""

PROBE = ["a man riding a horse on the beach", "Two dogs play.", "", "☃ 2-year-old  can't"]

Layer = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Weights (3 width x 3 width, pieces outermost in the columns), bias, scale and shift of one layer."""


class PackedTok2Vec:
    """Evaluates a `MultiHashEmbed` + `MaxoutWindowEncoder` model (window 1).

    Args:
        embed: the embedding model, `extract_features` first.
        encode: the encoder model.
    """

    def __init__(self, embed: Any, encode: Any) -> None:
        self.embed = embed.layers[1:]
        self.columns = embed.layers[0].attrs["columns"]
        self.layers = [_layer(residual) for residual in encode.layers[0].layers]
        self.gap = len(self.layers)  # as many rows as a window of depth layers reaches
        self.width = len(self.layers[0][3])
        self.known: dict[bytes, int] = {}
        self.vectors = np.zeros((1024, self.width), np.float32)

    def __call__(self, docs: Sequence[Doc]) -> list[np.ndarray]:
        """One T x width array per document of T tokens."""
        lengths = [len(doc) for doc in docs]
        if not any(lengths):
            return [np.zeros((0, self.width), np.float32) for _ in docs]
        features = np.concatenate(
            [doc.to_array(self.columns).reshape(len(doc), len(self.columns)) for doc in docs]
        )
        starts = np.cumsum([self.gap, *(length + self.gap for length in lengths)])
        x = np.zeros((starts[-1], self.width), np.float32)
        tokens = np.concatenate([np.arange(s, s + n) for s, n in zip(starts[:-1], lengths, strict=True)])
        rows = self._rows(features)  # may enlarge `vectors`
        x[tokens] = self.vectors[rows]
        for layer in self.layers:
            x = _convolve(x, *layer)
        return [x[s : s + n] for s, n in zip(starts[:-1], lengths, strict=True)]

    def _rows(self, features: np.ndarray) -> np.ndarray:
        """Index into `vectors` of each token, embedding new ones."""
        if len(self.known) > MAX_CACHED:
            self.known.clear()
        keys = [row.tobytes() for row in features]
        known = self.known
        new = {key: i for i, key in enumerate(keys) if key not in known}
        if new:
            x: Any = [features[list(new.values())]]
            for layer in self.embed:
                x = layer.predict(x)
            first = len(known)
            known.update(zip(new, range(first, first + len(new)), strict=True))
            while len(self.vectors) < len(known):
                self.vectors = np.concatenate([self.vectors, np.zeros_like(self.vectors)])
            self.vectors[first : len(known)] = x[0]
        return np.array([known[key] for key in keys], dtype=np.int64)


def pack(nlp: Language) -> bool:
    """Let `nlp.pipe` use the packed evaluation where the pipeline has the layout for it.

    Returns:
        Whether it has, and gives the same vectors for a few probes; any other pipeline is left alone.
    """
    parts = nlp.config["components"].get("tok2vec", {}).get("model", {})
    embed, encode = parts.get("embed", {}), parts.get("encode", {})
    if (
        not str(parts.get("@architectures")).startswith("spacy.Tok2Vec.")
        or not str(embed.get("@architectures")).startswith("spacy.MultiHashEmbed.")
        or embed.get("include_static_vectors")
        or not str(encode.get("@architectures")).startswith("spacy.MaxoutWindowEncoder.")
        or encode.get("window_size") != 1
        or "tok2vec" not in nlp.pipe_names
    ):
        return False
    component: Any = nlp.get_pipe("tok2vec")
    packed = PackedTok2Vec(component.model.get_ref("embed"), component.model.get_ref("encode"))
    probes = [nlp.make_doc(text) for text in PROBE]
    theirs = component.predict(probes)
    if not all(np.allclose(a, b, atol=1e-4) for a, b in zip(packed(probes), theirs, strict=True)):
        return False
    component.predict = MethodType(lambda _, docs: packed(docs), component)
    return True


def _layer(residual: Any) -> Layer:
    """The parameters of `residual(expand_window >> maxout >> layernorm)`."""
    named = {node.name: node for node in residual.walk()}
    maxout, norm = named["maxout"], named["layernorm"]
    weights = maxout.get_param("W")  # width x pieces x 3 width
    width, pieces, inputs = weights.shape
    by_piece = weights.transpose(1, 0, 2).reshape(pieces * width, inputs).T
    bias = maxout.get_param("b").T.reshape(pieces * width)
    return np.ascontiguousarray(by_piece), bias, norm.get_param("G"), norm.get_param("b")


def _convolve(
    x: np.ndarray, weights: np.ndarray, bias: np.ndarray, g: np.ndarray, b: np.ndarray
) -> np.ndarray:
    """One residual layer over R rows (R x width)."""
    rows, width = x.shape
    window = np.zeros((rows, 3 * width), np.float32)  # previous, this, next
    window[1:, :width] = x[:-1]
    window[:, width : 2 * width] = x
    window[:-1, 2 * width :] = x[1:]
    y = window @ weights
    y += bias
    best = y[:, :width]
    for piece in range(1, y.shape[1] // width):
        best = np.maximum(best, y[:, piece * width : (piece + 1) * width])
    best -= best.mean(axis=1, keepdims=True)
    best *= 1.0 / np.sqrt(np.square(best).mean(axis=1, keepdims=True) + 1e-08)
    best *= g
    best += b
    best += x
    return best
