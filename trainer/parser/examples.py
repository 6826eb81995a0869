"""Aligned captions as numbers, and batches of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from relforge.stages.parse.learned.tables import NO_RELATION, Tables
from relforge.trainer.parser.align import Aligned

OUTSIDE, ENTITY, ATTRIBUTE = 0, 1, 3
"""Tags; the tag of a chunk's further words is one more."""

SKIP = -100
"""Frame of a pair whose gold predicate has no frame: it is left out of the loss."""

GLUES = ((",",), (".",), ("while",), ("and",))


@dataclass(slots=True)
class Example:
    """One caption. Places are word indices.

    Args:
        words: (L,) indices into the training vocabulary.
        tags: (L,).
        ends: (E,) last word of each entity.
        pairs: (P, 4) subject end, object end, frame, filler word or -1; every ordered pair.
        arcs: (A, 3) attribute end, entity end, whether they belong together.
        implied: (E, I) 0 or 1.
        tag_rows, frame_rows, arc_rows: (L,), (P,), (A,) rows of `teach.Lessons`; -1 where nothing is taught.
    """

    words: np.ndarray
    tags: np.ndarray
    ends: np.ndarray
    pairs: np.ndarray
    arcs: np.ndarray
    implied: np.ndarray
    tag_rows: np.ndarray
    frame_rows: np.ndarray
    arc_rows: np.ndarray


def untaught(count: int) -> np.ndarray:
    """(count,) rows of what no teacher speaks of."""
    return np.full(count, -1, np.int64)


def example(aligned: Aligned, tables: Tables, index: dict[str, int]) -> Example:
    """Numbers of one aligned caption. `index`: word -> training vocabulary."""
    tags = np.zeros(len(aligned.words), np.int64)
    for spans, tag in (
        ([span for span, _ in aligned.attributes], ATTRIBUTE),
        (list(aligned.entities), ENTITY),
    ):
        for first, last in sorted(spans):
            tags[first] = tag
            tags[first + 1 : last + 1] = tag + 1
    ends = sorted(last for _, last in aligned.entities)
    frames = {frame: i for i, frame in enumerate(tables.frames)}
    stated = {(s[1], o[1]): value for (s, o), value in aligned.relations.items()}
    pairs = []
    for s in ends:
        for o in ends:
            if s != o:
                frame, filler, _ = stated.get((s, o), (NO_RELATION, -1, ""))
                pairs.append((s, o, frames.get(frame, SKIP), filler if frame in frames else -1))
    owned = {(a[1], e[1]) for a, e in aligned.attributes}
    arcs = [(a, e, (a, e) in owned) for a in sorted({a for a, _ in owned}) for e in ends if a != e]
    implied = np.zeros((len(ends), len(tables.implied)), np.float32)
    for span, text in aligned.implied:
        if text in tables.implied:
            implied[ends.index(span[1]), tables.implied.index(text)] = 1
    return Example(
        words=np.array([index[word] for word in aligned.words], np.int64),
        tags=tags,
        ends=np.array(ends, np.int64),
        pairs=np.array(pairs, np.int64).reshape(-1, 4),
        arcs=np.array(arcs, np.int64).reshape(-1, 3),
        implied=implied,
        tag_rows=untaught(len(aligned.words)),
        frame_rows=untaught(len(pairs)),
        arc_rows=untaught(len(arcs)),
    )


def joined(left: Example, right: Example, glue: Sequence[int]) -> Example:
    """Two captions as one longer caption: nothing of the one has a relation to the other.

    Gold captions rarely exceed ten words, captioners write twenty; these train longer distances.
    """
    shift = len(left.words) + len(glue)
    moved = right.pairs + np.array([shift, shift, 0, 0])
    moved[:, 3] = np.where(right.pairs[:, 3] >= 0, right.pairs[:, 3] + shift, -1)
    unrelated = [(s, o, 0, -1) for a in left.ends for b in right.ends + shift for s, o in ((a, b), (b, a))]
    arcs = [left.arcs, right.arcs + np.array([shift, shift, 0])]
    for a in np.unique(left.arcs[:, 0]):
        arcs.append(np.array([(a, e + shift, 0) for e in right.ends], np.int64).reshape(-1, 3))
    for a in np.unique(right.arcs[:, 0]):
        arcs.append(np.array([(a + shift, e, 0) for e in left.ends], np.int64).reshape(-1, 3))
    return Example(
        words=np.concatenate([left.words, np.array(glue, np.int64), right.words]),
        tags=np.concatenate([left.tags, np.zeros(len(glue), np.int64), right.tags]),
        ends=np.concatenate([left.ends, right.ends + shift]),
        pairs=np.concatenate([left.pairs, moved, np.array(unrelated, np.int64).reshape(-1, 4)]),
        arcs=np.concatenate(arcs),
        implied=np.concatenate([left.implied, right.implied]),
        tag_rows=np.concatenate([left.tag_rows, untaught(len(glue)), right.tag_rows]),
        frame_rows=np.concatenate([left.frame_rows, right.frame_rows, untaught(len(unrelated))]),
        arc_rows=np.concatenate([left.arc_rows, right.arc_rows, untaught(sum(map(len, arcs[2:])))]),
    )


def batches(
    examples: Sequence[Example],
    batch_size: int,
    share: float,
    glues: Sequence[Sequence[int]],
    rng: np.random.Generator,
    extend: Callable[[Example, np.random.Generator], Example] | None = None,
    extended: float = 0.0,
) -> Iterator[list[Example]]:
    """One epoch: batches of captions of equal length.

    Args:
        batch_size: captions per batch.
        share: part of the captions that is joined to another by one of `glues`.
        extend, extended: how a caption is continued (`compose.Composer.extend`), and which part is.
    """
    epoch = list(examples)
    if extend is not None:
        for i in rng.choice(len(epoch), int(extended * len(epoch)), replace=False).tolist():
            epoch[i] = extend(epoch[i], rng)
    # "a man" and "a woman on a sofa" joined by "and" would state that both sit: join whole statements only
    stating = [i for i, e in enumerate(epoch) if (e.pairs[:, 2] > 0).any()]
    for i in rng.choice(stating, int(share * len(stating)), replace=False).tolist():
        other = examples[stating[int(rng.integers(len(stating)))]]
        epoch[i] = joined(epoch[i], other, glues[int(rng.integers(len(glues)))])
    by_length: dict[int, list[Example]] = {}
    for i in rng.permutation(len(epoch)).tolist():
        by_length.setdefault(len(epoch[i].words), []).append(epoch[i])
    out = [
        members[i : i + batch_size]
        for _, members in sorted(by_length.items())
        for i in range(0, len(members), batch_size)
    ]
    for i in rng.permutation(len(out)).tolist():
        yield out[i]
