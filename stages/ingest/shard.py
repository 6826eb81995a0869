"""The tables and the account of one shard."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from relforge.images import ImageError
from relforge.stages.account import Account
from relforge.stages.ingest.faults import BOX_REASONS, IMAGE_REASONS, find_box_faults
from relforge.stages.ingest.ids import Ids
from relforge.stages.ingest.image_files import ImageFiles
from relforge.stages.ingest.records import ImageColumns, Records
from relforge.stages.ingest.relations import BoxKeys, make_gold_table, make_relation_table, read_relations
from relforge.stages.ingest.values import UNREADABLE
from relforge.stages.tables import SCHEMAS


def build_shard(
    account: Account,
    ids: Ids,
    records: Records,
    rows: np.ndarray,
    faults: np.ndarray,
    repeats: np.ndarray,
    image_files: ImageFiles,
    with_relations: bool,
) -> dict[str, pa.Table]:
    """Check some images with their boxes and relations, and make their tables.

    Args:
        account: takes every record.
        ids: what the codes mean.
        records: grouped by image.
        rows: N int64, the images, sorted by id.
        faults: N int64, index into `IMAGE_REASONS`, or -1.
        repeats: places in the source of the boxes whose id an earlier one has.
        image_files: where the image files are, and whether they are needed.
        with_relations: make the table `relations` beside `images`, `boxes` and `gold`.
    """
    images = records.images.take(rows)
    image_table, good, reasons = _images(account, ids, images, faults, image_files)
    image_ids, sizes = image_table["image_id"], images.sizes[good]
    _lose_carried(account, records, np.delete(rows, good), reasons)
    box_table, keys = _boxes(account, ids, records, rows[good], image_ids, sizes, repeats)
    found = read_relations(account, records.relations, rows[good], image_ids, keys, records.nested)
    tables = {"images": image_table, "boxes": box_table, "gold": make_gold_table(found)}
    return tables | ({"relations": make_relation_table(found, image_table)} if with_relations else {})


def _images(
    account: Account, ids: Ids, images: ImageColumns, faults: np.ndarray, image_files: ImageFiles
) -> tuple[pa.Table, np.ndarray, list[str]]:
    """The `images` table, the positions of its images in the shard, and why each other image is set aside."""
    names = ids.texts(images.codes)
    reasons: dict[int, str] = {}
    for k in np.flatnonzero(faults >= 0).tolist():
        reasons[k] = reason = list(IMAGE_REASONS)[faults[k]]
        image_id, file_name = names[k].as_py(), images.file_names[k].as_py()
        shown = f" ({file_name})" if file_name not in (None, UNREADABLE) else ""
        what = f"image {image_id or '?'}{shown}: {IMAGE_REASONS[reason]}"
        account.quarantine({"image_id": image_id}, reason, what)
    uris = images.uris
    if uris is None:
        uris = image_files.uris(names, images.file_names, images.split)
    embedded: list[bytes | None] = [None] * len(names)
    good = faults < 0
    for k in np.flatnonzero(good).tolist() if image_files.required else ():
        width, height = images.sizes[k].tolist()
        try:
            embedded[k], unsettled = image_files.check(uris[k].as_py(), (width, height))
            account.note("orientation_unsettled", int(unsettled))
        except ImageError as error:
            good[k] = False
            reasons[k] = error.reason
            account.quarantine({"image_id": names[k].as_py()}, error.reason, error.detail)
    chosen = np.flatnonzero(good)
    account.keep(len(chosen))
    at = pa.array(chosen)
    dataset, split = (
        pa.repeat(value, len(chosen)) if isinstance(value, str) else value.take(at)
        for value in (images.dataset, images.split)
    )
    columns = {
        "image_id": names.take(at),
        "dataset": dataset,
        "split": split,
        "uri": uris.take(at),
        "width": pa.array(images.sizes[chosen, 0], pa.int32()),
        "height": pa.array(images.sizes[chosen, 1], pa.int32()),
        "bytes": pa.array(embedded, pa.binary()).take(at),
        "file_name": images.file_names.take(at),
        "shared_name": images.shared_names.take(at),
    }
    account.read("images", len(names))
    lost = [reasons[k] for k in sorted(reasons)]
    for reason in lost:
        account.lose("images", reason)
    return pa.table(columns, schema=SCHEMAS["images"]), chosen, lost


def _lose_carried(account: Account, records: Records, rows: np.ndarray, reasons: list[str]) -> None:
    """The boxes and relations of images that are set aside, each for its image's reason."""
    for kind, buffer in (("boxes", records.boxes), ("relations", records.relations)):
        found, owner, *_ = buffer.of(rows)
        account.drop("image_set_aside", len(found))
        account.read(kind, len(found))
        for k, count in enumerate(np.bincount(owner, minlength=len(rows)).tolist()):
            account.lose(kind, reasons[k], count)


def _boxes(
    account: Account,
    ids: Ids,
    records: Records,
    rows: np.ndarray,
    image_ids: pa.ChunkedArray,
    sizes: np.ndarray,
    repeats: np.ndarray,
) -> tuple[pa.Table, BoxKeys]:
    """The `boxes` table, and what relations need to find their boxes."""
    boxes, owner, place, source_row = records.boxes.of(rows)
    box_id = np.where(boxes["box_id"] >= 0, boxes["box_id"], place).astype(np.int32)
    category = pa.array(boxes["category"]).dictionary_encode()
    label_of = category.indices.to_numpy()
    labels = [records.categories.get(code) for code in category.dictionary.to_pylist()]
    known = np.array([label is not None for label in labels], bool)
    faults = find_box_faults(
        boxes["xywh"],
        sizes[owner],
        boxes["malformed"],
        np.isin(source_row, repeats) if len(repeats) else np.zeros(len(boxes), bool),
        known[label_of] if len(boxes) else np.zeros(0, bool),
        (owner.astype(np.int64) << 31) | box_id,
    )
    for k in np.flatnonzero(faults >= 0).tolist():
        image_id, source_id = image_ids[int(owner[k])].as_py(), ids.text(int(boxes[k]["source"]))
        label = labels[label_of[k]] or ids.text(int(boxes[k]["category"])) or "none"
        shown = ", ".join(f"{value:g}" for value in boxes[k]["xywh"])
        reason = list(BOX_REASONS)[faults[k]]
        what = f"box {box_id[k]} of image {image_id}, category {label}, [{shown}]: {BOX_REASONS[reason]}"
        record = {"image_id": image_id, "box_id": int(box_id[k]), "source_id": source_id}
        account.quarantine(record, reason, what)
        account.lose("boxes", reason)
    account.read("boxes", len(boxes))
    usable = np.flatnonzero(faults < 0)
    account.keep(len(usable))
    columns = {
        "image_id": image_ids.take(pa.array(owner[usable])),
        "box_id": pa.array(box_id[usable]),
        "category": pa.array(labels, pa.string()).take(pa.array(label_of[usable])),
        **dict(zip("xywh", np.ascontiguousarray(boxes["xywh"][usable].T), strict=True)),
        "iscrowd": pa.array(boxes["crowd"][usable]),
        "source_id": ids.texts(boxes["source"][usable]),
    }
    table = pa.table(columns, schema=SCHEMAS["boxes"])
    if (boxes["box_id"] >= 0).any():
        table = table.sort_by([("image_id", "ascending"), ("box_id", "ascending")])
    return table, BoxKeys(owner, boxes["annotation"], box_id, faults < 0)
