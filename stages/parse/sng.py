"""Parser `sng_parser`: the published scene graph rules over batched spaCy parses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Token

from relforge.stages.parse.graph import Entity, ParseError, Relation, SceneGraph
from relforge.stages.parse.pipelines import EMBEDDED, load_pipeline, pipeline_files
from relforge.stages.parse.sng_package import check_distribution, published_rules

BATCH = 512
"""Captions per spaCy batch: throughput is flat from 256 to 2,000."""


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

    def __init__(self, pipeline: str = EMBEDDED) -> None:
        self.pipeline = pipeline
        self._nlp: Language | None = None
        self._rules: Any = None

    def files(self) -> Sequence[str]:
        return pipeline_files(self.pipeline)

    def setup(self) -> None:
        check_distribution()
        self._nlp = load_pipeline(self.pipeline)
        self._rules = published_rules()
        meta = self._nlp.meta
        self.name = f"sng_parser/{meta['lang']}_{meta['name']}-{meta['version']}"

    def parse(self, captions: Sequence[str]) -> list[SceneGraph]:
        if self._nlp is None:
            raise RuntimeError("SngParser.parse before setup()")
        for index, caption in enumerate(captions):
            if len(caption) > self._nlp.max_length:
                raise ParseError(
                    index, f"{len(caption)} characters; this pipeline takes {self._nlp.max_length}"
                )
        return [self._graph(doc) for doc in self._nlp.pipe(captions, batch_size=BATCH)]

    def _graph(self, doc: Doc) -> SceneGraph:
        published = self._rules.parse(doc)
        entities = tuple(_entity(doc, entity) for entity in published["entities"])
        bounds = [entity["span_bounds"] for entity in published["entities"]]
        relations = tuple(_relation(doc, bounds, relation) for relation in published["relations"])
        return SceneGraph(entities, relations)


def _entity(doc: Doc, entity: dict[str, Any]) -> Entity:
    first = entity["span_bounds"][0]
    start = doc[first].idx
    return Entity(
        text=entity["span"],
        lemma=entity["lemma_span"],
        head=entity["head"],
        start=start,
        end=start + len(entity["span"]),
        attributes=tuple(m["span"] for m in entity["modifiers"] if m["dep"] != "det"),
    )


def _relation(doc: Doc, bounds: list[tuple[int, int]], relation: dict[str, Any]) -> Relation:
    start, end = _predicate_span(doc, bounds[relation["object"]], relation["relation"])
    return Relation(
        subject=relation["subject"],
        predicate=relation["relation"],
        lemma=relation["lemma_relation"],
        object=relation["object"],
        start=start,
        end=end,
    )


def _predicate_span(doc: Doc, chunk: tuple[int, int], predicate: str) -> tuple[int, int]:
    """Character span of a relation's words, which the package gives as text alone.

    The words end at the head of the object noun (or of the noun it is coordinated with), and start
    there or up to two heads higher.
    """
    for noun in doc[chunk[0] : chunk[1]]:
        while True:
            last: Token = noun.head
            for first in (last, last.head, last.head.head):
                if first.i <= last.i and doc[first.i : last.i + 1].text == predicate:
                    return first.idx, last.idx + len(last.text)
            if noun.dep_ != "conj" or noun.head is noun:
                break
            noun = noun.head
    return -1, -1
