"""Universal Dependencies to the ClearNLP scheme of spaCy's English pipelines.

UD makes content words heads and hangs function words below them; ClearNLP makes prepositions and
copulas heads. The rules here are our own reading of both guidelines, bent in four places where the
published scene graph rules would otherwise lose a relation that the sentence states:

* all conjuncts hang below the first one, so that a list gives a relation per item;
* `nsubjpass` and `agent` are kept for full passives (`is hit by a boy`, which the rules reverse); the
  subject of `is parked on the street` is `nsubj`, and `surrounded by trees` has a plain `prep`;
* a copula before a place (`is on the mat`) is a VERB, not an AUX;
* phrases after `there is a dog` belong to the dog.
"""

from __future__ import annotations

from itertools import pairwise

from relforge.trainer.spacy_pipeline.tree import ROOT, Tree
from relforge.trainer.spacy_pipeline.words import sections

RENAMED = {
    "acl": "acl",
    "acl:relcl": "relcl",
    "advcl:relcl": "advcl",
    "aux:pass": "auxpass",
    "case": "prep",
    "cc:preconj": "preconj",
    "compound:prt": "prt",
    "csubj:outer": "csubj",
    "csubj:pass": "csubjpass",
    "det:predet": "predet",
    "discourse": "intj",
    "dislocated": "dep",
    "fixed": "pcomp",
    "flat": "compound",
    "goeswith": "dep",
    "iobj": "dative",
    "list": "dep",
    "nmod:desc": "compound",
    "nmod:poss": "poss",
    "nmod:unmarked": "npadvmod",
    "nsubj:outer": "nsubj",
    "nsubj:pass": "nsubjpass",
    "obj": "dobj",
    "obl": "npadvmod",
    "obl:agent": "npadvmod",
    "obl:unmarked": "npadvmod",
    "orphan": "dep",
    "reparandum": "dep",
    "vocative": "npadvmod",
}
"""Labels whose arc stays as it is. What is not here keeps its name."""

NOMINAL = {"NOUN", "PROPN", "PRON", "NUM", "SYM", "X", "DET"}
CLAUSE_LEVEL = {
    "nsubj",
    "nsubj:pass",
    "nsubj:outer",
    "csubj",
    "csubj:outer",
    "expl",
    "aux",
    "aux:pass",
    "mark",
    "advcl",
    "discourse",
    "vocative",
    "parataxis",
    "obl:unmarked",
}
"""Dependents that belong to the clause and so follow the copula when it becomes the head."""

ADJECTIVE_PREPOSITIONS = {"of", "with", "to", "for", "about", "than", "as"}
"""Introduce the complement of an adjective (`full of`); other phrases belong to the clause."""

LEANING = {"next", "close", "adjacent", "together", "along", "away", "near", "opposite", "due", "prior"}
"""Adverbs that take the preposition right after them: `next to`, `along with`."""

GERUND_PREPOSITIONS = frozenset(sections("prepositions")["before gerund"])
BE = {"be", "'s", "'re", "'m"}


def to_clearnlp(tree: Tree) -> Tree:
    """Rearrange a tree with UD labels in place, and return it."""
    _reverse_names(tree)
    _promote_copulas(tree)
    _promote_prepositions(tree)
    _move_conjunctions(tree)
    _existentials(tree)
    _rename(tree)
    _short_passives(tree)
    return tree


def _reverse_names(tree: Tree) -> None:
    """`flat` names are headed by their first word in UD, by their last in ClearNLP."""
    for first in range(len(tree)):
        if tree.pos[first] not in ("PROPN", "NOUN"):
            continue
        rest = [i for i in tree.children(first, "flat") if tree.pos[i] in ("PROPN", "NOUN")]
        if not rest or rest[-1] < first:
            continue
        last = rest[-1]
        _take_place(tree, last, first)
        for child in [first, *rest[:-1]]:
            tree.attach(child, last, "compound")
        for child in list(tree.children(first)):
            tree.heads[child] = last


def _promote_copulas(tree: Tree) -> None:
    for cop in range(len(tree)):
        if tree.deps[cop] != "cop":
            continue
        predicate = tree.heads[cop]
        prepositional = any(tree.deps[i] == "case" for i in tree.children(predicate) if i < predicate)
        adjectival = tree.pos[predicate] in ("ADJ", "VERB")
        _take_place(tree, cop, predicate)
        for child in list(tree.children(predicate)):
            if _belongs_to_clause(tree, child, cop, predicate, adjectival):
                tree.heads[child] = cop
        if prepositional:
            label = "obl"
            # a copula before a place is a full verb: the rules read "is on" only then
            tree.pos[cop] = "VERB"
        elif adjectival:
            label = "acomp"
        elif tree.pos[predicate] == "ADV":
            label = "advmod"
        else:
            label = "attr"
        tree.attach(predicate, cop, label)


