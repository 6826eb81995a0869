"""Longer captions made of gold ones about the same entity.

"a man riding a wave" and "a man on a surfboard" give "a man riding a wave on a surfboard": the man is on it.
"a man holding an umbrella" and "umbrella with a wooden handle" give "... an umbrella with a wooden handle":
the umbrella has it. Of the first entity a participle may go on after a word: "a man riding a wave while
holding a paddle". What attaches where is thus taught by the words themselves, at lengths that gold
captions (six words) do not have and captioners' (ten to twenty) do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from relforge.trainer.parser.examples import Example, untaught

_OPENERS = "with on in under near by behind next at above over beside in inside against along"
OPENERS = frozenset(_OPENERS.split())
"""Words besides participles with which a continuation may begin."""

LINKS = ("while", "and", ",")
"""Words before a participle that says more of the first entity."""

LINKED = 0.4
"""Share of such continuations that get one."""


class Composer:
    """Continues one caption with the rest of another about the same entity.

    Args:
        examples: gold captions as numbers.
        vocabulary: the words of those numbers.
    """

    def __init__(self, examples: Sequence[Example], vocabulary: Sequence[str]) -> None:
        self._participles = np.array([word.endswith("ing") for word in vocabulary])
        opens = self._participles | np.array([word in OPENERS for word in vocabulary])
        self._links = [vocabulary.index(word) for word in LINKS if word in vocabulary]
        self._continuations: dict[int, list[Example]] = {}
        for example in examples:
            if _continues(example, opens):
                self._continuations.setdefault(int(example.words[example.ends[0]]), []).append(example)

    def extend(self, example: Example, rng: np.random.Generator) -> Example:
        """The caption with a continuation for its first or its last entity; itself where there is none."""
        if example.ends[-1] != len(example.words) - 1:
            return example
        target = int(example.ends[0] if rng.random() < 0.7 else example.ends[-1])
        choices = self._continuations.get(int(example.words[target]))
        if not choices:
            return example
        chosen = choices[int(rng.integers(len(choices)))]
        goes_on = self._participles[chosen.words[chosen.ends[0] + 1]] and target == example.ends[0]
        # "a man on a beach and riding a wave" is nobody's English, "a man walking and riding" is
        stated = self._participles[example.words[target + 1]] if target + 1 < len(example.words) else False
        link = []
        if self._links and goes_on and stated and rng.random() < LINKED:
            link = [self._links[int(rng.integers(len(self._links)))]]
        return continue_with(example, target, chosen, link)


def _continues(example: Example, opens: np.ndarray) -> bool:
    """Whether everything after the caption's first entity is stated of it, or of what follows."""
    first = example.ends[0]
    if first + 1 >= len(example.words) or not opens[example.words[first + 1]]:
        return False
    stated = example.pairs[example.pairs[:, 2] != 0]
    owned = example.arcs[example.arcs[:, 2] == 1]
    return bool(
        (stated[:, 0] == first).any()
        and not (stated[:, 1] == first).any()
        and not ((stated[:, 3] >= 0) & (stated[:, 3] < first)).any()
        and not ((owned[:, 0] > first) & (owned[:, 1] == first)).any()
        and not ((owned[:, 0] < first) & (owned[:, 1] > first)).any()
    )


def continue_with(left: Example, target: int, right: Example, link: Sequence[int] = ()) -> Example:
    """`left`, and after it what `right` states of its first entity, here of the one ending at `target`.

    Args:
        link: words between the two.
    """
    first = int(right.ends[0])
    place = np.arange(len(right.words)) - (first + 1) + len(left.words) + len(link)
    place[first] = target
    new_ends = place[right.ends[1:]]
    pairs = right.pairs.copy()
    pairs[:, 0], pairs[:, 1] = place[pairs[:, 0]], place[pairs[:, 1]]
    pairs[:, 3] = np.where(right.pairs[:, 3] >= 0, place[np.maximum(right.pairs[:, 3], 0)], -1)
    others = [end for end in left.ends.tolist() if end != target]
    unrelated = [(s, o, 0, -1) for a in others for b in new_ends for s, o in ((a, b), (b, a))]
    kept = right.arcs[:, 0] > first
    arcs = right.arcs[kept].copy()
    arcs[:, 0], arcs[:, 1] = place[arcs[:, 0]], place[arcs[:, 1]]
    apart = [(a, e, 0) for a in np.unique(arcs[:, 0]) for e in others]
    apart += [(a, e, 0) for a in np.unique(left.arcs[:, 0]) for e in new_ends]
    return Example(
        words=np.concatenate([left.words, np.array(link, np.int64), right.words[first + 1 :]]),
        tags=np.concatenate([left.tags, np.zeros(len(link), np.int64), right.tags[first + 1 :]]),
        ends=np.concatenate([left.ends, new_ends]),
        pairs=np.concatenate([left.pairs, pairs, np.array(unrelated, np.int64).reshape(-1, 4)]),
        arcs=np.concatenate([left.arcs, arcs, np.array(apart, np.int64).reshape(-1, 3)]),
        implied=np.concatenate([left.implied, right.implied[1:]]),
        tag_rows=np.concatenate([left.tag_rows, untaught(len(link)), right.tag_rows[first + 1 :]]),
        frame_rows=np.concatenate([left.frame_rows, right.frame_rows, untaught(len(unrelated))]),
        arc_rows=np.concatenate([left.arc_rows, right.arc_rows[kept], untaught(len(apart))]),
    )
