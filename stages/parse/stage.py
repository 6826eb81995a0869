"""The parse stage: captions in, triplets out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.contract import Quarantined, StageResult
from relforge.stages.parse.graph import SceneGraph
from relforge.stages.parse.isolate import Unparsed, parse_isolated
from relforge.stages.parse.parsers import DEFAULT, build_parser
from relforge.stages.parse.policy import PredicatePolicy
from relforge.stages.parse.rows import triplet_rows


class ParseStage:
    """Parses every distinct caption of a shard once and writes its relations as triplets.

    Captions without a relation are kept (the note `without_relation` counts them), empty ones are
    dropped as `empty_caption`, and those the parser refuses or crashes on are quarantined.

    Args:
        parser: a key of `relforge.stages.parse.parsers.PARSERS`, or `module:Class`.
        lower_spans: lower-case the subject and object phrases, as the published scripts do; the
            predicate stays as the caption has it. False keeps the caption's own spelling.
        predicate_form, prepositions, stop_predicates, least_confidence: how predicates are worded and
            which relations are dropped (`policy.PredicatePolicy`); the note `dropped_relations` counts the
            latter by reason.
        options: keyword arguments of the parser.

    Raises:
        ValueError: an unknown parser, form or rule.
    """

    name = "parse"
    version = 1
    inputs = ("captions",)
    outputs = ("triplets",)

    def __init__(
        self,
        parser: str = DEFAULT,
        *,
        lower_spans: bool = False,
        predicate_form: str = "surface",
        prepositions: str = "kept",
        stop_predicates: Sequence[str] = (),
        least_confidence: float = 0.0,
        **options: Any,
    ) -> None:
        self.parser = build_parser(parser, **options)
        self.lower_spans = lower_spans
        self.policy = PredicatePolicy(predicate_form, prepositions, stop_predicates, least_confidence)

    def files(self) -> Sequence[str]:
        return self.parser.files()

    def setup(self) -> None:
        self.parser.setup()

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        captions = tables["captions"].select(["image_id", "caption_id", "text"])
        rows_read = captions.num_rows
        captions = captions.filter(pc.not_equal(pc.utf8_trim_whitespace(captions["text"]), ""))
        empty = rows_read - captions.num_rows

        encoded = pc.dictionary_encode(captions["text"].combine_chunks())
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        distinct = encoded.dictionary.to_pylist()
        which = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        parsed = parse_isolated(self.parser, distinct)

        quarantined = [
            Quarantined(
                {"image_id": row["image_id"], "caption_id": row["caption_id"]}, bad.reason, bad.detail
            )
            for row, bad in self._failures(captions, which, parsed)
        ]
        graphs, dropped = self._worded(parsed, np.bincount(which, minlength=len(distinct)))
        triplets = triplet_rows(captions, which, graphs, self.parser.name, self.lower_spans)
        silent = np.array(
            [
                isinstance(found, SceneGraph) and not graph.relations
                for found, graph in zip(parsed, graphs, strict=True)
            ],
            dtype=bool,
        )
        return StageResult(
            tables={"triplets": triplets},
            kept=captions.num_rows - len(quarantined),
            dropped={"empty_caption": empty} if empty else {},
            quarantined=quarantined,
            notes={
                "parser": self.parser.name,
                "distinct_captions": len(distinct),
                "without_relation": int(silent[which].sum()),
                **({"dropped_relations": dropped} if dropped else {}),
            },
        )

    def _worded(
        self, parsed: Sequence[SceneGraph | Unparsed], times: np.ndarray
    ) -> tuple[list[SceneGraph], dict[str, int]]:
        """The graphs after the predicate policy, and dropped relations by reason, each graph counted
        as often as captions share it."""
        graphs: list[SceneGraph] = []
        dropped: Counter[str] = Counter()
        for graph, shared in zip(parsed, times.tolist(), strict=True):
            worded, gone = self.policy.apply(graph if isinstance(graph, SceneGraph) else SceneGraph())
            graphs.append(worded)
            for reason, count in gone.items():
                dropped[reason] += count * shared
        return graphs, dict(sorted(dropped.items()))

    @staticmethod
    def _failures(
        captions: pa.Table, which: np.ndarray, parsed: Sequence[SceneGraph | Unparsed]
    ) -> list[tuple[dict[str, Any], Unparsed]]:
        """The caption rows that could not be parsed, each with its reason, in table order."""
        bad = {i: graph for i, graph in enumerate(parsed) if isinstance(graph, Unparsed)}
        rows = np.flatnonzero(np.isin(which, list(bad)))
        return [
            (row, bad[int(which[i])]) for i, row in zip(rows, captions.take(rows).to_pylist(), strict=True)
        ]
