"""Parser `relforge`: the learned parser this package ships."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from relforge.stages.parse.graph import SceneGraph
from relforge.stages.parse.learned.files import EMBEDDED, load_model, model_files
from relforge.stages.parse.learned.gold import Triple
from relforge.stages.parse.learned.graphs import scene_graph
from relforge.stages.parse.learned.network import Network
from relforge.stages.parse.learned.opening import opening
from relforge.stages.parse.learned.parse import Parse, assemble, triples
from relforge.stages.parse.learned.tables import Tables
from relforge.stages.parse.learned.tokens import Words, words

AT_ONCE = 8192
"""Captions that go through the network together; bounds memory, not results."""


class LearnedParser:
    """A bidirectional LSTM over words that tags entities and attributes and scores pairs of them.

    Any text is accepted: no words, no graph. Captions longer than `tokens.LIMIT` words are parsed up to it.

    Args:
        model: a model folder; empty for the embedded one.

    Raises:
        ValueError: the folder lacks a file (from `files` and `setup`).
    """

    name = "relforge"

    def __init__(self, model: str = "") -> None:
        self.folder = Path(model) if model else EMBEDDED
        self._network: Network | None = None
        self._tables: Tables | None = None

    def files(self) -> Sequence[str]:
        return [str(path) for path in model_files(self.folder)]

    def setup(self) -> None:
        self._network, self._tables = load_model(self.folder)

    def parse(self, captions: Sequence[str]) -> list[SceneGraph]:
        graphs: list[SceneGraph] = []
        for part, spelt, parses in self._parses(captions):
            graphs += [
                scene_graph(caption, word, parse, self._loaded()[1])
                for caption, word, parse in zip(part, spelt, parses, strict=True)
            ]
        return graphs

    def triples(self, captions: Sequence[str]) -> list[frozenset[Triple]]:
        """The same parses as string triples in the style of the training data, for scoring."""
        return [
            triples(parse, self._loaded()[1]) for _, _, parses in self._parses(captions) for parse in parses
        ]

    def _loaded(self) -> tuple[Network, Tables]:
        if self._network is None or self._tables is None:
            raise RuntimeError("LearnedParser.parse before setup()")
        return self._network, self._tables

    def _parses(self, captions: Sequence[str]) -> list[tuple[Sequence[str], list[Words], list[Parse]]]:
        network, tables = self._loaded()
        out = []
        for i in range(0, len(captions), AT_ONCE):
            part = captions[i : i + AT_ONCE]
            spelt = [_shown(words(caption)) for caption in part]
            sentences = [word.text for word in spelt]
            out.append((part, spelt, assemble(sentences, network.decide(sentences), tables)))
        return out


def _shown(spelt: Words) -> Words:
    """The words without an opening such as "a picture of"."""
    skip = opening(spelt.text)
    if not skip:
        return spelt
    return Words(spelt.text[skip:], spelt.start[skip:], spelt.end[skip:], spelt.complete)
