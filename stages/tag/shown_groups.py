"""Images of candidates for stages that show them to a model."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from relforge.images import ImageError
from relforge.stages.account import Account
from relforge.stages.answers.shown import Looks, Shown, read_shown
from relforge.stages.tag.groups import Group, quarantine


def read_shown_groups(
    groups: dict[str, Group], images: pa.Table, looks: Looks, account: Account
) -> Iterator[tuple[Group, Shown]]:
    """Every image that has candidates and can be read.

    Args:
        groups: by image; those whose image cannot be read leave it, and their candidates are quarantined.
        images: table of images.
        looks: how they are read.
        account: of the shard.
    """
    images = images.filter(pc.is_in(images["image_id"], pa.array(list(groups), pa.string())))
    for image_id, shown in read_shown(images, looks):
        group = groups[image_id]
        if isinstance(shown, ImageError):
            quarantine(account, group, shown.reason, shown.detail)
            del groups[image_id]
            continue
        account.note("orientation_unsettled", int(shown.unsettled))
        yield group, shown
