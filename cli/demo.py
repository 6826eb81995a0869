"""`relforge demo`: the whole job on images that relforge draws itself, and what its labels are for."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from relforge import __version__
from relforge.cli import exits
from relforge.cli.exits import BadInput
from relforge.cli.output import Json, Table, print_json, print_line, print_table, report_error
from relforge.cli.run import Executor

_SHOWN = 8
_DETECTION_IMAGES = 100
"""Images of the downstream benchmark: enough for every predicate to appear in it."""

_MEASURES = ("precision", "recall", "f1", "mean_average_precision")


def command(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where everything goes.")] = Path(
        "runs/demo"
    ),
    images: Annotated[int, typer.Option(min=1, help="How many images to draw.")] = 48,
    executor: Executor = "ray",
    as_json: Json = False,
) -> None:
    """Draw a small dataset, caption it, label its relations, score and export them: no download, no GPU.

    Then a detector that was trained on gold and such labels runs on other images, and is scored too.
    """
    from relforge.cli.run import execute
    from relforge.cli.status import print_stages, print_warnings
    from relforge.demo.job import SPLIT, write_job
    from relforge.pipeline.config import load
    from relforge.pipeline.export import export_run
    from relforge.pipeline.run.status import status
    from relforge.reports.report import gather as report_facts
    from relforge.reports.report import page as report_page
    from relforge.reports.view import page as view_page

    drawn = len(list((folder / "world" / SPLIT / "images").glob("*.jpg")))
    if (folder / "demo.yaml").exists() and drawn not in (0, images):
        raise BadInput(f"{folder} holds a demo of {drawn} images; give --images {drawn}, or another folder")
    config = write_job(folder, images)
    print_line(f"{images} drawn images are in {folder / 'world'}", sys.stderr)
    job = load(str(config))
    result = execute(job, executor)
    if result.outcome != exits.COMPLETE:
        report_error(result.message, int(result.outcome), as_json)
        raise typer.Exit(int(result.outcome))
    exported = folder / "relations.json"
    counts = export_run(job.folder, "rlipv2", str(exported))
    relations = _in_words(job.folder)
    view, report = folder / "view.html", folder / "report.html"
    view_page.write(view_page.gather(job.folder), str(view))
    facts = report_facts.gather(job.folder)
    choices = _compare(job.folder, facts["quality"])
    report_page.write(facts, str(report))
    detected = _detect(folder)
    if as_json:
        paths = {"config": config, "run": job.folder, "export": exported, "view": view, "report": report}
        found = {"exported": counts, "relations": relations, "quality": facts["quality"]}
        found |= {"choices": choices, "detector": detected}
        said = {"message": result.message, "warnings": list(result.warnings)}
        return print_json({**said, **paths, **found})
    print_stages(status(job.folder))
    print_warnings(result.warnings)
    print_line()
    print_line(f"{result.message} ({result.seconds:.0f} s). Some of {counts['relations']:,} relations:")
    for line in relations:
        print_line(f"  {line}")
    print_line()
    print_line(f"images       {folder / 'world' / 'detection' / 'images'}")
    print_line(f"config       {config}")
    print_line(f"run folder   {job.folder}")
    print_line(f"relations    {exported} (as the RLIPv2 trainer reads them)")
    if facts["quality"]:
        print_line()
        print_table(*_table_of(choices, facts["quality"]["gold"]))
        print_line()
    print_table(*_detector(detected))
    print_line()
    print_line(f"image page   {view}")
    print_line(f"report       {report}")
    print_line(f"inspect      relforge inspect {job.folder} --image 1")
    return None


def _compare(run: str, quality: dict[str, Any] | None) -> dict[str, dict[str, float]]:
    """What is kept by the learnt quality, by the tagger's score alone, and by the published baseline.

    Args:
        run: the run folder.
        quality: of its report; None where nothing is scored.

    Returns:
        choice -> precision, recall, F1 and mAP, against gold that no stage has read.
    """
    import pyarrow as pa

    from relforge.data.sources import read_table
    from relforge.demo.job import QUALITY
    from relforge.evaluation.labels import compare_labels
    from relforge.stages.select.features import describe_rows
    from relforge.stages.select.quality_file import load_quality

    if quality is None:
        return {}
    scores = read_table(run, "scores").combine_chunks()
    chosen_by = load_quality(QUALITY).score(describe_rows(scores), scores)
    place = scores.column_names.index("score")
    ranked = compare_labels(scores.set_column(place, "score", pa.array(chosen_by)), read_table(run, "gold"))
    choices = {
        "quality": quality["kept"] | {"mean_average_precision": ranked.mean_average_precision},
        "R-Tagger": quality["threshold"] | quality["scored"],
        "greedy: every candidate": quality["greedy"],
    }
    return {name: {key: found[key] for key in _MEASURES} for name, found in choices.items()}


def _table_of(choices: dict[str, dict[str, float]], gold: int) -> Table:
    """Header and rows."""
    rows = [(name, *(f"{value:.3f}" for value in found.values())) for name, found in choices.items()]
    return (f"against {gold:,} gold relations", "precision", "recall", "F1", "mAP"), rows


def _detect(folder: Path) -> dict[str, Any]:
    """What the shipped ParSeD detects in images outside its training, by `relforge eval`'s measure.

    The result is kept in `detected.json`, so the same demo detects once.
    """
    from relforge.demo.job import IMAGE_SIZE, WEIGHTS
    from relforge.demo.world.dataset import UNSEEN, write_split
    from relforge.evaluation.hico import HicoEvaluator

    model, cache = WEIGHTS / "parsed", folder / "detected.json"
    weights = json.loads((model / "config.json").read_text())["weights_sha256"]
    request = {"version": __version__, "weights": weights, "benchmark": "hico", "images": _DETECTION_IMAGES}
    if cache.exists() and (earlier := json.loads(cache.read_text())).get("request") == request:
        return earlier["result"]
    print_line(f"detecting in {_DETECTION_IMAGES} other images with the shipped RLIPv2-ParSeD", sys.stderr)
    drawn = write_split(folder / "world", "hoi", _DETECTION_IMAGES)
    evaluator = HicoEvaluator(
        annotations=str(drawn / "scene_graphs.json"),
        images=str(drawn / "images" / "{image_id:0>6}.jpg"),
        protocol="plain",  # drawn boxes are edges, not pixels
        unseen=UNSEEN,
        short_side=IMAGE_SIZE["short_side"],
        long_side=IMAGE_SIZE["long_side"],
    )
    gold = evaluator.read_gold(str(model))
    found = asdict(evaluator.measure(evaluator.read_detections(str(model), gold), gold))
    temporary = cache.with_suffix(".tmp")
    temporary.write_text(json.dumps({"request": request, "result": found}))
    temporary.replace(cache)
    return found


def _detector(found: dict[str, Any]) -> Table:
    """Header and rows: what a ParSeD trained on gold and pseudo-labels detects, by HICO-DET's measure."""
    measures = [found["measures"][f"mean_average_precision{part}"] for part in ("", "_seen", "_unseen")]
    header = (f"detected in {found['counts']['images']} images", "HOI mAP", "seen verbs", "unseen verbs")
    rows = [
        (name, *(f"{one[key]:.3f}" for one in measures))
        for name, key in (("RLIPv2-ParSeD", "value"), ("its boxes by frequency", "prior"))
    ]
    return header, rows


def _in_words(run: str) -> list[str]:
    """The relation with the most captions behind it, for each predicate."""
    from relforge.cli.inspect import describe_relation
    from relforge.reports.datasets import open_datasets
    from relforge.reports.query import connect, make_readable, select

    datasets, _ = open_datasets(run)
    if "relations" not in datasets:
        return []
    connection = connect(datasets)
    rows = select(
        connection,
        f"SELECT r.*, c.text FROM {make_readable('relations', datasets)} r JOIN captions c "
        "ON c.image_id = r.image_id AND c.caption_id = r.caption_ids[1] "
        "QUALIFY row_number() OVER (PARTITION BY predicate ORDER BY support DESC, relation_id) = 1 "
        f"ORDER BY support DESC, predicate LIMIT {_SHOWN}",
    ).to_pylist()
    return [
        f"image {row['image_id']}: {describe_relation(row, {row['caption_ids'][0]: row['text']})}"
        for row in rows
    ]
