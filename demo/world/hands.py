"""What several interactions share: choosing, holding, dressing."""

from __future__ import annotations

from relforge.demo.world.people import head_of
from relforge.demo.world.stage import Stage


def pick(stage: Stage, *kinds: str) -> str:
    return kinds[int(stage.rng.integers(len(kinds)))]


def in_hand(stage: Stage, person: int, kind: str, hand: tuple[float, float]) -> int:
    """The person's hand goes to a point of their frame, and holds a thing there."""
    hands = list(stage.thing(person).pose.get("hands", (None, None)))
    hands[0] = hand
    stage.thing(person).pose["hands"] = tuple(hands)
    x, y = stage.on(person, hand)
    index = stage.attach(kind, (x, y), person)
    thing = stage.thing(index)
    if kind not in {"umbrella", "bag", "kite"}:  # those are held at their foot or handle
        thing.at = (x + thing.facing * thing.height * 0.15, y + thing.height * 0.4)
    elif kind == "bag":
        thing.at = (x, y + thing.height * 0.95)
    return index


def dress(stage: Stage, person: int) -> int:
    """A hat on a person's head."""
    head = head_of(stage.thing(person))
    hat = stage.attach("hat", stage.on(person, (head[0], head[1] + 0.055)), person)
    stage.thing(hat).turn = stage.thing(person).turn
    stage.thing(hat).height *= 1.1
    stage.fact(person, "wearing", hat)
    return hat
