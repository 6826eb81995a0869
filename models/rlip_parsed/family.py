"""RLIP-ParSeD in the zoo."""

from __future__ import annotations

from relforge.models.family import Family, Published
from relforge.models.rlip_parsed.model import build
from relforge.models.rlip_parsed.published import blueprint_of, rename
from relforge.models.rlip_parsed.sizes import Sizes
from relforge.models.training.search_losses import search_losses

FAMILY = Family(
    name="rlip_parsed",
    sizes=Sizes,
    build=build,
    labels="open",
    losses=search_losses,
    published=Published(blueprint_of, rename),
)