def _belongs_to_clause(tree: Tree, child: int, cop: int, predicate: int, adjectival: bool) -> bool:
    dep = tree.deps[child]
    if dep in CLAUSE_LEVEL or dep == "cop":
        return True
    if dep == "punct":
        return child < min(cop, predicate) or child > predicate
    if dep == "advmod":
        return child < cop or tree.words[child].lower() in ("not", "n't", "also", "always", "never", "just")
    if dep == "obl":
        case = next((tree.words[i].lower() for i in tree.children(child) if tree.deps[i] == "case"), "")
        return not (adjectival and case in ADJECTIVE_PREPOSITIONS)
    if dep == "cc":
        return child < cop
    if dep == "conj":
        clausal = {"nsubj", "nsubj:pass", "cop", "aux", "expl"}
        return tree.pos[child] in ("VERB", "AUX") or any(
            tree.deps[i] in clausal for i in tree.children(child)
        )
    return False


def _promote_prepositions(tree: Tree) -> None:
    for noun in range(len(tree)):
        cases = [
            i
            for i in tree.children(noun, "case")
            if i < noun and tree.tags[i] != "POS" and tree.pos[i] != "PART"
        ]
        if cases:
            _promote(tree, noun, cases, "pobj" if tree.pos[noun] != "VERB" else "pcomp")
        elif tree.deps[noun] in ("advcl", "acl") and tree.tags[noun] == "VBG":
            marks = [
                i
                for i in tree.children(noun, "mark")
                if i < noun and tree.tags[i] == "IN" and tree.words[i].lower() in GERUND_PREPOSITIONS
            ]
            if marks:
                _promote(tree, noun, marks[:1], "pcomp")


def _promote(tree: Tree, noun: int, cases: list[int], label: str) -> None:
    """Put the chain of prepositions `cases` above `noun`."""
    dep, head = tree.deps[noun], tree.heads[noun]
    first, last = cases[0], cases[-1]
    _take_place(tree, first, noun)
    if (
        dep == "obl:agent"
        and head != ROOT
        and any(tree.deps[i] in ("nsubj:pass", "nsubjpass") for i in tree.children(head))
    ):
        tree.deps[first] = "agent"
    elif dep not in ("ROOT", "conj", "appos", "parataxis", "list"):
        tree.deps[first] = "prep"
    for above, below in pairwise(cases):
        tree.attach(below, above, "prep")
    tree.attach(noun, last, label)
    for child in list(tree.children(noun)):
        if tree.deps[child] == "conj" and any(
            tree.deps[i] == "case" and tree.tags[i] != "POS" for i in tree.children(child)
        ):
            tree.heads[child] = first  # "in the house and on the roof" coordinates prepositions
        elif tree.deps[child] == "punct" and child < first:
            tree.heads[child] = head if head != ROOT else first
        elif child < first:
            tree.heads[child] = first  # "right behind the house"
    before = first - 1
    if before >= 0 and tree.words[before].lower() in LEANING and tree.heads[before] == tree.heads[first]:
        tree.heads[first] = before


def _move_conjunctions(tree: Tree) -> None:
    """`cc` and the comma hang below the next conjunct in UD, below the first one in ClearNLP."""
    for conjunct in range(len(tree)):
        if tree.deps[conjunct] != "conj":
            continue
        first = tree.heads[conjunct]
        owners = [
            conjunct,
            *(i for i in tree.children(conjunct) if tree.deps[i] in ("pobj", "pcomp", "attr")),
        ]
        for owner in owners:
            for child in list(tree.children(owner)):
                separator = tree.deps[child] == "cc" or (
                    tree.deps[child] == "punct" and tree.words[child] == ","
                )
                if separator and first < child < conjunct:
                    tree.heads[child] = first


def _existentials(tree: Tree) -> None:
    """`there is a dog on the mat`: the dog is `attr`, and what follows it is about the dog."""
    for there in range(len(tree)):
        verb = tree.heads[there]
        if tree.deps[there] != "expl" or verb == ROOT or tree.lemmas[verb] not in BE:
            continue
        tree.pos[verb] = "VERB"
        for noun in [i for i in tree.children(verb, "nsubj") if i > verb]:
            tree.deps[noun] = "attr"
            for child in list(tree.children(verb, "prep")):
                if child > noun:
                    tree.heads[child] = noun


def _short_passives(tree: Tree) -> None:
    """A passive without `by` has a plain subject."""
    for subject, dep in enumerate(tree.deps):
        if dep == "nsubjpass" and next(tree.children(tree.heads[subject], "agent"), None) is None:
            tree.deps[subject] = "nsubj"


def _rename(tree: Tree) -> None:
    for i, dep in enumerate(tree.deps):
        word, tag, pos = tree.words[i].lower(), tree.tags[i], tree.pos[i]
        if dep == "mark" and tag == "TO":
            label = "aux"
        elif dep == "advmod" and word in ("not", "n't", "n’t"):
            label = "neg"
        elif dep == "case" and (tag == "POS" or pos == "PART"):
            label = "case"
        elif dep == "flat" and pos == "NUM":
            label = "nummod"
        elif dep == "xcomp" and pos == "ADJ":
            label = "acomp"
        elif dep == "xcomp" and pos in NOMINAL:
            label = "attr"
        else:
            label = RENAMED.get(dep, dep)
        tree.deps[i] = label.split(":")[0]


def _take_place(tree: Tree, new: int, old: int) -> None:
    """Give `new` the head and label of `old`; `old` is left for the caller to attach."""
    head, dep = tree.heads[old], tree.deps[old]
    tree.attach(new, head, dep)
    tree.attach(old, new, "dep")
