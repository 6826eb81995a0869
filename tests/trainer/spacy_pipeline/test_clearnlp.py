"""Universal Dependencies to ClearNLP, on hand-made sentences."""

from __future__ import annotations

from relforge.trainer.spacy_pipeline.clearnlp import to_clearnlp
from relforge.trainer.spacy_pipeline.tree import ROOT, Tree


def converted(*tokens: str) -> dict[str, tuple[str, str]]:
    """word -> (label, head word), from `word/tag/pos/head number/ud label` items."""
    tree = Tree()
    for item in tokens:
        word, tag, pos, head, dep = item.split("/")
        tree.attach(tree.add(word, tag, pos, "be" if word == "is" else ""), int(head) - 1, dep)
        tree.heads[-1] = ROOT if head == "0" else int(head) - 1
        tree.deps[-1] = "ROOT" if head == "0" else dep
    to_clearnlp(tree)
    assert tree.is_tree()
    return {
        word: (dep, tree.words[head] if head != ROOT else "")
        for word, dep, head in zip(tree.words, tree.deps, tree.heads, strict=True)
    }


def test_a_preposition_takes_the_place_of_its_noun() -> None:
    tree = converted("man/NN/NOUN/2/nsubj", "sits/VBZ/VERB/0/root", "on/IN/ADP/4/case", "bench/NN/NOUN/2/obl")

    assert tree["on"] == ("prep", "sits")
    assert tree["bench"] == ("pobj", "on")


def test_objects_are_renamed() -> None:
    tree = converted("man/NN/NOUN/2/nsubj", "rides/VBZ/VERB/0/root", "bike/NN/NOUN/2/obj")

    assert tree["bike"] == ("dobj", "rides")


def test_a_copula_heads_its_clause() -> None:
    tree = converted("man/NN/NOUN/3/nsubj", "is/VBZ/AUX/3/cop", "pilot/NN/NOUN/0/root")

    assert tree == {"man": ("nsubj", "is"), "is": ("ROOT", ""), "pilot": ("attr", "is")}


def test_a_copula_before_a_place_heads_the_preposition() -> None:
    tree = converted("cat/NN/NOUN/4/nsubj", "is/VBZ/AUX/4/cop", "on/IN/ADP/4/case", "mat/NN/NOUN/0/root")

    assert (tree["is"], tree["on"], tree["mat"]) == (("ROOT", ""), ("prep", "is"), ("pobj", "on"))


def test_a_full_passive_has_an_agent() -> None:
    tree = converted(
        "ball/NN/NOUN/3/nsubj:pass",
        "is/VBZ/AUX/3/aux:pass",
        "hit/VBN/VERB/0/root",
        "by/IN/ADP/5/case",
        "boy/NN/NOUN/3/obl:agent",
    )

    assert (tree["ball"], tree["by"], tree["boy"]) == (("nsubjpass", "hit"), ("agent", "hit"), ("pobj", "by"))


def test_a_passive_without_by_has_a_plain_subject() -> None:
    tree = converted(
        "car/NN/NOUN/3/nsubj:pass",
        "is/VBZ/AUX/3/aux:pass",
        "parked/VBN/VERB/0/root",
        "on/IN/ADP/5/case",
        "street/NN/NOUN/3/obl",
    )

    assert tree["car"] == ("nsubj", "parked")


def test_a_participle_modifies_its_noun() -> None:
    tree = converted("man/NN/NOUN/0/root", "riding/VBG/VERB/1/acl", "bike/NN/NOUN/2/obj")

    assert tree["riding"] == ("acl", "man")


def test_conjunctions_hang_below_the_first_conjunct() -> None:
    tree = converted("cup/NN/NOUN/0/root", "and/CC/CCONJ/3/cc", "plate/NN/NOUN/1/conj")

    assert (tree["and"], tree["plate"]) == (("cc", "cup"), ("conj", "cup"))


def test_next_carries_its_preposition() -> None:
    tree = converted(
        "sits/VBZ/VERB/0/root", "next/RB/ADV/1/advmod", "to/IN/ADP/4/case", "bench/NN/NOUN/1/obl"
    )

    assert (tree["next"], tree["to"]) == (("advmod", "sits"), ("prep", "next"))


def test_a_name_is_headed_by_its_last_word() -> None:
    tree = converted("New/NNP/PROPN/3/nsubj", "York/NNP/PROPN/1/flat", "shines/VBZ/VERB/0/root")

    assert (tree["New"], tree["York"]) == (("compound", "York"), ("nsubj", "shines"))
