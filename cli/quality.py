"""`relforge quality fit`: learn from judged relations how likely a relation is right."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from relforge.cli.exits import BadInput
from relforge.cli.output import Json, print_json, print_line


def command(
    action: Annotated[str, typer.Argument(metavar="fit", help="The one thing to do.")],
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder whose scored relations are judged.")],
    out: Annotated[str, typer.Option(metavar="FILE.json", help="File to write.")] = "",
    corrections: Annotated[
        bool,
        typer.Option("--corrections", help="Judged by what people corrected, not by the run's gold."),
    ] = False,
    licence: Annotated[str, typer.Option(metavar="TEXT", help="Of the data, for the card.")] = "",
    as_json: Json = False,
) -> None:
    """Fit the probability that a relation is right, from its score, claim, prior, support and predicate.

    A config names the file: select: {quality: learned, weights: FILE.json, precision: 0.9}. Measures, the
    default threshold and those of `precision` are of images that were held out; images of the fit are scored
    by folds that did not see them.
    """
    from relforge.stages.select.quality_file import save_quality
    from relforge.trainer.quality.examples import hash_examples, read_examples
    from relforge.trainer.quality.fit import fit_quality

    if action != "fit":
        raise BadInput(f"quality {action}: unknown; write `relforge quality fit RUN --out FILE.json`")
    if not out:
        raise BadInput("--out: missing; give the file to write")
    if Path(out).exists():
        raise BadInput(f"--out {out}: is there already; choose another name or delete it")
    try:
        examples = read_examples(run, corrections)
        model, measures = fit_quality(examples)
    except (ValueError, OSError) as error:
        raise BadInput(f"quality fit: {error}") from error
    card = {
        "model": "relforge quality of relations",
        "command": shlex.join(["relforge", *sys.argv[1:]]),
        "data": {
            "run": run,
            "judged_by": "corrections" if corrections else "gold",
            "sha256": hash_examples(examples),
        },
        "licence": licence or "that of the data",
        "held_out": measures,
    }
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    save_quality(Path(out), model, card)
    if as_json:
        return print_json({"file": out, **measures})
    print_line(
        f"{out}: {measures['relations']:,} relations of {measures['images']:,} images, "
        f"{measures['right']:.1%} right; on held-out images average precision "
        f"{measures['average_precision']:.3f} (of the score {measures['score_average_precision']:.3f}), "
        f"calibration error {measures['expected_calibration_error']:.3f}"
    )
    print_line(f"F1 {measures['f1']:.3f} from {measures['threshold']:.2f} on, the default threshold")
    if model.thresholds:
        most = max(model.thresholds)
        print_line(f"precision up to {most:.2f} is reached, from {model.thresholds[most]:.2f} on")
    return None
