"""Parser `sng_parser`: the published scene graph rules over batched spaCy parses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from relforge.stages.backend import Backend
from relforge.stages.parse.graph import ParseError, SceneGraph
from relforge.stages.parse.pipelines import EMBEDDED, load_pipeline, pipeline_files
from relforge.stages.parse.sng_package import check_distribution, word_tests
from relforge.stages.parse.stage import ParseStage

if TYPE_CHECKING:
    from spacy.language import Language

BATCH_SIZE = 256
"""Captions per spaCy batch: throughput is flat from 128 to 2,000."""


class SngParser:
    """SceneGraphParser 0.1.0 (module `sng_parser`), batched.

    Gives the graphs of the package's own `parse()`, sentence by sentence, with character offsets
    added. Its rules, and what they leave out, are those of the published RLIPv2 pseudo-labels.

    Args:
        pipeline: `embedded` (trained in this repository), an installed spaCy package such as
            `en_core_web_sm`, or a folder.

    Raises:
        SceneGraphParserMissing: another distribution owns the module name (from `setup`).
        ValueError: no such pipeline (from `files` and `setup`).
    """

    name = "sng_parser"
    gives_confidence = False
    neutral_options: tuple[str, ...] = ()

    def __init__(self, pipeline: str = EMBEDDED) -> None:
        self.pipeline = pipeline
        self._nlp: Language | None = None

    def files(self) -> Sequence[str]:
        return pipeline_files(self.pipeline)

    def setup(self) -> None:
        check_distribution()
        from relforge.stages.parse.packed import pack

        self._nlp = load_pipeline(self.pipeline)
        pack(self._nlp)
        self._word_tests = word_tests()
        meta = self._nlp.meta
        self.name = f"sng_parser/{meta['lang']}_{meta['name']}-{meta['version']}"

    def parse(self, captions: Sequence[str]) -> list[SceneGraph]:
        from relforge.stages.parse.sng_rules import SentenceRules

        if self._nlp is None:
            raise RuntimeError("SngParser.parse before setup()")
        for index, caption in enumerate(captions):
            if len(caption) > self._nlp.max_length:
                raise ParseError(
                    index, f"{len(caption)} characters; this pipeline takes {self._nlp.max_length}"
                )
        docs = self._nlp.pipe(captions, batch_size=BATCH_SIZE)
        return [SentenceRules(doc, *self._word_tests).graph() for doc in docs]


stage = Backend(ParseStage, SngParser)
