"""`relforge eval`: a run's labels, a table of detections or a model's, measured by a benchmark."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_table
from relforge.evaluation.evaluator import EVALUATORS, Result

Annotations = Annotated[
    str | None, typer.Option("--data", metavar="DATA", help="Annotations: a file, or a run folder.")
]
Images = Annotated[
    str | None, typer.Option("--images", metavar="DIR", help="Image files, as images=DIR; for a model.")
]


def command(
    benchmark: Annotated[
        str, typer.Argument(metavar="BENCHMARK", help=f"One of {', '.join(EVALUATORS)}, or module:Class.")
    ],
    target: Annotated[
        str | None,
        typer.Argument(metavar="TARGET", help="Run folder, table of detections or model folder."),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[OPTION=VALUE]...", help="Options of the benchmark, e.g. subject=any."),
    ] = None,
    data: Annotations = None,
    images: Images = None,
    save: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Also write the detections as a table (docs/formats.md)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure labels or detections against gold, with the frequency prior beside each number.

    Without BENCHMARK, relforge eval MODEL --data DATA measures what a model (or a table) detects on your own
    data by hico's measure, for subjects of any class and without the added pixel: protocol=plain subject=any.
    DATA is a run folder (its gold, else its relations as corrected), what export --to coco wrote, or with
    format=NAME a file of hico, vcoco, open_images, coco_relations, a format of ingest or package.module:read.

    labels RUN: every stored score against the gold of the run's source, below the run's own threshold too, so
    that the best threshold shows. Option: threshold.

    hico DETECTIONS|MODEL: detections of (subject box, predicate, object box); right are those with both boxes
    at an IoU of at least 0.5 and all three names right. 11-point average precision per (subject, predicate,
    object), then the mean. Options: annotations (test_hico.json, instances_test2015.json, anno_bbox.mat, or
    any format of ingest), training (rare, non-rare), protocol (official, rlipv2, pocket, upt, ggnet, plain),
    setting (default, known_object), split (UC-RF, UC-NF, UO, UV), unseen, top, nms, mask, vocabulary, score,
    images (for a model), boxes (of a detector, whose pairs a DEFR scores), box_mask (intended, released),
    mask_layers, powers, format, subject, short_side, long_side, device,
    relations (of a run folder: gold, relations), kind
    (package.module:NAME, for a model of your own family).

    vcoco DETECTIONS|MODEL: agent AP and role AP of scenarios 1 and 2. Options: annotations (vcoco_test.json
    or a converted list), instances (instances_vcoco_all_2014.json), protocol (official, rlipv2), ties, images
    (for a model), mask (corre_vcoco.npy), people_only, short_side, long_side, device, kind.

    hico_image MODEL|SCORES|RUN: interactions of whole images by HICO's labels: 11-point mAP, Known Object,
    Few@1, 5 and 10; a run's own image_labels are ranked by their votes. Options: annotations (anno.mat, the
    same as JSON, or a run folder with gold), split, images, training, training_labels, interactions, write,
    batch, device, kind.

    coco RESULTS|MODEL: average precision of boxes by pycocotools, of a list of results or of a detector
    (DETR, Deformable DETR). Options: annotations (instances_*.json), images (for a model), short_side,
    long_side, device.

    open_images DETECTIONS|MODEL: R@50, wmAP_rel, wmAP_phr, score_wtd. Options: annotations (converted JSON or
    CSV of relations), categories, classes, sizes, protocol (rlipv2, corrected), nms, score, images (for a
    model), short_side, long_side, device, kind.

    vg_sgg RUN|PREDICTIONS|MODEL: R, ng-R, zR, ng-zR, mR, ng-mR and A at 20, 50 and 100, by predicate and by
    head, body and tail. Options: annotations (VG-SGG-with-attri.h5 or any format of ingest; without it the
    run's gold), dictionary, image_data, format, split, val_images, training, zero_shot, mode (sgdet, sgcls,
    predcls), protocol (speaq, sgb), count_missing, groups, labels, relations (of a run), score, images (for a
    model), short_side, long_side, max_overlap, predicates, device, kind.
    """
    benchmark, target, options = _own_data(benchmark, target, options or [], data)
    given = [*options, *_named("annotations", data), *_named("images", images)]
    result = evaluate(benchmark, target, given, save)
    if as_json:
        return print_json(asdict(result))
    rows = [(name.replace("_", " "), one.value, one.prior) for name, one in result.measures.items()]
    print_table((f"{benchmark}, {result.protocol}", "value", "frequency prior"), rows)
    print_table(("count", ""), list(result.counts.items()))
    if result.options:
        print_table(("option", ""), list(result.options.items()))
    if result.classes:
        ranked = sorted(result.classes, key=lambda row: -int(row.get("gold", 0)))
        columns = tuple(ranked[0])
        print_table(
            [name.replace("_", " ") for name in columns], [[row[c] for c in columns] for row in ranked]
        )
    return None


OWN_DATA = ["protocol=plain", "subject=any"]
"""Options of `hico` on data of one's own, where no benchmark is named."""


def _own_data(
    benchmark: str, target: str | None, options: list[str], data: str | None
) -> tuple[str, str, list[str]]:
    """Benchmark, target and options, where the first word may be the target.

    Raises:
        BadInput: there is no target.
    """
    named = benchmark in EVALUATORS or ":" in Path(benchmark).name
    if not named and data is not None and Path(benchmark).exists():
        rest = [target, *options] if target is not None else options
        return "hico", benchmark, [*OWN_DATA, *rest]
    if target is None:
        raise BadInput(
            f"eval {benchmark}: name what to measure too: a benchmark ({', '.join(EVALUATORS)}) and a run "
            "folder, table or model; or a model and --data DATA"
        )
    return benchmark, target, options


def _named(option: str, value: str | None) -> list[str]:
    return [] if value is None else [f"{option}={value}"]


def evaluate(benchmark: str, target: str, options: list[str], save: str | None = None) -> Result:
    """Measure `target` by a benchmark.

    Args:
        options: `name=value` of the evaluator's constructor; values are YAML.
        save: where the detections are written as a table too.

    Raises:
        BadInput: no such benchmark or option, a file that cannot be read, nothing to measure.
    """
    from relforge.cli.wrong_kind import check_target
    from relforge.images import ImageError
    from relforge.stages.contract import SourceError

    check_target(benchmark, target)
    evaluator = build_evaluator("relforge eval", benchmark, options)
    try:
        gold = evaluator.read_gold(target)
        detections = evaluator.read_detections(target, gold)
        if save is not None:
            write = getattr(evaluator, "write_detections", None)
            if write is None:
                raise ValueError(f"--save: the benchmark {benchmark} has no table of detections")
            write(detections, gold, Path(save))
        result: Result = evaluator.measure(detections, gold)
        return result
    except (ValueError, OSError, SourceError, ImageError) as error:
        raise BadInput(str(error)) from error


def build_evaluator(command: str, benchmark: str, options: list[str]) -> Any:
    """The evaluator of a benchmark with these options, `name=value` each.

    Args:
        command: named in errors.

    Raises:
        BadInput: no such benchmark or option.
    """
    from relforge.pipeline.config.options import construct, constructor
    from relforge.pipeline.config.source import Source, apply_override

    source = Source(command, {})
    for option in options:
        apply_override(source.values, option)
    return construct(source, "", constructor(source, "", EVALUATORS, benchmark), source.values)
