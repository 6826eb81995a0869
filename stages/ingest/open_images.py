"""Open Images CSV: boxes, and relations as gold.

From https://storage.googleapis.com/openimages/web/download_v7.html, and the visual relationship track of the
2019 challenge. On disk:

    oidv6-train-annotations-bbox.csv    ImageID, LabelName, XMin, XMax, YMin, YMax, IsGroupOf and others
    oidv6-train-annotations-vrd.csv     ImageID, LabelName1, LabelName2, XMin1 to YMax2, RelationshipLabel
    oidv7-class-descriptions.csv        label, name; no header: /m/01g317,Person
    train/000002b66c9c498e.jpg          <ImageID>.jpg

Coordinates are shares of the image's width and height, in [0, 1]. Image sizes are not published.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relforge.images import MAX_PIXELS
from relforge.stages.contract import SourceError, StageResult
from relforge.stages.ingest.builder import ShardBuilder
from relforge.stages.ingest.columns import read_pixels
from relforge.stages.ingest.csv_file import MALFORMED, read_csv
from relforge.stages.ingest.ids import NONE, Ids
from relforge.stages.ingest.image_files import ImageFiles
from relforge.stages.ingest.records import ImageColumns, Records
from relforge.stages.ingest.spill import BOX, RelationBuffer, SpillBuffer
from relforge.stages.ingest.values import as_pixels

_ENDS = ("XMin", "XMax", "YMin", "YMax")
_KEY = ["ImageID", "LabelName", *_ENDS]
_LARGEST_SHARE = 2.0
"""A box may reach beyond its image, but no annotator draws one of twice its size: these are pixels."""
_OPTIONAL = ("IsGroupOf", "BoxID", "BoxID1", "BoxID2", "Score")

ATTRIBUTE = "is"
"""The relation whose second label is an attribute of the first box."""

BOX_COLUMNS: dict[str, pa.DataType] = {
    "ImageID": pa.string(),
    "LabelName": pa.string(),
    **dict.fromkeys(_ENDS, pa.float64()),
    "IsGroupOf": pa.int32(),
    "BoxID": pa.int32(),
}
RELATION_COLUMNS: dict[str, pa.DataType] = {
    "ImageID": pa.string(),
    "LabelName1": pa.string(),
    "LabelName2": pa.string(),
    **{f"{name}{k}": pa.float64() for k in (1, 2) for name in _ENDS},
    "RelationshipLabel": pa.string(),
    "BoxID1": pa.int64(),
    "BoxID2": pa.int64(),
    "Score": pa.float64(),
}


class OpenImagesSource:
    """Reads Open Images files: normalised corners become pixels, labels become lower-case class names.

    A relation finds its boxes by BoxID1 and BoxID2 where the file has them, else by image, label and exact
    coordinates; boxes that only the relation file names are added behind those of the box file. `is`
    relations (a box and an attribute) are left out: they name one box. Every row of the files is a
    record; an image is one for each row of `sizes`, or one where there are no sizes. Memory is about 250
    bytes per row.

    Args:
        relations: path or URI of the relation CSV (`...-vrd.csv`), or None.
        boxes: path or URI of the box CSV, or None; one of the two is needed.
        classes: path or URI of the class descriptions (label, name; no header). Without it labels stay.
        sizes: path or URI of a CSV with ImageID, Width, Height.
        image_size: [width, height] in pixels for every image where there are no `sizes`: the coordinates are
            shares of it. Open Images publishes no sizes with its annotations.
        images: folder, URI or pattern of the image files (`ImageFiles`); a folder holds `<ImageID>.jpg`.
        split, dataset: written to the `images` table.
        require_images, embed_images, follow_links, orientation, max_pixels: see `ImageFiles`.
    """

    name = "openimages"
    version = 2

    def __init__(
        self,
        relations: str | None = None,
        boxes: str | None = None,
        classes: str | None = None,
        sizes: str | None = None,
        image_size: Sequence[int] | None = None,
        images: str | None = None,
        split: str = "all",
        dataset: str = "openimages",
        require_images: bool = False,
        embed_images: bool = False,
        follow_links: bool = False,
        orientation: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if relations is None and boxes is None:
            raise ValueError("openimages needs `boxes`, `relations` or both: the paths of the CSV files")
        if (sizes is None) == (image_size is None):
            raise ValueError(
                "openimages needs either `sizes` (a CSV with ImageID, Width, Height) or `image_size` "
                "([width, height] for all): the annotations have only shares of the image"
            )
        if image_size is not None and (
            isinstance(image_size, str) or len(image_size) != 2 or not all(map(as_pixels, image_size))
        ):
            raise ValueError(f"image_size: {image_size!r} is not [width, height] in pixels")
        self._relations = relations
        self._boxes = boxes
        self._classes = classes
        self._sizes = sizes
        self._image_size = image_size
        self._image_files = ImageFiles(
            images, require_images, embed_images, follow_links, orientation, max_pixels
        )
        self._split = split
        self._dataset = dataset

    def files(self) -> Sequence[str]:
        return [p for p in (self._boxes, self._relations, self._classes, self._sizes) if p]

    def shards(self, shard_images: int, relations: bool = False) -> Iterator[StageResult]:
        boxes = _read(self._boxes, BOX_COLUMNS) if self._boxes else _empty(BOX_COLUMNS)
        facts = _read(self._relations, RELATION_COLUMNS) if self._relations else _empty(RELATION_COLUMNS)
        attribute = pc.fill_null(pc.equal(facts["RelationshipLabel"], ATTRIBUTE), False)
        left_out = {"attribute_relation": pc.sum(attribute).as_py() or 0}
        facts = facts.filter(pc.invert(attribute))
        ends = [facts["BoxID1"], facts["BoxID2"]]
        by_box_id = any(end.null_count < len(end) for end in ends)
        subjects, objects = (pc.fill_null(end, NONE).to_numpy() for end in ends)
        if not by_box_id:
            boxes, subjects, objects = _join(boxes, facts)
        self._refuse_pixels(boxes)
        ids = Ids()
        images = self._image_columns(ids, boxes["ImageID"])
        with SpillBuffer(BOX) as box_buffer, RelationBuffer(by_box_id) as relation_buffer:
            labels = boxes["LabelName"].combine_chunks().dictionary_encode(null_encoding="encode")
            box_buffer.append(_box_rows(boxes, _codes(boxes["ImageID"], ids), labels.indices, images))
            owners = _codes(facts["ImageID"], ids)
            relation_buffer.add(owners, subjects, objects, _payloads(facts))
            names = self._class_names()
            classes = {
                k: name.lower()
                for k, label in enumerate(labels.dictionary.to_pylist())
                if (name := names.get(label, label)) and name.strip()
            }
            records = Records(
                images,
                box_buffer,
                relation_buffer,
                classes,
                file=str(self._boxes or self._relations),
                left_out=left_out,
                classes=dict.fromkeys(classes.values(), ()),
            )
            yield from ShardBuilder(ids, shard_images, relations).shards(records, self._image_files)

    def _image_columns(self, ids: Ids, owners: pa.ChunkedArray) -> ImageColumns:
        if self._sizes is not None:
            columns = {"ImageID": pa.string(), "Width": pa.float64(), "Height": pa.float64()}
            table = _read(self._sizes, columns)
            names = table["ImageID"].combine_chunks()
            sizes = np.stack([read_pixels(table[k]) for k in ("Width", "Height")], axis=1)
        else:
            names = pc.unique(owners)
            sizes = np.tile(np.array(self._image_size, np.int32), (len(names), 1))
        files = pc.binary_join_element_wise(names, "jpg", ".")
        codes = ids.codes(names.to_pylist())
        return ImageColumns(codes, sizes.astype(np.int32), files, self._dataset, self._split)

    def _refuse_pixels(self, boxes: pa.Table) -> None:
        if boxes.num_rows and _are_pixels(boxes).all():
            raise SourceError(
                f"{self._boxes or self._relations}: XMin to YMax of every box look like pixels; the format "
                "has shares: divide them by the image's width and height"
            )

    def list_classes(self) -> dict[str, list[str]]:
        """The names that the class descriptions have; none without that file."""
        return {name.lower(): [] for name in self._class_names().values()}

    def _class_names(self) -> dict[str, str]:
        if self._classes is None:
            return {}
        table = _read(self._classes, {"label": pa.string(), "name": pa.string()}, header=False)
        names: dict[str, str] = {}
        for label, name in zip(table["label"].to_pylist(), table["name"].to_pylist(), strict=True):
            if name is not None and names.setdefault(label, name).lower() != name.lower():
                raise SourceError(
                    f"{self._classes}: label {label} is given twice, as {names[label]!r} and as {name!r}; "
                    "keep one"
                )
        return names


def _read(path: str, columns: dict[str, pa.DataType], header: bool = True) -> pa.Table:
    return read_csv(path, columns, _OPTIONAL, ("IsGroupOf",), header)


def _empty(columns: dict[str, pa.DataType]) -> pa.Table:
    return pa.schema([*columns.items(), (MALFORMED, pa.bool_())]).empty_table()


def _codes(column: pa.ChunkedArray, ids: Ids) -> np.ndarray:
    """Id codes of a text column; each distinct id becomes a Python text once."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return ids.codes(encoded.dictionary.to_pylist())[encoded.indices.to_numpy()]


