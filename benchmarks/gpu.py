"""Is the GPU path right, and how fast is it: one command, ten minutes, nothing lost.

    python benchmarks/gpu.py [--out FOLDER] [--seconds 540] [--only A1,B3] [--quick] [--device cpu]

Parts A and B check results, parts C measure (`benchmarks/gpu_parts` lists them). Each runs in a process of
its own, for at most its own seconds or what is left of all. FOLDER/results.jsonl gets every check and figure
as it comes; FOLDER/table.md is written anew after each part. Running again with --only in the same folder
replaces those parts. Needs torch, transformers, triton, pyarrow, numpy, pillow, scipy, pyyaml, safetensors
(and pytest for A3): no network, no weights; peers of C1 where they are installed.

Exit code: 1 if a check failed, 0 if all passed, even where figures are missing; 2 for wrong arguments.
`--device cpu` runs everything in tiny sizes, the kernels under Triton's interpreter.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [path for path in (str(ROOT / "benchmarks"), str(ROOT)) if path not in sys.path]

from gpu_parts import PARTS, Part  # noqa: E402
from gpu_parts.recorder import Recorder, Skip, append, read  # noqa: E402
from gpu_parts.table import write_table  # noqa: E402

DEVICE_SECONDS = 60
"""For the first line: importing torch and asking the driver."""
CPU_SECONDS = 5
"""How often its seconds a part may take on the CPU, where other work may keep it waiting."""
MIN_SECONDS = 5
"""A part with less time left than this is skipped."""


def run_part(name: str, folder: Path, device: str, quick: bool) -> int:
    """In the part's own process: 0 passed, 1 a check failed or an error, 3 skipped."""
    import traceback

    part = next(part for part in PARTS if part.name == name)
    recorder = Recorder(name, folder, device, quick)
    try:
        import_module(f"gpu_parts.{part.module}").run(recorder)
    except Skip as reason:
        append(folder, {"part": name, "skip": str(reason)})
        return 3
    except Exception as error:
        traceback.print_exc()
        append(folder, {"part": name, "exception": f"{type(error).__name__}: {error}"[:2000]})
        return 1
    return 1 if recorder.failed else 0


def environment(folder: Path, device: str) -> dict[str, str]:
    """Of the parts: one cache of compiled kernels for all, and the interpreter on the CPU."""
    variables = {
        "TRITON_CACHE_DIR": str(folder / "cache" / "triton"),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "cache" / "inductor"),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if device == "cpu":
        variables |= {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    return {**variables, **os.environ}


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a part and what it started: its process group, by number."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(3)


def run_child(command: list[str], log: Path, seconds: float, variables: dict[str, str]) -> int | None:
    """Exit code of a command in its own process group, or None when its time ran out."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=variables,
            cwd=ROOT,
            start_new_session=True,
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            stop(process)


def outcome(part: Part, folder: Path, code: int | None, log: Path) -> dict[str, Any]:
    """The state of a part that has ended, and why it is not ok."""
    if code is None:
        return {"state": "timeout", "error": "its time ran out"}
    if code == 0:
        return {"state": "ok"}
    lines: list[dict[str, Any]] = []
    for line in read(folder):
        lines = [] if line.get("state") == "started" else lines
        lines += [line] if line.get("part") == part.name else []
    if code == 3:
        return {"state": "skipped", "error": next(line["skip"] for line in lines if "skip" in line)}
    failed = [line["check"] for line in lines if line.get("ok") is False]
    crashed = [line["exception"] for line in lines if "exception" in line]
    tail = log.read_text(errors="replace").strip().splitlines()[-1:] if code not in (0, 1, 3) else []
    reasons = [*[f"check failed: {name}" for name in failed], *crashed]
    if not reasons:
        reasons = [f"exit code {code}", *tail]
    return {"state": "failed", "error": "; ".join(reasons), "checks_failed": len(failed)}


def counts_as_failure(line: dict[str, Any]) -> bool:
    """A check that failed, or a part of checks (A, B) that did not come to its end by an error of its own."""
    return line["state"] == "failed" and (line.get("checks_failed", 0) > 0 or line["part"][0] in "AB")


def chosen(names: str | None) -> list[Part]:
    """The parts of `--only`, in the order of the list.

    Raises:
        ValueError: a name that is none.
    """
    if names is None:
        return list(PARTS)
    asked = {name.strip().upper() for name in names.split(",") if name.strip()}
    known = {part.name for part in PARTS}
    if not asked or asked - known:
        wrong = ", ".join(sorted(asked - known)) or "nothing"
        raise ValueError(f"--only: no part is called {wrong}; choose from {', '.join(sorted(known))}")
    return [part for part in PARTS if part.name in asked]


def run_all(parts: list[Part], folder: Path, seconds: float, device: str, quick: bool) -> bool:
    """Run the parts one after the other; whether no check failed."""
    begin = time.monotonic()
    variables = environment(folder, device)
    passed = True
    script = [sys.executable, str(Path(__file__).resolve()), "--out", str(folder), "--device", device]
    run_child([*script, "--describe"], folder / "device.log", min(DEVICE_SECONDS, seconds), variables)
    for part in parts:
        left = seconds - (time.monotonic() - begin)
        append(folder, {"part": part.name, "state": "started"})
        started = time.monotonic()
        if left < MIN_SECONDS:
            line: dict[str, Any] = {"state": "skipped", "error": f"no time left of {seconds:g} s"}
        else:
            command = [*script, "--part", part.name] + ["--quick"] * quick
            log = folder / f"{part.name}.log"
            box = part.seconds * (CPU_SECONDS if device == "cpu" else 1)
            code = run_child(command, log, min(float(box), left), variables)
            line = outcome(part, folder, code, log)
        spent = round(time.monotonic() - started, 1)
        line = {"part": part.name, **line, "seconds": spent}
        append(folder, line)
        write_table(folder)
        passed &= not counts_as_failure(line)
        print(
            f"{part.name} {part.title}: {line['state']}, {spent} s {line.get('error', '')}".rstrip(),
            flush=True,
        )
    return passed


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--out", type=Path, default=ROOT / "runs" / "gpu", help="folder of the results")
    options.add_argument("--seconds", type=float, default=540, help="for all parts together")
    options.add_argument("--only", help="parts to run, as A1,B3")
    options.add_argument("--quick", action="store_true", help="fewer repeats and cases")
    options.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    options.add_argument("--part", choices=[part.name for part in PARTS], help=argparse.SUPPRESS)
    options.add_argument("--describe", action="store_true", help=argparse.SUPPRESS)
    args = options.parse_args()
    folder: Path = args.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if args.describe:
        from gpu_parts.device import describe

        append(folder, {"device": describe(args.device)})
        return 0
    if args.part:
        return run_part(args.part, folder, args.device, args.quick)
    try:
        parts = chosen(args.only)
    except ValueError as error:
        options.error(str(error))
    if args.device == "cuda" and not gpu_is_there():
        options.error("--device cuda: PyTorch finds no GPU here; --device cpu runs every part in tiny sizes")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a part is ended with this process
    passed = run_all(parts, folder, args.seconds, args.device, args.quick)
    print(f"{folder / 'table.md'}: {'no check failed' if passed else 'a check failed'}")
    return 0 if passed else 1


def gpu_is_there() -> bool:
    """Asked in another process: this one never holds a CUDA context."""
    command = [sys.executable, "-c", "import torch; raise SystemExit(not torch.cuda.is_available())"]
    return subprocess.run(command, capture_output=True).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
