"""All that people said of a run: of its relations and of its boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from relforge.stages.corrections import boxes as of_boxes
from relforge.stages.corrections import table as of_relations
from relforge.stages.corrections.boxes import correct_boxes
from relforge.stages.corrections.table import correct_relations

FILES = {"corrections": of_relations.FILE, "corrected_boxes": of_boxes.FILE}
"""Table -> its file in the run folder."""
SCHEMAS = {"corrections": of_relations.SCHEMA, "corrected_boxes": of_boxes.SCHEMA}
SORT_KEYS = {"corrections": of_relations.KEY, "corrected_boxes": ["image_id", "box_id"]}


@dataclass(frozen=True)
class Corrections:
    """What people said of any images.

    Args:
        relations: rows of the table `corrections`.
        boxes: rows of the table `corrected_boxes`.
    """

    relations: pa.Table = field(default_factory=of_relations.SCHEMA.empty_table)
    boxes: pa.Table = field(default_factory=of_boxes.SCHEMA.empty_table)

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table]) -> Corrections | None:
        """From the tables that are there; None where there is none."""
        if not tables:
            return None
        empty = {name: schema.empty_table() for name, schema in SCHEMAS.items()}
        found = {**empty, **tables}
        return cls(found["corrections"], found["corrected_boxes"])

    def apply(self, images: pa.Table, boxes: pa.Table, relations: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Boxes and relations of a shard as people want them.

        Relations of a box that they took away are gone with it.
        """
        corrected = correct_boxes(boxes, self.boxes, images)
        removed = self.boxes.filter(pc.equal(self.boxes["verdict"], of_relations.REMOVED))
        for end in ("subject_box", "object_box"):
            if removed.num_rows:
                gone = removed.select(["image_id", "box_id"]).rename_columns(["image_id", end])
                relations = _without(relations, gone)
        return corrected, correct_relations(relations, self.relations, images, corrected)


def _without(relations: pa.Table, gone: pa.Table) -> pa.Table:
    """Relations without those whose end is among `gone` (image_id and that end), in their order."""
    keys = set(zip(*(gone[name].to_pylist() for name in gone.column_names), strict=True))
    ends = zip(*(relations[name].to_pylist() for name in gone.column_names), strict=True)
    return relations.filter(pa.array([one not in keys for one in ends], pa.bool_()))