def _payloads(relations: pa.Table) -> list[bytes]:
    rows = zip(
        *(relations[name].to_pylist() for name in ("RelationshipLabel", "Score", MALFORMED)), strict=True
    )
    return [
        b"null" if wrong else msgspec.json.encode({"predicate": p} | ({} if s is None else {"score": s}))
        for p, s, wrong in rows
    ]


def _join(boxes: pa.Table, relations: pa.Table) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Find the boxes of relations by image, label and corners.

    Returns:
        the boxes, with those only a relation names added; rows of subjects and of objects.
    """
    ends = [
        relations.select(["ImageID", f"LabelName{k}", *(f"{name}{k}" for name in _ENDS)]).rename_columns(_KEY)
        for k in (1, 2)
    ]
    keys = pa.concat_tables([boxes.select(_KEY), *ends]).combine_chunks()
    values = np.empty((keys.num_rows, len(_KEY)))
    for column, name in enumerate(_KEY):
        array = keys[name].combine_chunks()
        array = array.dictionary_encode().indices if pa.types.is_string(array.type) else array
        values[:, column] = array.to_numpy(zero_copy_only=False)
    _, first, inverse = np.unique(values, axis=0, return_index=True, return_inverse=True)
    row = first[inverse.reshape(-1)]
    added = np.unique(row[boxes.num_rows :])
    added = added[added >= boxes.num_rows]
    place = np.arange(keys.num_rows)
    place[added] = boxes.num_rows + np.arange(len(added))
    extra = keys.take(pa.array(added))
    for name in ("IsGroupOf", "BoxID"):
        extra = extra.append_column(name, pa.nulls(len(added), BOX_COLUMNS[name]))
    extra = extra.append_column(MALFORMED, pa.repeat(False, len(added)))
    names = [*BOX_COLUMNS, MALFORMED]
    both = pa.concat_tables([boxes.select(names), extra.select(names)])
    subjects, objects = np.split(place[row[boxes.num_rows :]], 2)
    return both, subjects, objects


def _are_pixels(boxes: pa.Table) -> np.ndarray:
    """For each box whether a coordinate is no share of an image."""
    corners = np.stack([pc.fill_null(boxes[name], 0.0).to_numpy() for name in _ENDS])
    found: np.ndarray = ((np.abs(corners) > _LARGEST_SHARE) & np.isfinite(corners)).any(axis=0)
    return found


def _box_rows(boxes: pa.Table, owners: np.ndarray, labels: pa.Array, images: ImageColumns) -> np.ndarray:
    order = np.lexsort(((images.sizes <= 0).any(axis=1), images.codes))  # of two images the usable one
    at = np.minimum(np.searchsorted(images.codes[order], owners), max(len(order) - 1, 0))
    width, height = images.sizes[order[at]].T if len(order) else np.zeros((2, len(owners)))
    corners = [pc.fill_null(boxes[name], float("nan")).to_numpy() for name in _ENDS]
    with np.errstate(over="ignore"):
        x1, x2, y1, y2 = (c * s for c, s in zip(corners, (width, width, height, height), strict=True))
    records = np.zeros(boxes.num_rows, BOX)
    records["image"] = owners
    records["annotation"] = records["source"] = np.arange(boxes.num_rows)
    records["category"] = labels.to_numpy()
    records["malformed"] = boxes[MALFORMED].to_numpy() | _are_pixels(boxes)
    # tidy what the division by the size left behind; far below any annotator's precision
    with np.errstate(invalid="ignore", over="ignore"):
        records["xywh"] = np.round(np.stack([x1, y1, x2 - x1, y2 - y1], axis=1), 6)
    records["box_id"] = pc.fill_null(boxes["BoxID"], -1).to_numpy()
    records["crowd"] = pc.fill_null(boxes["IsGroupOf"], 0).to_numpy() == 1
    return records
