"""Parser `relforge`: the learned parser this package ships."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relforge.stages.backend import Backend
from relforge.stages.parse.graph import SceneGraph
from relforge.stages.parse.learned.files import EMBEDDED, load_model, model_files, read_card
from relforge.stages.parse.learned.graphs import scene_graph
from relforge.stages.parse.learned.parse import Parse, assemble
from relforge.stages.parse.learned.tables import Tables
from relforge.stages.parse.learned.tokens import Words, without_opening, words
from relforge.stages.parse.stage import ParseStage

if TYPE_CHECKING:
    from relforge.stages.parse.learned.network import Network

BATCH_SIZE = 8192
"""Captions that go through the network together: it bounds memory and changes no result."""


class LearnedParser:
    """A bidirectional LSTM over words that tags entities and attributes and scores pairs of them.

    Any text is accepted: no words, no graph. Of a text longer than `tokens.LIMIT` words the
    rest is not looked at: the stage hands over shorter parts (`parse.sentences`).

    Args:
        model: a model folder; empty for the embedded one.

    Raises:
        ValueError: the folder lacks a file (from `files` and `setup`).
    """

    name = "relforge"
    gives_confidence = True
    neutral_options: tuple[str, ...] = ()

    def __init__(self, model: str = "") -> None:
        self.folder = Path(model) if model else EMBEDDED
        self._network: Network | None = None
        self._tables: Tables | None = None
        self.min_confidence = 0.0  # what the model's card says, after `setup`

    def files(self) -> Sequence[str]:
        return [str(path) for path in model_files(self.folder)]

    def setup(self) -> None:
        self._network, self._tables = load_model(self.folder)
        self.min_confidence = read_card(self.folder).get("min_confidence", 0.0)

    def parse(self, captions: Sequence[str]) -> list[SceneGraph]:
        tables = self._loaded()[1]
        return [
            scene_graph(caption, spelt, parse, tables)
            for caption, (spelt, parse) in zip(captions, self.parses(captions), strict=True)
        ]

    def parses(self, captions: Sequence[str]) -> Iterator[tuple[Words, Parse]]:
        """Each caption's words, and what was decided about them."""
        network, tables = self._loaded()
        for i in range(0, len(captions), BATCH_SIZE):
            spelt = [without_opening(words(caption)) for caption in captions[i : i + BATCH_SIZE]]
            sentences = [word.text for word in spelt]
            yield from zip(spelt, assemble(sentences, network.decide(sentences), tables), strict=True)

    @property
    def tables(self) -> Tables:
        """The model's word tables, after `setup`."""
        return self._loaded()[1]

    def _loaded(self) -> tuple[Network, Tables]:
        if self._network is None or self._tables is None:
            raise RuntimeError("LearnedParser.parse before setup()")
        return self._network, self._tables


stage = Backend(ParseStage, LearnedParser)
