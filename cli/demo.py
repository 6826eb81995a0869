"""`relforge demo`: the whole job on pictures that relforge draws itself, and what its labels are for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from relforge import __version__
from relforge.cli import codes
from relforge.cli.output import Json, print_json, print_table
from relforge.cli.run import Executor

_SHOWN = 8
_SEARCHED = 100
"""Pictures of the downstream benchmark: enough to show every verb of it."""


def command(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where everything goes.")] = Path(
        "runs/demo"
    ),
    pictures: Annotated[int, typer.Option(min=1, help="How many pictures to draw.")] = 48,
    executor: Executor = "ray",
    as_json: Json = False,
) -> None:
    """Draw a small dataset, caption it, label its relations, score and export them: no download, no GPU.

    Then a detector that was trained on such labels beside gold searches other pictures, and is scored too.
    """
    from relforge.cli.summary import execute, print_stages
    from relforge.demo.job import write_job
    from relforge.pipeline.config import load
    from relforge.pipeline.export import export_run
    from relforge.pipeline.run.status import status
    from relforge.reports.report import gather as report_facts
    from relforge.reports.report import page as report_page
    from relforge.reports.view import gather as view_facts
    from relforge.reports.view import page as view_page

    config = write_job(folder, pictures)
    print(f"{pictures} drawn pictures are in {folder / 'world'}", file=sys.stderr)
    job = load(str(config))
    result = execute(job, executor)
    if result.outcome != codes.COMPLETE:
        print(result.message, file=sys.stderr)
        raise typer.Exit(int(result.outcome))
    exported = folder / "relations.json"
    counts = export_run(job.folder, "rlipv2", str(exported))
    relations = _in_words(job.folder)
    view, report = folder / "view.html", folder / "report.html"
    view_page.write(view_facts.gather(job.folder), str(view))
    facts = report_facts.gather(job.folder)
    report_page.write(facts, str(report))
    detected = _detect(folder)
    if as_json:
        paths = {"config": config, "run": job.folder, "export": exported, "view": view, "report": report}
        found = {"exported": counts, "relations": relations, "quality": facts["quality"]}
        found["detector"] = detected
        return print_json({"message": result.message, **paths, **found})
    print_stages(status(job.folder))
    print(f"\n{result.message} ({result.seconds:.0f} s). Some of {counts['relations']:,} relations:")
    for line in relations:
        print(f"  {line}")
    print(f"\npictures     {folder / 'world' / 'detection' / 'images'}")
    print(f"config       {config}")
    print(f"run folder   {job.folder}")
    print(f"relations    {exported} (as the RLIPv2 trainer reads them)")
    if facts["quality"]:
        print()
        print_table(*_beside_greedy(facts["quality"]))
        print()
    print_table(*_detector(detected))
    print()
    print(f"picture page {view}")
    print(f"report       {report}")
    print(f"look closer  relforge inspect {job.folder} --image 1")
    return None


def _beside_greedy(quality: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows: the run's labels and the published baseline, against gold that no stage has read."""
    kept = quality["kept"] | {"mean_average_precision": quality["scored"]["mean_average_precision"]}
    keys = ("precision", "recall", "f1", "mean_average_precision")
    rows = [
        (name, *(f"{found[key]:.3f}" for key in keys))
        for name, found in (("R-Tagger", kept), ("greedy: every candidate", quality["greedy"]))
    ]
    return (f"against {quality['gold']:,} gold relations", "precision", "recall", "F1", "mAP"), rows


def _detect(folder: Path) -> dict[str, Any]:
    """What the shipped ParSeD finds in pictures it never saw, by `relforge eval`'s measure; searched once."""
    from relforge.cli.evaluate_model import measure
    from relforge.demo.job import IMAGE_SIZE, WEIGHTS
    from relforge.demo.world.dataset import UNSEEN, write_split

    model, kept = WEIGHTS / "parsed", folder / "detected.json"
    weights = json.loads((model / "config.json").read_text())["weights_sha256"]
    asked = {"version": __version__, "weights": weights, "pictures": _SEARCHED}
    if kept.exists() and (before := json.loads(kept.read_text()))["asked"] == asked:
        return before["found"]
    print(f"searching {_SEARCHED} other pictures with the shipped RLIPv2-ParSeD", file=sys.stderr)
    drawn = write_split(folder / "world", "hoi", _SEARCHED)
    sides = (IMAGE_SIZE["short_side"], IMAGE_SIZE["long_side"])
    images = str(drawn / "images" / "{image_id:0>6}.jpg")
    found = measure(str(model), str(drawn / "scene_graphs.json"), images, "person", UNSEEN, sides)
    temporary = kept.with_suffix(".tmp")
    temporary.write_text(json.dumps({"asked": asked, "found": found}))
    temporary.replace(kept)
    return found


def _detector(found: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and row: what a ParSeD trained on gold and pseudo-labels detects, by HICO-DET's measure."""
    keys = ("mean_average_precision", "seen", "unseen")
    header = (f"detected in {found['pictures']} pictures", "HOI mAP", "seen verbs", "unseen verbs")
    return header, [("RLIPv2-ParSeD", *(f"{found[key]:.3f}" for key in keys))]


def _in_words(run: str) -> list[str]:
    """The relations most captions speak of, one per predicate."""
    from relforge.cli.image import sentence
    from relforge.reports.datasets import open_datasets
    from relforge.reports.query import connect, readable, select

    datasets, _ = open_datasets(run)
    if "relations" not in datasets:
        return []
    connection = connect(datasets)
    rows = select(
        connection,
        f"SELECT r.*, c.text FROM {readable('relations', datasets)} r JOIN captions c "
        "ON c.image_id = r.image_id AND c.caption_id = r.caption_ids[1] "
        "QUALIFY row_number() OVER (PARTITION BY predicate ORDER BY support DESC, relation_id) = 1 "
        f"ORDER BY support DESC, predicate LIMIT {_SHOWN}",
    ).to_pylist()
    return [f"image {row['image_id']}: {sentence(row, {row['caption_ids'][0]: row['text']})}" for row in rows]
