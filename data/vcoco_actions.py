"""V-COCO's 26 actions, their roles, and the 29 columns that models score."""

from __future__ import annotations

from functools import cache

from relforge.stages.parse.inflection import verb_forms

ROLES: dict[str, tuple[str, ...]] = {
    "hold": ("obj",),
    "stand": (),
    "sit": ("instr",),
    "ride": ("instr",),
    "walk": (),
    "look": ("obj",),
    "hit": ("instr", "obj"),
    "eat": ("obj", "instr"),
    "jump": ("instr",),
    "lay": ("instr",),
    "talk_on_phone": ("instr",),
    "carry": ("obj",),
    "throw": ("obj",),
    "catch": ("obj",),
    "cut": ("instr", "obj"),
    "run": (),
    "work_on_computer": ("instr",),
    "ski": ("instr",),
    "surf": ("instr",),
    "skateboard": ("instr",),
    "smile": (),
    "drink": ("instr",),
    "kick": ("obj",),
    "point": ("instr",),
    "read": ("obj",),
    "snowboard": ("instr",),
}
"""Action -> its roles beside the agent, in the order of the annotation."""

ACTIONS = list(ROLES)

ACTION_OF = {
    column: action
    for action, roles in ROLES.items()
    for column in ([f"{action}_{role}" for role in roles] or [action])
}
"""Each of the 29 columns that models score, `<action>_<role>` or an action without roles -> its action."""

COLUMNS = list(ACTION_OF)

_WORDED = {
    "sit_instr": "sit on/at",
    "ride_instr": "ride on",
    "look_obj": "look at",
    "hit_instr": "hit with",
    "eat_instr": "eat with",
    "lay_instr": "lay on",
    "cut_instr": "cut with",
    "drink_instr": "drink from",
}
PROMPTS = [_WORDED.get(column, action.replace("_", " ")) for column, action in ACTION_OF.items()]
"""The columns as RLIPv2 words them for a text encoder."""

ROLE_COLUMNS = [column for column, action in ACTION_OF.items() if ROLES[action]]
"""The 25 columns with a role."""

_OTHER_WORDS = {
    "hold_obj": ("hold",),
    "stand": ("stand", "stand on", "stand at"),
    "sit_instr": ("sit", "sit on", "sit at"),
    "ride_instr": ("ride",),
    "look_obj": ("look", "watch"),
    "jump_instr": ("jump", "jump over"),
    "lay_instr": ("lay", "lie", "lie on"),
    "talk_on_phone_instr": ("talk on",),
    "work_on_computer_instr": ("type on",),
    "drink_instr": ("drink", "drink with"),
}
"""Column -> other verbs that mean it, of HICO-DET and of scene graphs."""


@cache
def column_of_verb() -> dict[str, str]:
    """Verb as other data sets have it, in lower case and perhaps inflected -> the column that it means."""
    words = {word: column for column, others in _OTHER_WORDS.items() for word in others}
    words |= dict(zip(PROMPTS, COLUMNS, strict=True))
    found = {form: column for word, column in words.items() for form in verb_forms(word)}
    return found | {column: column for column in COLUMNS}
