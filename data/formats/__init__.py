"""Relation data in the files that other tools read and write, one file a format, and the formats by name.

A reader is a function of (path, options...) that gives `HoiData`; a writer one of (data, path, options...)
that gives what it wrote and left out (`Written`).
"""

from __future__ import annotations

from relforge.contracts import Takes
from relforge.registry import Registry

READERS = Registry(
    "benchmark format",
    {
        "hico": "relforge.data.formats.hico:read",
        "vcoco": "relforge.data.formats.vcoco:read",
        "open_images": "relforge.data.formats.open_images:read",
        "coco_relations": "relforge.data.formats.coco_relations:read",
    },
    contract=Takes(("annotations",), "a function read(annotations, **options)"),
)
"""Each tells by the content or the name which of the benchmark's files it is given."""

WRITERS = Registry(
    "benchmark format",
    {
        "hico": "relforge.data.formats.hico:write",
        "hico_instances": "relforge.data.formats.hico_instances:write",
        "hico_mat": "relforge.data.formats.hico_mat:write",
        "vcoco": "relforge.data.formats.vcoco:write",
        "vcoco_list": "relforge.data.formats.vcoco:write_list_file",
        "open_images": "relforge.data.formats.open_images:write",
        "open_images_list": "relforge.data.formats.open_images:write_folder",
    },
    contract=Takes(("data", "path"), "a function write(data, path, **options)"),
)
"""`vcoco`, `open_images` and `open_images_list` are folders, the others files."""
