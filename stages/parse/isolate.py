"""Parse a batch so that one bad caption costs one caption, never the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relforge.stages.parse.graph import ParseError, Parser, SceneGraph


@dataclass(frozen=True)
class Unparsed:
    """Why a caption has no scene graph.

    Args:
        reason: `parse_error` where the parser refused it, `parser_crash` where it raised
            something else.
        detail: the sentence a person reads.
    """

    reason: str
    detail: str


def parse_isolated(parser: Parser, captions: Sequence[str]) -> list[SceneGraph | Unparsed]:
    """Graphs in the order of `captions`, with the failing ones replaced by `Unparsed`.

    A `ParseError` names its caption, which is taken out before the rest is parsed again. Any other
    exception names no caption, so the batch is halved until one caption is left: a
    single crash among n captions costs about 2 log2(n) extra calls.

    Raises:
        OSError, MemoryError: the machine failed, not the caption; the shard is tried again.
    """
    results: list[SceneGraph | Unparsed | None] = [None] * len(captions)
    pending = [list(range(len(captions)))]  # positions still to be parsed, as batches
    while pending:
        batch = pending.pop()
        if not batch:
            continue
        try:
            graphs = parser.parse([captions[i] for i in batch])
        except ParseError as error:
            results[batch[error.index]] = Unparsed("parse_error", error.detail)
            pending.append(batch[: error.index] + batch[error.index + 1 :])
            continue
        except (OSError, MemoryError):
            raise
        except Exception as error:
            if len(batch) == 1:
                results[batch[0]] = Unparsed("parser_crash", f"{type(error).__name__}: {error}")
            else:
                half = len(batch) // 2
                pending += [batch[half:], batch[:half]]
            continue
        if len(graphs) != len(batch):
            raise RuntimeError(
                f"parser {parser.name!r} returned {len(graphs)} graphs for {len(batch)} captions"
            )
        for i, graph in zip(batch, graphs, strict=True):
            results[i] = graph
    return [result for result in results if result is not None]
