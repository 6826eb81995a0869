"""Phrases that name a thing by what it looks like: "a toy car" is no car, "a paper plane" no plane.

A synonym table that lists the whole phrase ("toy poodle", "paper cup") overrules this.
"""

from __future__ import annotations

from relforge.stages.class_names import class_words
from relforge.stages.match.words import singular, words

_LIKE = """
toy toys stuffed plush paper papier cardboard origami fake artificial imitation inflatable cartoon animated
lego miniature statue
"""
LIKE = frozenset(_LIKE.split())
"""Before a noun: something else that has its shape."""

_MATERIALS = """
plastic wooden wood metal rubber ceramic porcelain marble bronze clay plaster concrete carved sculpted
crocheted knitted gingerbread wax
"""
MATERIALS = frozenset(_MATERIALS.split())
"""Before the name of a living thing the same; a wooden chair is a chair."""

_ART = """
statue sculpture figurine figure carving drawing painting sketch cartoon illustration mural poster portrait
replica cutout print picture photo photograph image model decal sticker tattoo logo reflection shadow
"""
ART = frozenset(_ART.split())

_LIVING = """
person man woman child bird cat dog horse sheep cow elephant bear zebra giraffe deer lion tiger monkey rabbit
duck goose chicken penguin pig donkey camel yak antelope parrot pigeon swan fish goldfish seal dolphin
butterfly crab turtle lobster snail bee frog
"""
LIVING = frozenset(_LIVING.split())

_COLOURS = "red orange yellow green blue purple pink brown black white gray grey silver gold freshly newly"
COLOURS = frozenset(_COLOURS.split())


def is_likeness(before: tuple[str, ...], category: str) -> bool:
    """Whether the words before a synonym make it name something of that shape only.

    "painted" does, but with an adverb or a colour ("brightly painted", "red painted") it is a coat of paint.

    Args:
        before: words of the phrase up to the synonym.
        category: the class that the synonym names.
    """
    living = bool(LIVING & {singular(word) for word in words(class_words(category))})
    for at, word in enumerate(before):
        if word in LIKE or (word in MATERIALS and living):
            return True
        if word in ART and "of" in before[at + 1 : at + 2]:
            return True
        colour = at > 0 and (before[at - 1] in COLOURS or before[at - 1].endswith("ly"))
        if word == "painted" and not colour:
            return True
    return False
