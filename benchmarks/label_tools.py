"""What `relforge report`, `view`, `diff` and `export` take on runs of up to a million relations and more.

python benchmarks/label_tools.py [--images 10000 30000 100000] [--work FOLDER] [--tools ...]
        [--write FILE.md] [--json]

Three runs of each size are made once and kept (`label_run.py`): with gold, without, and a second one with
gold whose scores differ. Each command runs as a user types it, in a process of its own; peak memory is that
process's, everything included. What is measured already is kept in FOLDER/measured.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from fresh import fresh
from report import emit
from view import processor

TOOLS = ("report", "report without gold", "view", "diff", "export")
_CHILD = """
import sys, time
from relforge.cli import main
started = time.perf_counter()
try:
    main({arguments!r})
except SystemExit as end:
    if end.code:
        raise
import resource
used = resource.getrusage(resource.RUSAGE_SELF)
with open("/proc/self/status") as status:  # ru_maxrss would start from the parent's peak
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print("\\n", used.ru_utime + used.ru_stime, peak * 1024)
"""


def main() -> None:
    """Make the runs, measure each tool, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--work", type=Path, default=Path("runs/bench-label-tools"))
    parser.add_argument("--write", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    kept = given.work / "measured.json"  # stopped, it continues
    rows = json.loads(kept.read_text()) if kept.exists() else []
    for images in given.images:
        for tool in given.tools:
            if not any((row["images"], row["tool"]) == (images, tool) for row in rows):
                rows.append({"images": images, "tool": tool, **measure(tool, images, given.work)})
                kept.write_text(json.dumps(rows))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    rows.sort(key=lambda row: (TOOLS.index(row["tool"]), row["images"]))
    if given.write:
        given.write.write_text(table(rows), encoding="utf-8")
    emit([{"case": f"{row['tool']}, {row['images']:,} images"} | row for row in rows], given.json)


def measure(tool: str, images: int, work: Path) -> dict[str, float]:
    """Seconds, CPU seconds and peak bytes of one command."""
    run = make_run(work, f"gold-{images}", images)
    arguments = {
        "report": lambda: ["report", run, "--out", f"{work}/report.html"],
        "report without gold": lambda: [
            *("report", make_run(work, f"plain-{images}", images, "plain")),
            *("--out", f"{work}/report.html"),
        ],
        "view": lambda: ["view", run, "--out", f"{work}/view.html"],
        "diff": lambda: ["diff", run, make_run(work, f"other-{images}", images, "other")],
        "export": lambda: ["export", run, "--to", "rlipv2", "--out", f"{work}/labels.json"],
    }[tool]()
    return run_alone(arguments)


def run_alone(arguments: list[str]) -> dict[str, float]:
    """What one command takes; start of Python and imports included.

    Raises:
        RuntimeError: it fails.
    """
    started = time.perf_counter()
    child = subprocess.run(
        [sys.executable, "-c", _CHILD.format(arguments=arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if child.returncode:
        raise RuntimeError(f"relforge {' '.join(arguments)} failed:\n{child.stdout}{child.stderr}")
    cpu, peak = child.stdout.splitlines()[-1].split()
    return {"seconds": seconds, "cpu_seconds": float(cpu), "peak_mb": int(peak) / 1e6}


def make_run(work: Path, name: str, images: int, kind: str = "gold") -> str:
    """The run folder, made in another process so that its memory is not this one's."""
    if not (work / name).is_dir():
        fresh(__file__, "write", str(work), f"{name}.part", str(images), kind)
        (work / f"{name}.part").rename(work / name)
    return str(work / name)


def write(work: str, name: str, images: str, kind: str) -> None:
    """One of the three runs of a size."""
    from label_run import write_label_run

    write_label_run(Path(work).absolute(), name, int(images), kind != "plain", int(kind == "other"))


def table(rows: list[dict[str, Any]]) -> str:
    """The page of benchmarks/results."""
    lines = [
        f"| {row['tool']} | {row['images']:,} | {row['seconds']:.1f} | {row['cpu_seconds']:.1f} "
        f"| {row['peak_mb']:.0f} |"
        for row in rows
    ]
    return _HEAD.format(processor=processor(), day=date.today().isoformat()) + "\n".join(lines) + "\n"


_HEAD = """# Label tools on large runs

`python benchmarks/label_tools.py --write benchmarks/results/label_tools.md`; {processor}, {day}. A run has 7
boxes, 5 captions, 10 triplets, about 11 candidates and 10.8 relations an image, and 8 gold relations where it
has any; photographs are 640 x 480. Each command in a process of its own, start of Python included.

| command | images | seconds | CPU seconds | peak MB |
|---|---|---|---|---|
"""


if __name__ == "__main__":
    main()
