"""Seconds of each page's path: its lines typed one after the other in a shell, in a fresh clone.

python benchmarks/pages.py [--environment FOLDER [--loop]] [--work FOLDER] [--pages NAME ...] [--write FILE]

Without --environment the first line of README, `make demo`, sets up `.venv` in the clone, downloads included.
With one, that environment's packages are used and nothing is installed. --loop does without Ray, where a busy
machine does not start it in time; the page on clusters is then left out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import textwrap
import time
from datetime import date
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CLUSTER = "cluster, one machine"
COMMAND = """import sys
from relforge.cli import main

loop = {loop} and sys.argv[1] in ("demo", "run", "rerun")
main(sys.argv[1:] + ["--executor", "loop"] * loop)
"""
PAGES = {
    "README, Start": ("README.md", "Start"),
    "tutorial": ("docs/tutorial.md", ""),
    "looking at a run": ("docs/view.md", ""),
    "own data, own classes": ("docs/own_data.md", ""),
    "own captioner": ("docs/adding.md", "A captioner"),
    CLUSTER: ("docs/cluster.md", "A laptop"),
}
"""Name -> page, and the section whose lines are typed; all of it where that is empty."""
LEFT_OUT = (".*", "__pycache__", "runs", "build", "dist", "*.egg-info", "tests")


def main() -> None:
    """Type the pages, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--environment", type=Path)
    parser.add_argument("--loop", action="store_true")
    parser.add_argument("--work", type=Path, default=Path("runs/bench-pages"))
    parser.add_argument("--pages", nargs="+", choices=list(PAGES), default=list(PAGES))
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    clone = given.work / "relforge"
    kept = given.work / "measured.json"  # stopped, it continues
    if not clone.exists():
        shutil.copytree(ROOT, clone, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    if given.environment is not None:
        borrow(given.environment, clone, given.loop)
    rows = json.loads(kept.read_text()) if kept.exists() else []
    for name in given.pages:
        if given.loop and name == CLUSTER:
            continue
        if any(row["page"] == name for row in rows):
            continue
        rows.append({"page": name, **typed(clone, lines_of(name, clone))})
        kept.write_text(json.dumps(rows))
        print(json.dumps(rows[-1]), flush=True)
    text = table(rows, given.environment is None, given.loop)
    print(text)
    if given.write:
        given.write.write_text(text, encoding="utf-8")


def borrow(environment: Path, clone: Path, loop: bool) -> None:
    """An environment in the clone that sees another's packages and the clone's relforge.

    Args:
        loop: its `relforge` runs without Ray.
    """
    folder = clone / ".venv"
    if folder.exists():
        return
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = next(environment.absolute().glob("lib/python3*/site-packages"))
    own = next(folder.glob("lib/python3*/site-packages"))
    (own / "relforge.pth").write_text(f"{clone.absolute()}\n{packages}\n")
    command = folder / "bin" / "relforge"
    command.write_text(f"#!{folder.absolute()}/bin/python\n{COMMAND.format(loop=loop)}")
    command.chmod(0o755)
    for mark in (".plain", ".ready"):
        (folder / mark).touch()


def lines_of(name: str, clone: Path) -> list[str]:
    """What is typed; of pages that show code and config, what uses them."""
    page, section = PAGES[name]
    text = (ROOT / page).read_text(encoding="utf-8")
    if section:
        found = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert found, f"{page} has no section {section}"
        text = found[1]
    if name == "own captioner":
        return [
            "cd palette",
            f"relforge run {write_captioner(text, clone / 'palette')}",
            "relforge status run",
        ]
    if name == CLUSTER:
        return ["relforge run runs/demo/demo.yaml run.folder=runs/laptop", "relforge status runs/laptop"]
    return [
        line for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) for line in block.splitlines()
    ]


def write_captioner(text: str, folder: Path) -> str:
    """The page's captioner, its config and three images, in a folder; the config's name."""
    folder.mkdir(exist_ok=True)
    code, entry = (re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)[0] for kind in ("python", "yaml"))
    (folder / "palette.py").write_text(code)
    colours = {"red": [200, 30, 30], "green": [20, 180, 40], "blue": [10, 20, 220]}
    (folder / "colours.json").write_text(json.dumps(colours))
    images = []
    for number, colour in enumerate(colours.values()):
        Image.new("RGB", (40, 30), tuple(colour)).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 40, "height": 30})
    (folder / "boxes.json").write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    dataset = "{name: colours, split: all, format: coco, annotations: boxes.json, images: .}"
    config = f"dataset: {dataset}\nrun: {{folder: run}}\n{textwrap.dedent(entry)}"
    (folder / "own.yaml").write_text(config)
    return "own.yaml"


def typed(clone: Path, lines: list[str]) -> dict[str, Any]:
    """Seconds by the clock and of the processor that a shell needs for the lines.

    Raises:
        RuntimeError: a line fails.
    """
    environment = {
        **os.environ,
        "PATH": f"{clone.absolute()}/.venv/bin:{os.environ['PATH']}",
        "PYTHONPATH": "",
    }
    environment["PYTHONPATH"] = "." if lines[0].startswith("cd ") else ""  # where a module of one's own is
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        ["bash", "-c", "\n".join(["set -e", *lines])],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
    )
    after, took = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{lines}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    cpu = sum(getattr(after, one) - getattr(before, one) for one in ("ru_utime", "ru_stime"))
    return {"lines": len(lines), "seconds": took, "cpu_seconds": cpu}


def table(rows: list[dict[str, Any]], bare: bool, loop: bool) -> str:
    """The page of results."""
    how = "installing and downloads included" if bare else "packages were installed before"
    how += ", and runs do without Ray (`--loop`)" if loop else ""
    lines = [
        "# What the pages take",
        "",
        f"`python benchmarks/pages.py --write benchmarks/results/pages.md`; {os.cpu_count()} cores, "
        f"{date.today()}, load average {os.getloadavg()[2]:.0f} over the last quarter of an hour.",
        "Lines of each page as a person types them, in one shell of a fresh clone, one page after the other; "
        f"{how}.",
        "",
        "| page | lines | seconds by the clock | of the processor |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row['page']} | {row['lines']} | {row['seconds']:.0f} | {row['cpu_seconds']:.0f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
