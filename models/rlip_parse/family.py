"""RLIP-ParSe in the zoo."""

from __future__ import annotations

from relforge.models.family import Family, Published
from relforge.models.rlip_parse.model import build
from relforge.models.rlip_parse.published import blueprint_of, rename
from relforge.models.rlip_parse.sizes import Sizes
from relforge.models.training.search_losses import search_losses

FAMILY = Family(
    name="rlip_parse",
    sizes=Sizes,
    build=build,
    labels="open",
    losses=search_losses,
    published=Published(blueprint_of, rename),
    all_used=True,
)
