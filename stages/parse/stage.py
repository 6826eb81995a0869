"""The parse stage: captions in, triplets out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages import registry
from relforge.stages.account import Account
from relforge.stages.contract import StageResult
from relforge.stages.parse.check import check_graph
from relforge.stages.parse.graph import Parser, SceneGraph
from relforge.stages.parse.isolate import Unparsed, parse_isolated
from relforge.stages.parse.policy import PredicatePolicy
from relforge.stages.parse.rows import triplet_rows
from relforge.stages.parse.sentences import join, split

DEFAULT = "relforge"
"""The parser that comes with relforge."""


class ParseStage:
    """Parses every distinct caption of a shard once and writes its relations as triplets.

    Captions without a relation are kept (the note `without_relation` counts them), empty ones are
    dropped as `empty_caption`, and those the parser refuses or crashes on are quarantined.

    Args:
        parser: what turns captions into scene graphs.
        lower_spans: lower-case the subject and object phrases, as the published scripts do; the
            predicate stays as the caption has it. False keeps the caption's own spelling.
        stated_only: keep only what the caption states (`check.check_graph`), sentence by sentence: nothing
            denied or depicted, predicates in the caption's words. False takes graphs as the parser gives
            them, as the published scripts do.
        predicate_form, prepositions, stop_predicates: how predicates are worded and which relations are
            dropped (`policy.PredicatePolicy`); the note `dropped_relations` counts the latter by reason.
        min_confidence: relations the parser is less sure of are dropped, as `low_confidence`; those without a
            confidence stay. None is what the model of `relforge` has in its card, chosen by F1, and 0 for
            parsers that have none of their own.

    Raises:
        ValueError: an unknown form or rule, or `min_confidence` for a parser that gives no confidence.
    """

    name = "parse"
    version = 3
    inputs: tuple[str, ...] = ("captions",)
    outputs: tuple[str, ...] = ("triplets",)

    def __init__(
        self,
        parser: Parser,
        *,
        lower_spans: bool = False,
        stated_only: bool = True,
        predicate_form: str = "surface",
        prepositions: str = "kept",
        stop_predicates: Sequence[str] = (),
        min_confidence: float | None = None,
    ) -> None:
        if min_confidence and not parser.gives_confidence:
            raise ValueError(
                f"parse.min_confidence: the parser {parser.name} gives no confidence; leave the option out"
            )
        self.parser = parser
        self.neutral_options = parser.neutral_options
        self.lower_spans = lower_spans
        self.stated_only = stated_only
        self.policy = PredicatePolicy(predicate_form, prepositions, stop_predicates, min_confidence or 0.0)
        self._of_the_model = min_confidence is None

    def files(self) -> Sequence[str]:
        return self.parser.files()

    def setup(self) -> None:
        self.parser.setup()
        if self._of_the_model:
            self.policy.min_confidence = getattr(self.parser, "min_confidence", 0.0)

    def process(self, tables: Mapping[str, pa.Table]) -> StageResult:
        account = Account()
        captions = tables["captions"].select(["image_id", "caption_id", "text"])
        rows_read = captions.num_rows
        captions = captions.filter(pc.not_equal(pc.utf8_trim_whitespace(captions["text"]), ""))
        account.drop("empty_caption", rows_read - captions.num_rows)

        encoded = pc.dictionary_encode(captions["text"].combine_chunks())
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        distinct = encoded.dictionary.to_pylist()
        which = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        times = np.bincount(which, minlength=len(distinct))
        parsed, long = self._parse(distinct, times)

        failed = {i: found for i, found in enumerate(parsed) if isinstance(found, Unparsed)}
        rows = np.flatnonzero(np.isin(which, list(failed)))
        for i, row in zip(rows, captions.take(rows).to_pylist(), strict=True):
            failure = failed[int(which[i])]
            record = {"image_id": row["image_id"], "caption_id": row["caption_id"]}
            account.quarantine(record, failure.reason, failure.detail)
        account.keep(captions.num_rows - len(rows))

        graphs, dropped = self._apply_policy(distinct, parsed, times)
        triplets = triplet_rows(captions, which, graphs, self.parser.name, self.lower_spans)
        without_relation = np.array(
            [
                isinstance(found, SceneGraph) and not graph.relations
                for found, graph in zip(parsed, graphs, strict=True)
            ],
            dtype=bool,
        )
        return account.result(
            {"triplets": triplets},
            {
                "parser": self.parser.name,
                "distinct_captions": len(distinct),
                "without_relation": int(without_relation[which].sum()),
                **({"dropped_relations": dropped} if dropped else {}),
                **({"parsed_in_parts": long} if long else {}),
            },
        )

    def _parse(self, captions: Sequence[str], times: np.ndarray) -> tuple[list[SceneGraph | Unparsed], int]:
        """Graphs in the order of the captions, and how many captions have a sentence that was too long to be
        parsed whole."""
        if not self.stated_only:
            return parse_isolated(self.parser, captions), 0
        parts = [split(caption) for caption in captions]
        sentences = list(dict.fromkeys(text for pieces, _ in parts for _, text in pieces))
        parsed = dict(zip(sentences, parse_isolated(self.parser, sentences), strict=True))
        graphs: list[SceneGraph | Unparsed] = []
        for pieces, _ in parts:
            found = [(offset, parsed[text]) for offset, text in pieces]
            failed = next((graph for _, graph in found if isinstance(graph, Unparsed)), None)
            usable = [(offset, graph) for offset, graph in found if isinstance(graph, SceneGraph)]
            graphs.append(failed if failed is not None else join(usable))
        long = [times[k] for k, (_, cut) in enumerate(parts) if cut]
        return graphs, int(sum(long))

    def _apply_policy(
        self, captions: Sequence[str], parsed: Sequence[SceneGraph | Unparsed], times: np.ndarray
    ) -> tuple[list[SceneGraph], dict[str, int]]:
        """The graphs with what the captions state, after the predicate policy, and dropped relations by
        reason, each graph counted as often as captions share it."""
        graphs: list[SceneGraph] = []
        dropped: Counter[str] = Counter()
        for caption, found, shared in zip(captions, parsed, times.tolist(), strict=True):
            graph = found if isinstance(found, SceneGraph) else SceneGraph()
            unstated: Counter[str] = Counter()
            if self.stated_only:
                graph, unstated = check_graph(caption, graph)
            reworded, reasons = self.policy.apply(graph)
            reasons.update(unstated)
            graphs.append(reworded)
            for reason, count in reasons.items():
                dropped[reason] += count * shared
        return graphs, dict(sorted(dropped.items()))


def build_parser(name: str = DEFAULT, **options: Any) -> Parser:
    """The parser of the backend with that name, for use without a stage; nothing is loaded yet.

    Args:
        name: a parse backend, see `relforge.stages.registry`.
        options: of the backend.

    Raises:
        ValueError: an unknown backend, naming the choices.
    """
    stage = registry.build("parse", name, **options)
    if not isinstance(stage, ParseStage):
        raise ValueError(f"parse backend {name!r} is a stage of its own and has no parser")
    return stage.parser
