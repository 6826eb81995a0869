"""The parse stage: every caption ends in one place, duplicates are parsed once."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from relforge.stages.backend import Backend
from relforge.stages.contract import Stage
from relforge.stages.parse import flan
from relforge.stages.parse.graph import Entity, ParseError, Relation, SceneGraph
from relforge.stages.parse.stage import ParseStage, build_parser
from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS


class WordParser:
    """Reads `subject predicate object`; refuses `refuse`, crashes on `crash`, loses the disk on `disk`."""

    name = "words"
    gives_confidence = True
    neutral_options: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.seen: list[str] = []

    def files(self) -> Sequence[str]:
        return ["words.txt"]

    def setup(self) -> None:
        self.ready = True

    def parse(self, captions: Sequence[str]) -> list[SceneGraph]:
        for index, caption in enumerate(captions):
            if caption == "refuse":
                raise ParseError(index, "not for me")
        if "crash" in captions:
            raise IndexError("out of words")
        if "disk" in captions:
            raise OSError("No space left on device")
        self.seen += captions
        return [self._graph(caption) for caption in captions]

    def _graph(self, caption: str) -> SceneGraph:
        words = caption.split()
        if len(words) != 3:
            return SceneGraph()
        ends = [len(words[0]), len(caption) - len(words[2])]
        return SceneGraph(
            (
                Entity(words[0], words[0].lower(), words[0], 0, ends[0]),
                Entity(words[2], words[2].lower(), words[2], ends[1], len(caption)),
            ),
            (Relation(0, words[1], words[1].lower(), 1, confidence=0.5),),
        )


@pytest.fixture
def stage() -> ParseStage:
    stage = ParseStage(WordParser())
    stage.setup()
    return stage


def captions(*rows: tuple[str, int, str]) -> pa.Table:
    return pa.table(
        {
            "image_id": [row[0] for row in rows],
            "caption_id": [row[1] for row in rows],
            "text": [row[2] for row in rows],
            "source": ["oracle"] * len(rows),
            "seed": [None] * len(rows),
            "logprob": [None] * len(rows),
        },
    ).cast(SCHEMAS["captions"])


def test_writes_one_row_per_relation_with_its_caption(stage: ParseStage) -> None:
    result = stage.process({"captions": captions(("1", 0, "Cat on Mat"), ("2", 3, "dog in car"))})

    rows = result.tables["triplets"].to_pylist()
    assert result.tables["triplets"].schema == SCHEMAS["triplets"]
    assert [(r["image_id"], r["caption_id"], r["triplet_id"]) for r in rows] == [("1", 0, 0), ("2", 3, 0)]
    assert [(r["subject"], r["predicate"], r["object"]) for r in rows] == [
        ("Cat", "on", "Mat"),
        ("dog", "in", "car"),
    ]
    assert (rows[0]["object_start"], rows[0]["object_end"]) == (7, 10)
    assert rows[0]["predicate_start"] is None  # the parser gives none
    assert (rows[0]["confidence"], rows[0]["parser"]) == (0.5, "words")


def test_parses_exact_duplicates_once(stage: ParseStage) -> None:
    result = stage.process(
        {"captions": captions(("1", 0, "cat on mat"), ("1", 1, "cat on mat"), ("2", 0, "cat on mat"))}
    )

    assert stage.parser.seen == ["cat on mat"]  # type: ignore[attr-defined]
    assert result.tables["triplets"].num_rows == 3
    assert result.notes["distinct_captions"] == 1


def test_counts_captions_without_relation_as_kept(stage: ParseStage) -> None:
    result = stage.process(
        {"captions": captions(("1", 0, "a cat"), ("1", 1, "a cat"), ("1", 2, "cat on mat"))}
    )

    assert (result.kept, result.dropped, result.quarantined) == (3, {}, [])
    assert result.notes["without_relation"] == 2


def test_drops_empty_captions_under_a_reason(stage: ParseStage) -> None:
    result = stage.process({"captions": captions(("1", 0, ""), ("1", 1, " \n\t"), ("1", 2, "cat on mat"))})

    assert (result.kept, result.dropped) == (1, {"empty_caption": 2})


def test_sets_aside_each_caption_the_parser_refuses(stage: ParseStage) -> None:
    rows = [("1", 0, "cat on mat"), ("1", 1, "refuse"), ("2", 0, "dog in car"), ("3", 7, "refuse")]

    result = stage.process({"captions": captions(*rows)})

    assert result.kept == 2
    assert result.tables["triplets"].num_rows == 2
    assert [(q.record, q.reason, q.detail) for q in result.quarantined] == [
        ({"image_id": "1", "caption_id": 1}, "parse_error", "not for me"),
        ({"image_id": "3", "caption_id": 7}, "parse_error", "not for me"),
    ]


def test_isolates_a_crash_to_its_caption(stage: ParseStage) -> None:
    rows = [("1", i, f"cat on mat{i}") for i in range(20)]
    rows[13] = ("1", 13, "crash")

    result = stage.process({"captions": captions(*rows)})

    assert result.kept == result.tables["triplets"].num_rows == 19
    (bad,) = result.quarantined
    assert (bad.record["caption_id"], bad.reason) == (13, "parser_crash")
    assert bad.detail == "IndexError: out of words"


def test_leaves_a_failing_machine_to_the_retry(stage: ParseStage) -> None:
    with pytest.raises(OSError, match="No space left"):
        stage.process({"captions": captions(("1", 0, "disk"), ("1", 1, "cat on mat"))})


def test_an_empty_shard_gives_an_empty_table(stage: ParseStage) -> None:
    result = stage.process({"captions": captions()})

    assert result.kept == 0
    assert result.tables["triplets"].schema == SCHEMAS["triplets"]


def test_lower_spans_lowers_the_phrases_and_leaves_the_predicate(stage: ParseStage) -> None:
    stage.lower_spans = True

    (row,) = stage.process({"captions": captions(("1", 0, "Cat ON Mat"))}).tables["triplets"].to_pylist()

    assert (row["subject"], row["predicate"], row["object"]) == ("cat", "ON", "mat")


def test_the_registry_builds_the_named_backend() -> None:
    stage = build("parse", "sng_parser", pipeline="embedded")

    assert isinstance(stage, Stage)
    assert (stage.name, stage.inputs, stage.outputs) == ("parse", ("captions",), ("triplets",))


def test_an_unknown_parser_names_the_choices() -> None:
    with pytest.raises(ValueError, match=r"unknown parse backend 'spice'; choose one of .*sng_parser"):
        build_parser("spice")


def test_a_parser_is_usable_without_its_stage() -> None:
    assert build_parser("sng_parser", pipeline="embedded").name == "sng_parser"


def test_a_least_confidence_is_refused_for_a_parser_that_gives_none() -> None:
    with pytest.raises(ValueError, match="min_confidence: the parser sng_parser gives no confidence"):
        build("parse", "sng_parser", min_confidence=0.5)


@pytest.mark.parametrize(("asked", "kept"), [(None, 0), (0.0, 1), (0.5, 1)])
def test_the_least_confidence_is_the_models_where_none_is_asked_for(asked: float | None, kept: int) -> None:
    class Choosy(WordParser):
        min_confidence = 0.6

    stage = ParseStage(Choosy(), min_confidence=asked)
    stage.setup()
    result = stage.process({"captions": captions(("1", 0, "cat on mat"))})

    assert result.tables["triplets"].num_rows == kept
    assert result.notes.get("dropped_relations", {}) == ({} if kept else {"low_confidence": 1})


def test_a_backend_takes_the_options_of_its_parser_and_of_the_stage() -> None:
    backend: Any = Backend(ParseStage, WordParser)

    assert backend(lower_spans=True).lower_spans
    with pytest.raises(TypeError, match="unexpected keyword argument 'lower_span'"):
        backend(lower_span=True)
    assert {"model", "batch_size", "predicate_form"} <= set(inspect.signature(flan.stage).parameters)
