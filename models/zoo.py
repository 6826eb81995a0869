"""The models by name. A new one is a folder beside `rlipv2` and a line here (docs/adding.md)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, cast

from relforge.registry import Registry

if TYPE_CHECKING:  # the names alone must not cost an import of torch
    from relforge.models.family import Family

MODELS = Registry(
    "model",
    {
        "parsed": "relforge.models.rlipv2.family:PARSED",
        "parseda": "relforge.models.rlipv2.family:PARSEDA",
        "rtagger": "relforge.models.rlipv2.family:RTAGGER",
        "cdn": "relforge.models.cdn.family:FAMILY",
        "ocn": "relforge.models.ocn.family:FAMILY",
        "qpic": "relforge.models.qpic.family:FAMILY",
        "parse": "relforge.models.parse.family:FAMILY",
        "speaq": "relforge.models.speaq.family:FAMILY",
        "qahoi": "relforge.models.qahoi.family:QAHOI",
        "qahoi_rlipv2": "relforge.models.qahoi.family:QAHOI_RLIPV2",
        "parsed_v1": "relforge.models.parsed_v1.family:FAMILY",
        "rlip_parsed": "relforge.models.rlip_parsed.family:FAMILY",
        "rlip_parse": "relforge.models.rlip_parse.family:FAMILY",
        "defr": "relforge.models.defr.family:FAMILY",
        "detr": "relforge.models.detr.family:FAMILY",
        "deformable_detr": "relforge.models.deformable_detr.family:FAMILY",
    },
)

DETECTORS = ("detr", "deformable_detr")
"""Those that find boxes and no pairs: what the others start from. They have a recipe of their own."""


class UntrustedFamily(ValueError):
    """A file of weights names code as its family that its user did not name."""


def family(name: str) -> Family:
    """What is known of a model.

    Raises:
        UnknownName: there is no such model.
        ValueError: `package.module:NAME` of the user's own is no `Family`.
    """
    from relforge.models.family import Family

    found = cast(object, MODELS.load(name))
    if not isinstance(found, Family):
        raise ValueError(f"{MODELS.target(name)} is {found!r}, not a relforge.models.family.Family")
    return found


def check_stored_family(name: str, trusted: str | None = None) -> None:
    """Whether the family that a checkpoint names may be looked up, which imports `package.module:NAME`.

    Args:
        name: as the checkpoint's file has it.
        trusted: `package.module:NAME` that the user of the checkpoint named.

    Raises:
        UntrustedFamily: it is neither in the zoo nor `trusted` nor a `Family` of a module that is imported.
    """
    from relforge.models.family import Family

    module, colon, attribute = name.partition(":")
    if name in MODELS or not colon or name == trusted:
        return
    if not isinstance(getattr(sys.modules.get(module), "__dict__", {}).get(attribute), Family):
        raise UntrustedFamily(
            f"the model names {name!r} as its family, which is code and was not imported; if you trust it, "
            f"name it yourself: `kind: {name}` under `model` of a recipe, `kind={name}` of "
            "`relforge eval hico`, or import its module first"
        )
