"""What things do to one another, by name. Each function puts the actors on the stage and records the facts.

The truth of every predicate shows in the picture and not in the boxes alone: who rides sits astride with
bent knees, who stands beside does not; what is eaten is at the mouth, what is held is not.
"""

from __future__ import annotations

from collections.abc import Callable

from relforge.demo.world.in_places import (
    climbing,
    hiding_under,
    hugging,
    leaning,
    lying,
    perching,
    resting_on,
    sailing,
    sitting,
    sleeping,
    standing,
)
from relforge.demo.world.stage import Stage
from relforge.demo.world.with_animals import (
    chasing,
    feeding,
    jumping,
    looking,
    petting,
    riding,
    walking,
)
from relforge.demo.world.with_things import (
    carrying,
    drinking,
    eating,
    flying,
    holding,
    kicking,
    pushing,
    reading,
    sheltering,
    talking,
    throwing,
    wearing,
)

Interaction = Callable[[Stage, float, float], None]
"""(stage, x in pixels, depth row) -> None."""

INTERACTIONS: dict[str, Interaction] = {
    "riding": riding,
    "holding": holding,
    "carrying": carrying,
    "wearing": wearing,
    "eating": eating,
    "drinking from": drinking,
    "reading": reading,
    "talking on": talking,
    "sitting on": sitting,
    "lying on": lying,
    "standing on": standing,
    "kicking": kicking,
    "throwing": throwing,
    "flying": flying,
    "walking": walking,
    "pushing": pushing,
    "petting": petting,
    "feeding": feeding,
    "hugging": hugging,
    "leaning against": leaning,
    "climbing": climbing,
    "chasing": chasing,
    "jumping over": jumping,
    "sleeping on": sleeping,
    "perched on": perching,
    "on": resting_on,
    "under": hiding_under,
    "in": sailing,
    "sheltering": sheltering,
    "looking at": looking,
}
"""Name -> function; all but `sheltering` are named for the predicate they show."""

SPATIAL = ("next to", "behind", "in front of")
"""Predicates that `truth.complete` adds from where things stand."""
