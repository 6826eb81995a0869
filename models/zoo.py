"""The models by name. A new one is a folder beside `rlipv2` and a line here (docs/adding.md)."""

from __future__ import annotations

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
        "qahoi": "relforge.models.qahoi.family:QAHOI",
        "qahoi_rlipv2": "relforge.models.qahoi.family:QAHOI_RLIPV2",
        "parsed_v1": "relforge.models.parsed_v1.family:FAMILY",
        "rlip_parsed": "relforge.models.rlip_parsed.family:FAMILY",
    },
)


def family(name: str) -> Family:
    """What is known of a model.

    Raises:
        UnknownName: there is no such model.
        TypeError: `package.module:NAME` of the user's own is no `Family`.
    """
    from relforge.models.family import Family

    found = cast(object, MODELS.load(name))
    if not isinstance(found, Family):
        raise TypeError(f"{MODELS.target(name)} is {found!r}, not a relforge.models.family.Family")
    return found
