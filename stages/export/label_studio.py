"""Label Studio: boxes and relations as predictions for a person to correct, and the labelling interface.

`relforge import label-studio` reads back what Label Studio exports (`stages/corrections/label_studio.py`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import pyarrow as pa

from relforge.stages.export.json_rows import write_json_rows
from relforge.stages.export.scenes import Scene, read_scenes

MODEL = "relforge"
"""`model_version` of the predictions."""


def write(
    tables: Iterable[Mapping[str, pa.Table]],
    path: Path,
    document_root: str = "/",
    image_url: str | None = None,
) -> dict[str, int]:
    """A folder with `tasks.json`, to import, and `labelling.xml`, the project's labelling configuration.

    Boxes are in percent of the image, as Label Studio has them. A relation's label is its predicate and has
    the relation's score; the prediction of an image has their mean, by which Label Studio sorts and samples.
    `data` holds the image's reference and id, and `shown`: each relation as subject box, predicate, object
    box, score.

    Local files are referred to as `/data/local-files/?d=PATH`, which Label Studio serves with
    LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and a local storage of the project that has them; other URIs
    stay as they are.

    Args:
        document_root: Label Studio's LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT; paths are relative to it.
        image_url: where images are served, e.g. `http://host:8000/images/{file_name}`; `{file_name}` and
            `{image_id}` are filled in. By default the image's own URI.

    Raises:
        ValueError: an image is outside the document root.
    """
    path.mkdir()
    counts = Counter(images=0, boxes=0, relations=0)
    classes: dict[str, None] = {}
    predicates: Counter[str] = Counter()

    def tasks() -> Iterator[dict[str, Any]]:
        for shard in tables:
            if "classes" in shard:
                classes.update(dict.fromkeys(shard["classes"]["category"].to_pylist()))
            for scene in read_scenes(shard, counts):
                counts.update(images=1, boxes=len(scene.boxes), relations=len(scene.relations))
                classes.update(dict.fromkeys(box["category"] for box in scene.boxes))
                predicates.update(one["predicate"] for one in scene.relations)
                yield _task(scene, _reference(scene, document_root, image_url))

    write_json_rows(path / "tasks.json", tasks())
    ranked = sorted(predicates, key=lambda one: (-predicates[one], one))
    (path / "labelling.xml").write_text(_configuration(list(classes), ranked), encoding="utf-8")
    return dict(counts)


def _reference(scene: Scene, document_root: str, image_url: str | None) -> str | None:
    """What the browser of a person who labels asks for."""
    uri, image = scene.image["uri"], scene.image["image_id"]
    if image_url is not None:
        names = {"file_name": scene.file_name or "", "image_id": image}
        return image_url.format(**{name: quote(value) for name, value in names.items()})
    if uri is None or ("://" in uri and not uri.startswith("file://")):
        return uri if uri is None else str(uri)
    file, root = os.path.abspath(uri.removeprefix("file://")), os.path.abspath(document_root)
    if os.path.commonpath([file, root]) != root:
        raise ValueError(
            f"image {image}: {file} is outside document_root {root}, so Label Studio could not show it; "
            "give a folder that has the images"
        )
    return f"/data/local-files/?d={quote(os.path.relpath(file, root))}"


def _task(scene: Scene, reference: str | None) -> dict[str, Any]:
    width, height = scene.image["width"], scene.image["height"]
    regions: list[dict[str, Any]] = [
        {
            "id": f"box-{box['box_id']}",
            "type": "rectanglelabels",
            "from_name": "label",
            "to_name": "image",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {
                "x": 100 * box["x"] / width,
                "y": 100 * box["y"] / height,
                "width": 100 * box["w"] / width,
                "height": 100 * box["h"] / height,
                "rotation": 0,
                "rectanglelabels": [box["category"]],
            },
        }
        for box in scene.boxes
    ]
    relations: dict[tuple[int, int], dict[str, Any]] = {}
    for one in scene.relations:  # a pair with several predicates is one relation with several labels
        ends = one["subject_box"], one["object_box"]
        row = relations.setdefault(
            ends,
            {
                "type": "relation",
                "from_id": f"box-{ends[0]}",
                "to_id": f"box-{ends[1]}",
                "direction": "right",
                "labels": [],
            },
        )
        row["labels"].append(one["predicate"])
        if "score" in one:
            row["score"] = max(one["score"], row.get("score", 0.0))
    shown = [
        [one["subject_box"], one["predicate"], one["object_box"], one.get("score")] for one in scene.relations
    ]
    scores = [one["score"] for one in scene.relations if "score" in one]
    prediction: dict[str, Any] = {"model_version": MODEL, "result": regions + list(relations.values())}
    if scores:
        prediction["score"] = sum(scores) / len(scores)
    data = {"image": reference, "image_id": scene.image["image_id"], "shown": shown}
    return {"data": data, "predictions": [prediction]}


def _configuration(classes: list[str], predicates: list[str]) -> str:
    """The labelling interface: rectangles by class, relations by predicate."""
    labels = "\n".join(f"    <Label value={quoteattr(name)}/>" for name in classes)
    choices = "\n".join(f"    <Relation value={quoteattr(name)}/>" for name in predicates)
    return f"""<View>
  <Relations>
{choices}
  </Relations>
  <Image name="image" value="$image" zoom="true" zoomControl="true"/>
  <RectangleLabels name="label" toName="image">
{labels}
  </RectangleLabels>
</View>
"""
