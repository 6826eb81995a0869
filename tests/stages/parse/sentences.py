"""Captions written by hand with the graphs they ought to have.

A relation is `subject | predicate lemma | object` by head nouns; `owner: a, b` lists attributes.
Where the training data has one wording ("covered with": the cover covers; "in a shirt":
wears), the graphs follow it. None of the captions is in that data. The kinds are those that public
reports on rule parsers name.
"""

from __future__ import annotations

SENTENCES: dict[str, list[tuple[str, str]]] = {
    "prepositions": [
        ("the chair is in front of the desk", "chair | in front of | desk"),
        ("a lamp stands next to the sofa", "lamp | stand next to | sofa"),
        ("the cat is under the kitchen table", "cat | under | kitchen table"),
        ("a backpack on top of a suitcase", "backpack | on top of | suitcase"),
        ("two dogs are behind the wooden fence", "dogs | behind | fence ; dogs: two ; fence: wooden"),
        ("a clock between two windows", "clock | between | windows ; windows: two"),
    ],
    "verb before preposition": [
        ("a girl is sitting on a bench", "girl | sit on | bench"),
        ("a man leaning against a parked truck", "man | lean against | truck ; truck: parked"),
        ("the boy looks at the elephant", "boy | look at | elephant"),
        ("a woman standing in front of a mirror", "woman | stand in front of | mirror"),
        ("a kite flying over the beach", "kite | fly over | beach"),
        ("an old man walks across the street", "man | walk across | street ; man: old"),
    ],
    "plain verbs": [
        ("a chef cuts a tomato", "chef | cut | tomato"),
        ("the horse pulls a cart", "horse | pull | cart"),
        ("a child is holding a yellow umbrella", "child | hold | umbrella ; umbrella: yellow"),
        ("a raccoon eats a peach", "raccoon | eat | peach"),
    ],
    "coordination": [
        ("a man and a woman sitting on a sofa", "man | sit on | sofa ; woman | sit on | sofa"),
        ("a cat and a dog lying on the rug", "cat | lay on | rug ; dog | lay on | rug"),
        ("a boy wearing a cap and gloves", "boy | wear | cap ; boy | wear | gloves"),
        ("a table with a vase and a laptop on it", "vase | on | table ; laptop | on | table"),
        ("a black and white cow in a field", "cow | in | field ; cow: black, white"),
    ],
    "passive": [
        ("the ball is held by a girl", "girl | hold | ball"),
        ("a cart pulled by two horses", "horses | pull | cart ; horses: two"),
        ("a cake covered with chocolate", "chocolate | cover | cake"),
        ("the bike is chained to a pole", "bike | chain to | pole"),
    ],
    "relative clause": [
        ("a lady who is riding a camel", "lady | ride | camel"),
        ("the bus that is parked near the church", "bus | park near | church"),
        ("a plate that has a sandwich on it", "sandwich | on | plate"),
        ("a dog which is chasing a frisbee", "dog | chase | frisbee"),
    ],
    "possessive": [
        ("the dog's collar is red", "dog | have | collar ; collar: red"),
        ("a bird on the man's shoulder", "bird | on | shoulder ; man | have | shoulder"),
        ("the handle of the teapot", "teapot | have | handle"),
    ],
    "counts": [
        ("three zebras in a zoo", "zebras | in | zoo ; zebras: three"),
        ("five bananas on a plate", "bananas | on | plate ; bananas: five"),
    ],
    "several relations": [
        (
            "a man in a blue shirt riding a motorcycle",
            "man | wear | shirt ; man | ride | motorcycle ; shirt: blue",
        ),
        ("a woman holding a phone while sitting on a couch", "woman | hold | phone ; woman | sit on | couch"),
        (
            "a cup of coffee next to a laptop on a desk",
            "cup | next to | laptop ; laptop | on | desk ; coffee | in | cup",
        ),
    ],
    "typos": [
        ("a womna holding an umbrella", "womna | hold | umbrella"),
        ("a dog siting on a couch", "dog | sit on | couch"),
        ("a man ridding a skatebord", "man | ride | skatebord"),
    ],
    "openings of captions": [
        ("there is a cat on the bed", "cat | on | bed"),
        ("a picture of a giraffe standing near a tree", "giraffe | stand near | tree"),
        ("this is a photo of a train on a bridge", "train | on | bridge"),
    ],
}

MISSED: dict[str, str] = {
    "a man leaning against a parked truck": "takes the adjective for a part of the noun's name",
    "a table with a vase and a laptop on it": "adds that the table is with the vase",
    "a cup of coffee next to a laptop on a desk": "says of the coffee what the cup does",
}
"""Captions the embedded weights get wrong, and how."""
