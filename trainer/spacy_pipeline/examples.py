"""Trees to spaCy training examples."""

from __future__ import annotations

from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

from relforge.trainer.spacy_pipeline.tree import ROOT, Tree

NUMBER = {"NN": "Number=Sing", "NNS": "Number=Plur"}


def reference(vocab: Vocab, tree: Tree, lower: bool = False) -> Doc:
    """The tree as an annotated `Doc`; `lower` folds its words, as captioning models write."""
    words = [word.lower() for word in tree.words] if lower else tree.words
    return Doc(
        vocab,
        words=words,
        spaces=tree.spaces,
        tags=tree.tags,
        pos=tree.pos,
        morphs=[NUMBER.get(tag, "") for tag in tree.tags],
        lemmas=tree.lemmas,
        heads=[i if head == ROOT else head for i, head in enumerate(tree.heads)],
        deps=tree.deps,
        sent_starts=[i == 0 for i in range(len(tree))],
    )


def example(vocab: Vocab, tree: Tree, lower: bool = False) -> Example:
    """A training example on the treebank's own tokens."""
    gold = reference(vocab, tree, lower)
    return Example(Doc(vocab, words=[token.text for token in gold], spaces=tree.spaces), gold)


def is_projective(tree: Tree) -> bool:
    """No two arcs cross."""
    arcs = [(min(i, head), max(i, head)) for i, head in enumerate(tree.heads) if head != ROOT]
    return not any(a < c < b < d for a, b in arcs for c, d in arcs)
