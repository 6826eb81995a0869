"""What is in a picture: things with boxes, and the relation that put them there."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

WIDTH, HEIGHT = 320, 240
GROUND = 200
"""Row (pixels) on which standing things have their feet."""

SIZES = {
    "person": (34, 84),
    "horse": (96, 70),
    "dog": (44, 34),
    "cat": (36, 26),
    "bicycle": (70, 44),
    "bench": (100, 40),
    "chair": (42, 54),
    "dining table": (116, 50),
    "cup": (14, 18),
    "umbrella": (54, 40),
    "kite": (34, 34),
    "car": (104, 46),
}
"""Category -> width and height in pixels."""

WORDS = {
    "person": ("man", "woman", "boy", "girl", "person"),
    "dog": ("dog", "puppy"),
    "cat": ("cat", "kitten"),
    "bicycle": ("bicycle", "bike"),
    "dining table": ("table",),
}
"""Category -> nouns a caption may use for it; the category itself where nothing else is listed."""

RELATIONS = (
    ("person", "riding", "horse", "on"),
    ("person", "riding", "bicycle", "on"),
    ("person", "sitting on", "bench", "on"),
    ("person", "holding", "umbrella", "above"),
    ("person", "flying", "kite", "above"),
    ("person", "standing next to", "car", "beside"),
    ("person", "walking", "dog", "beside"),
    ("dog", "lying under", "dining table", "under"),
    ("dog", "running behind", "bicycle", "beside"),
    ("cat", "sleeping on", "chair", "on"),
    ("cat", "sitting under", "bench", "under"),
    ("cup", "on", "dining table", "on"),
)
"""Subject, predicate, object, and where the subject's picture goes relative to the object's."""


@dataclass(frozen=True)
class Thing:
    """A drawn object: category and box in pixels, top-left."""

    category: str
    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True)
class Scene:
    """One picture: its things in drawing order and the sentences that are true of it."""

    things: tuple[Thing, ...]
    captions: tuple[str, ...]


def compose(random: Random) -> Scene:
    """A scene with one relation in the left half and another in the right half."""
    things: list[Thing] = []
    facts = random.sample(RELATIONS, 2)
    for half, (subject, _, object_, place) in enumerate(facts):
        middle = WIDTH // 4 + half * WIDTH // 2
        things += _place(subject, object_, place, middle, random)
    sentences = [_sentence(*fact[:3], random) for fact in facts for _ in range(2)]
    sentences.append("a quiet day outside")
    return Scene(tuple(things), tuple(sentences))


def _place(subject: str, object_: str, place: str, middle: int, random: Random) -> list[Thing]:
    (w, h), (ow, oh) = SIZES[subject], SIZES[object_]
    middle += random.randint(-8, 8)
    anchor = Thing(object_, middle - ow // 2, GROUND - oh, ow, oh)
    if place == "on":
        return [anchor, Thing(subject, middle - w // 2, anchor.y - h + oh // 3, w, h)]
    if place == "under":
        return [anchor, Thing(subject, middle - w // 2, GROUND - h + 12, w, h)]
    if place == "above":  # the object is up in the air, held by the subject
        top = max(4, GROUND - h - oh + random.randint(0, 12))
        return [
            Thing(object_, middle - ow // 2 + 8, top, ow, oh),
            Thing(subject, middle - w // 2, GROUND - h, w, h),
        ]
    shift = min(w, 40)
    left = Thing(subject, max(0, middle - ow // 2 - shift + 10), GROUND - h + 6, w, h)
    return [Thing(object_, min(WIDTH - ow, anchor.x + 16), anchor.y, ow, oh), left]


def _sentence(subject: str, predicate: str, object_: str, random: Random) -> str:
    first, second = (random.choice(WORDS.get(name, (name,))) for name in (subject, object_))
    return f"a {first} {predicate} {'an' if second[0] in 'aeiou' else 'a'} {second}"
