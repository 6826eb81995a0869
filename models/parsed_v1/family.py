"""ParSeD in the zoo."""

from __future__ import annotations

from relforge.models.family import Family, Published
from relforge.models.parsed_v1.model import build
from relforge.models.parsed_v1.published import blueprint_of, rename
from relforge.models.parsed_v1.sizes import Sizes
from relforge.models.training.search_losses import fine_tuning_losses

FAMILY = Family(
    name="parsed_v1",
    sizes=Sizes,
    build=build,
    labels="closed",
    losses=fine_tuning_losses,
    published=Published(blueprint_of, rename),
)
