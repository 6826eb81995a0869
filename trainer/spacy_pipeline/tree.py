"""A dependency tree that is cheap to build and rearrange."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

ROOT = -1


@dataclass
class Tree:
    """Parallel lists, one item per token.

    Args:
        words: surface forms.
        spaces: whether a space follows.
        tags: Penn Treebank tags.
        pos: universal part-of-speech tags.
        lemmas: base forms; empty where unknown.
        heads: index of each token's head, `ROOT` for the root.
        deps: dependency labels.
    """

    words: list[str] = field(default_factory=list)
    spaces: list[bool] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    pos: list[str] = field(default_factory=list)
    lemmas: list[str] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    deps: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.words)

    def add(self, word: str, tag: str, pos: str, lemma: str = "", space: bool = True) -> int:
        """Append a token without a head; returns its index."""
        self.words.append(word)
        self.spaces.append(space)
        self.tags.append(tag)
        self.pos.append(pos)
        self.lemmas.append(lemma or word.lower())
        self.heads.append(ROOT)
        self.deps.append("ROOT")
        return len(self) - 1

    def attach(self, token: int, head: int, dep: str) -> None:
        self.heads[token] = head
        self.deps[token] = dep

    def children(self, token: int, dep: str | None = None) -> Iterator[int]:
        """Children in sentence order, only those labelled `dep` if given."""
        for i, head in enumerate(self.heads):
            if head == token and (dep is None or self.deps[i] == dep):
                yield i

    def text(self) -> str:
        return "".join(w + " " * s for w, s in zip(self.words, self.spaces, strict=True)).rstrip()

    def is_tree(self) -> bool:
        """One root, and every token reaches it."""
        if self.heads.count(ROOT) != 1:
            return False
        for i in range(len(self)):
            seen = 0
            while i != ROOT:
                i = self.heads[i]
                seen += 1
                if seen > len(self):
                    return False
        return True
