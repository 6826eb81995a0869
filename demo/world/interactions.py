"""Interactions by name. Each function places the things that take part and records the facts.

Every predicate is visible in the image: who rides sits astride with bent knees, what is eaten is at the
mouth. Boxes would tell most of them apart too; `look_alikes`, drawn beside them, have the same boxes.
"""

from __future__ import annotations

from collections.abc import Callable

from relforge.demo.world.in_places import (
    add_climbing,
    add_hiding_under,
    add_hugging,
    add_leaning,
    add_lying,
    add_perching,
    add_resting_on,
    add_sailing,
    add_sitting,
    add_sleeping,
    add_standing,
)
from relforge.demo.world.scene_builder import SceneBuilder
from relforge.demo.world.with_animals import (
    add_chasing,
    add_feeding,
    add_jumping,
    add_looking,
    add_petting,
    add_riding,
    add_walking,
)
from relforge.demo.world.with_things import (
    add_carrying,
    add_drinking,
    add_eating,
    add_flying,
    add_holding,
    add_kicking,
    add_pushing,
    add_reading,
    add_sheltering,
    add_talking,
    add_throwing,
    add_wearing,
)

Interaction = Callable[[SceneBuilder, float, float], None]
"""(builder, x in pixels, depth row) -> None."""

INTERACTIONS: dict[str, Interaction] = {
    "riding": add_riding,
    "holding": add_holding,
    "carrying": add_carrying,
    "wearing": add_wearing,
    "eating": add_eating,
    "drinking from": add_drinking,
    "reading": add_reading,
    "talking on": add_talking,
    "sitting on": add_sitting,
    "lying on": add_lying,
    "standing on": add_standing,
    "kicking": add_kicking,
    "throwing": add_throwing,
    "flying": add_flying,
    "walking": add_walking,
    "pushing": add_pushing,
    "petting": add_petting,
    "feeding": add_feeding,
    "hugging": add_hugging,
    "leaning against": add_leaning,
    "climbing": add_climbing,
    "chasing": add_chasing,
    "jumping over": add_jumping,
    "sleeping on": add_sleeping,
    "perched on": add_perching,
    "on": add_resting_on,
    "under": add_hiding_under,
    "in": add_sailing,
    "sheltering": add_sheltering,
    "looking at": add_looking,
}
"""Name -> function; all but `sheltering` are named for the predicate they show."""

SPATIAL = ("next to", "behind", "in front of")
"""Predicates that `truth.complete` adds from where things stand."""
