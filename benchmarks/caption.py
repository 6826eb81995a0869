"""Speed of the BLIP captioner against transformers' generate, one call per caption, and LAVIS.

    python benchmarks/caption.py [--model large|base|FOLDER] [--images N] [--captions N] [--repeats N]
                                 [--threads N] [--dtype float32|bfloat16 ...] [--ten-calls]
                                 [--lavis PYTHON] [--json]

All sides caption the same random images with the same weights (random ones unless a folder is given:
speed does not depend on them, and no caption ends early, so every side writes the full 16 tokens). The
captioner runs in every type named by `--dtype`, generate in float32 and in bfloat16 if that is among them.
Every side but LAVIS has run once before it is timed; runs are interleaved; figures are medians. `--ten-calls`
adds transformers' generate called once per caption; `--lavis` names the Python of the LAVIS environment
(`make lavis-env`) and adds LAVIS itself and, as ten times one caption, what the published script does.
RELFORGE_GEMM=torch in the environment leaves the processor's AMX unused."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
from caption_sides import LENGTHS, PROMPT, Ours, Peer, cross_bytes, flops, peak, random_model, worst_logit
from report import emit
from transformers import BlipForConditionalGeneration

from relforge.images.resize import normalise
from relforge.models.blip.checkpoint import Checkpoint, load
from relforge.models.blip.layers import choose_packing
from relforge.models.blip.names import rename_to_transformers
from relforge.models.blip.shape import from_config


def lavis(python: str, model: BlipForConditionalGeneration, options: argparse.Namespace) -> dict[str, float]:
    """Seconds per image of LAVIS in its own environment: ten captions, and ten times one caption."""
    with tempfile.TemporaryDirectory() as folder:
        torch.save({"model": model.state_dict()}, Path(folder) / "weights.pth")
        (Path(folder) / "config.json").write_text(json.dumps(model.config.to_dict()))
        peer = Path(__file__).with_name("caption_lavis.py")
        # LAVIS needs words: any list of the right length with its special tokens at their places
        words = [f"word{n}" for n in range(model.config.text_config.vocab_size)]
        for place, word in {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}.items():
            words[place] = word
        words[1037], words[3861], words[1997], words[-2], words[-1] = "a", "picture", "of", "[DEC]", "[ENC]"
        (Path(folder) / "vocab.txt").write_text("\n".join(words) + "\n")
        command = [python, str(peer), folder, str(options.captions), str(options.threads)]
        root = str(Path(__file__).resolve().parent.parent)
        environment = os.environ | {"PYTHONPATH": root, "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="large", help="large, base, or a transformers folder")
    parser.add_argument(
        "--images", type=int, default=12, help="images in our stream; peers take one at a time"
    )
    parser.add_argument("--captions", type=int, default=10)
    parser.add_argument("--rows", type=int, default=120, help="our decoder batch")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", nargs="+", choices=["float32", "bfloat16"], default=["float32"])
    parser.add_argument("--ten-calls", action="store_true")
    parser.add_argument("--lavis", metavar="PYTHON")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def medians(runs: list[tuple[float, float]]) -> tuple[float, float]:
    """(encode, decode) of several runs."""
    return statistics.median(r[0] for r in runs), statistics.median(r[1] for r in runs)


def row(case: str, peer: str, ours: float, theirs: float, limit: float) -> dict[str, Any]:
    """Seconds per image."""
    found = {"case": case, "peer": peer, "ours": ours, "theirs": theirs, "ratio": theirs / ours}
    return found | {"unit": "s per image", "limit": limit, "fraction_of_limit": limit / ours}


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    if options.model in ("large", "base"):
        model = random_model(options.model)
        shape = from_config(model.config.to_dict())
        checkpoint = Checkpoint(
            options.model, shape, rename_to_transformers(model.state_dict()), None, PROMPT
        )
    else:
        checkpoint = load(options.model)
        model = BlipForConditionalGeneration.from_pretrained(options.model).eval()
    size = checkpoint.shape.vision.image_size
    generator = torch.Generator().manual_seed(0)
    images = list(
        torch.randint(0, 256, (options.images, 3, size, size), dtype=torch.uint8, generator=generator)
    )
    ready = normalise(images[0][None], checkpoint.mean, checkpoint.std)
    dtypes = {name: getattr(torch, name) for name in dict.fromkeys(options.dtype)}
    ours = {name: Ours(checkpoint, options.captions, dtype, options.rows) for name, dtype in dtypes.items()}
    # generate in float32 is always there: a faster type must be worth its lost bits
    peers = {name: Peer(model, getattr(torch, name)) for name in {"float32": 0} | dtypes}

    differences, our_bytes = {}, {}
    for name, side in ours.items():
        differences[name] = worst_logit(model, side.captioner, images[0])
        our_bytes[name] = side.captioner.decoder.cross_cache.nbytes / 1e6
        side.warm_up(images[0], len(images))
    their_bytes = cross_bytes(model, ready, options.captions) / 1e6
    our_runs: dict[str, list[tuple[float, float]]] = {name: [] for name in ours}
    their_runs: dict[str, list[tuple[float, float]]] = {name: [] for name in peers}
    peaks: dict[str, list[float]] = {name: [] for name in ours}

    def time_peers() -> None:
        for name, peer in peers.items():
            their_runs[name].append(peer(ready, options.captions))
        for name, side in ours.items():
            peaks[name].append(peak(side.captioner.arithmetic))

    for _ in range(options.repeats):
        time_peers()
        for name, side in ours.items():
            our_runs[name].append(side(images))
        time_peers()

    work = flops(checkpoint.shape, options.captions, LENGTHS["max_length"] - len(PROMPT))
    others = {
        f"generate x{options.captions}, {name}": dict(zip(("encode", "decode"), medians(runs), strict=True))
        for name, runs in their_runs.items()
    }
    if options.ten_calls:
        one, rest = peers["float32"](ready, 1, calls=options.captions)
        others[f"{options.captions} calls of generate, float32"] = {"encode": one, "decode": rest}
    if options.lavis:
        found = lavis(options.lavis, model, options)
        others["LAVIS, float32"] = {"encode": found["encode"], "decode": found["decode"]}
        once = {"encode": found["encode"], "decode": found["decode_one"]}
        name = f"published script ({options.captions} x LAVIS x1), float32"
        others[name] = {part: options.captions * seconds for part, seconds in once.items()}

    rows: list[dict[str, Any]] = []
    for name, side in ours.items():
        amx = side.captioner.arithmetic.amx
        arithmetic = f"{name} by {f'amx, {amx}' if amx else f'torch, packed: {choose_packing()}'}"
        mine = dict(zip(("encode", "decode"), medians(our_runs[name]), strict=True))
        limit = {part: amount / max(peaks[name]) for part, amount in work.items()}
        for peer, theirs in others.items():
            for part in mine:
                rows.append(row(f"{part}, {arithmetic}", peer, mine[part], theirs[part], limit[part]))
            sums = (sum(times.values()) for times in (mine, theirs, limit))
            rows.append(row(f"whole job, {arithmetic}", peer, *sums))
        tokens = options.captions * (LENGTHS["max_length"] - len(PROMPT)) / mine["decode"]
        least = f"GFLOP/s (least seen: {min(peaks[name]) / 1e9:.0f})"
        held = {"ours": our_bytes[name], "theirs": their_bytes, "ratio": their_bytes / our_bytes[name]}
        rows += [
            {"case": f"keys and values, {arithmetic}", **held, "unit": "MB per image"},
            {"case": f"tokens per second, {arithmetic}", "ours": tokens, "unit": "tokens/s"},
            {"case": f"largest logit difference, {arithmetic}", "ours": differences[name], "unit": "logit"},
            {"case": f"peak of useful products, {arithmetic}", "ours": max(peaks[name]) / 1e9, "unit": least},
        ]
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    rows.append({"case": "memory of the process, all sides", "ours": most, "unit": "MB"})
    emit(rows, options.json, f"{options.model}, {options.captions} captions, {options.threads} thread(s)")


if __name__ == "__main__":
    main()
