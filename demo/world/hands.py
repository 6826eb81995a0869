"""What several interactions share: holding a thing and wearing a hat."""

from __future__ import annotations

from relforge.demo.world.people import head_of
from relforge.demo.world.scene_builder import SceneBuilder


def in_hand(builder: SceneBuilder, person: int, kind: str, hand: tuple[float, float]) -> int:
    """Move the person's nearer hand to a point of their frame and place a thing in it; return its index."""
    pose = builder.thing(person).pose
    pose.hands = (hand, pose.hands[1])
    x, y = builder.to_pixels(person, hand)
    index = builder.attach(kind, (x, y), person)
    thing = builder.thing(index)
    if kind not in {"umbrella", "bag", "kite"}:  # those are held at their foot or handle
        thing.at = (x + thing.facing * thing.height * 0.15, y + thing.height * 0.4)
    elif kind == "bag":
        thing.at = (x, y + thing.height * 0.95)
    return index


def put_hat_on(builder: SceneBuilder, person: int) -> int:
    """Place a hat on a person's head and return its index."""
    head = head_of(builder.thing(person))
    hat = builder.attach("hat", builder.to_pixels(person, (head[0], head[1] + 0.055)), person)
    builder.thing(hat).turn = builder.thing(person).turn
    builder.thing(hat).height *= 1.1
    builder.add_fact(person, "wearing", hat)
    return hat
