"""Parses of real captions that a gold scene graph confirms.

A half-trained pipeline parses captions whose scene graphs people have written down. Where the published
rules read exactly the gold relations off a parse, or off one that differs by a single attachment, the
parse is kept for training: the graph settles what `in`, `with` and `of` belong to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from relforge.stages.parse.sng_package import check_distribution
from relforge.stages.parse.triples import is_relation
from relforge.trainer.parser.gold import read_gold
from relforge.trainer.spacy_pipeline.examples import is_projective, reference
from relforge.trainer.spacy_pipeline.tree import ROOT, Tree

Triples = set[tuple[str, str, str]]
MOVABLE = {"prep", "acl", "advmod", "relcl"}
MAX_WORDS = 25
REVERSIBLE = {"of", "by", "in", "with"}


def read_graphs(path: Path) -> Iterator[tuple[str, Triples]]:
    """Captions with their gold relations, attributes left out, from a FACTUAL-style CSV.

    Raises:
        ValueError: a column is missing.
    """
    for gold in read_gold(path):
        yield gold.caption, {(t[0], t[1], t[2]) for t in gold.triples if is_relation(t)}


def confirmed_trees(nlp: Language, captions: Iterable[tuple[str, Triples]]) -> Iterator[Tree]:
    """The parses of captions with at least one gold relation that agree with it."""
    rules = published_rules()
    stream = ((text.lower(), gold) for text, gold in captions if gold)
    for doc, gold in nlp.pipe(stream, as_tuples=True, batch_size=256):
        if len(doc) > MAX_WORDS:
            continue
        if agrees(rules.parse(doc), gold):
            yield tree_of(doc)
            continue
        for tree in _neighbours(tree_of(doc)):
            if agrees(rules.parse(reference(nlp.vocab, tree)), gold):
                yield tree
                break


def agrees(graph: dict[str, Any], gold: Triples) -> bool:
    """Same subject-object pairs, with predicates that are a head or a tail of the gold ones (the rules
    drop the verb of `sit on`).

    The gold graphs turn `leg of a man` into `man have leg` and `covered by snow` into `snow cover`, so
    a pair read off `of`, `by`, `in` or `with` may be reversed there; and partitive `of` (`group of
    people`) is no relation in them.
    """
    heads = [_last(entity["head"]) for entity in graph["entities"]]
    wanted = {(_last(subject), _last(thing)): predicate for subject, predicate, thing in gold}
    for relation in graph["relations"]:
        subject, thing = heads[relation["subject"]], heads[relation["object"]]
        predicate = relation["lemma_relation"].lower()
        if (subject, thing) in wanted and _part_of(predicate, wanted[subject, thing]):
            del wanted[subject, thing]
        elif (thing, subject) in wanted and predicate in REVERSIBLE:
            del wanted[thing, subject]
        elif predicate != "of":
            return False
    return not wanted


def published_rules() -> Any:
    """The package's own spaCy backend, whose `parse(doc)` takes a parsed `Doc` instead of a sentence.

    The rules of `stages/parse/sng_rules.py`, slower and without character offsets.
    """
    check_distribution()
    import sng_parser.backends  # registers the backend; the module itself keeps no name for it

    backend = sng_parser.Parser._backend_registry["spacy"]
    rules = backend.__new__(backend)  # its __init__ would load a second pipeline
    rules.nlp = lambda doc: doc
    return rules


def tree_of(doc: Doc) -> Tree:
    """A parsed `Doc` as a tree."""
    return Tree(
        words=[token.text for token in doc],
        spaces=[bool(token.whitespace_) for token in doc],
        tags=[token.tag_ for token in doc],
        pos=[token.pos_ for token in doc],
        lemmas=[token.lemma_ for token in doc],
        heads=[ROOT if token.head is token or token.head.i == token.i else token.head.i for token in doc],
        deps=[token.dep_ for token in doc],
    )


def _neighbours(tree: Tree) -> Iterator[Tree]:
    """Every projective tree with one modifier attached to another noun or verb on its left."""
    for token, dep in enumerate(tree.deps):
        if dep not in MOVABLE:
            continue
        for head in range(token - 1, -1, -1):
            if head == tree.heads[token] or tree.pos[head] not in ("NOUN", "PROPN", "VERB", "AUX"):
                continue
            moved = replace(tree, heads=[*tree.heads[:token], head, *tree.heads[token + 1 :]])
            if moved.is_tree() and is_projective(moved):
                yield moved


def _last(phrase: str) -> str:
    return phrase.lower().split()[-1] if phrase.split() else ""


def _part_of(predicate: str, gold: str) -> bool:
    return predicate == gold or gold.endswith(f" {predicate}") or gold.startswith(f"{predicate} ")
