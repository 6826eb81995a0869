"""`relforge view` of large runs: how long a browser waits for the page, for the next image and for a filter.

python benchmarks/view.py [--images 50 5000 50000] [--ways page folder serve] [--write FILE.md]

The browser is headless Chromium on the same machine. `page` is one file with all images inside (up to 200
images), `folder` has them beside the page and is opened from disk, `serve` is answered by relforge.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from datetime import date
from pathlib import Path
from typing import Any

from browser import Browser
from view_run import write_run

from relforge.reports.view.folder import write_folder
from relforge.reports.view.page import gather, write
from relforge.reports.view.run_view import RunView
from relforge.reports.view.serve import ViewServer

WAYS = ("page", "folder", "serve")
ONE_PAGE, FOLDER = 200, 5000
"""Most images that are measured as one page, and as a folder, whose images take long to write."""
STEPS = 25
_READY = "document.querySelector('.pane image') && [...document.images].every(one => one.complete)"

_NEXT = """(async () => {
  const times = [];
  for (let step = 0; step < STEPS; step++) {
    const start = performance.now();
    go(1);
    const place = state.at;
    while (scene?.id !== ids[place]) await new Promise(done => setTimeout(done));
    const decoded = new Image();
    decoded.src = document.querySelector('.pane image').href.baseVal;
    await decoded.decode();
    times.push(performance.now() - start);
    await new Promise(done => setTimeout(done, 100));
  }
  return times;
})()""".replace("STEPS", str(STEPS))
_FILTER = """(async () => {
  const times = [], options = [...document.getElementById('predicate').options];
  const changes = options.slice(1, 6).map(one => () => { state.predicate = one.value; });
  changes.push(() => { state.predicate = ''; }, () => { state.minScore = 0.5; });
  changes.push(() => { state.query = 'class 07 riding'; });
  changes.push(() => { state.query = ''; state.order = 'wrong'; });
  for (const change of changes) {
    const start = performance.now();
    change();
    refilter();
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    times.push(performance.now() - start);
  }
  return times;
})()"""


def main() -> None:
    """Make the runs, measure each way, print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[50, 5000, 50_000])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--work", type=Path, default=Path("runs/bench-view"))
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    kept = given.work / "measured.json"  # stopped, it continues
    rows = json.loads(kept.read_text()) if kept.exists() else []
    for images in given.images:
        for way in given.ways:
            most = {"page": ONE_PAGE, "folder": FOLDER}.get(way, images)
            if images > most or any((row["images"], row["way"]) == (images, way) for row in rows):
                continue
            run = str(write_run(given.work, images))
            rows.append({"images": images, "way": way, **measure(run, way, given.work)})
            kept.write_text(json.dumps(rows))
            print(json.dumps(rows[-1]), flush=True)
    rows.sort(key=lambda row: (row["images"], WAYS.index(row["way"])))
    text = table(rows)
    print(text)
    if given.write:
        given.write.write_text(text, encoding="utf-8")


def measure(run: str, way: str, work: Path) -> dict[str, float]:
    """Seconds and milliseconds of one way of showing a run."""
    start, cpu = time.perf_counter(), time.process_time()
    server = None
    if way == "page":
        write(gather(run), str(work / "page.html"))
        address, size = (work / "page.html").absolute().as_uri(), (work / "page.html").stat().st_size
    elif way == "folder":
        write_folder(RunView(run), str(work / "page"))
        address = (work / "page" / "index.html").absolute().as_uri()
        size = (work / "page" / "index.html").stat().st_size
    else:
        server = ViewServer(RunView(run))
        address, size = server.address, len(server.page)
        thread = threading.Thread(target=server.serve)
        thread.start()
    made, made_cpu = time.perf_counter() - start, time.process_time() - cpu
    try:
        return {"made_s": made, "made_cpu_s": made_cpu, "page_mb": size / 1e6, **in_browser(address)}
    finally:
        if server is not None:
            server.close()
            thread.join()
            server.release()


def in_browser(address: str) -> dict[str, float]:
    """What a browser needs, the second time it is started: the first one reads its own files from disk."""
    for _ in range(2):
        with Browser() as browser:
            start = time.perf_counter()
            browser.open(address)
            browser.wait(_READY, 120)
            load, cpu = time.perf_counter() - start, [browser.cpu_seconds()]
            forward = browser.run(_NEXT)
            cpu.append(browser.cpu_seconds())
            filters = browser.run(_FILTER)
            cpu.append(browser.cpu_seconds())
    return {
        "load_s": load,
        "load_cpu_s": cpu[0],
        "next_cpu_ms": 1000 * (cpu[1] - cpu[0]) / len(forward),
        "filter_cpu_ms": 1000 * (cpu[2] - cpu[1]) / len(filters),
        "next_ms": statistics.median(forward),
        "next_worst_ms": max(forward),
        "filter_ms": statistics.median(filters),
        "filter_worst_ms": max(filters),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The page of benchmarks/results."""
    lines = [
        f"| {row['images']:,} | {row['way']} | {row['page_mb']:.1f} MB "
        f"| {row['made_s']:.1f}, {row['made_cpu_s']:.1f} s "
        f"| {row['load_s']:.2f}, {row['load_cpu_s']:.2f} s "
        f"| {row['next_ms']:.0f} ({row['next_worst_ms']:.0f}), {row['next_cpu_ms']:.0f} ms "
        f"| {row['filter_ms']:.0f} ({row['filter_worst_ms']:.0f}), {row['filter_cpu_ms']:.0f} ms |"
        for row in rows
    ]
    return _HEAD.format(processor=processor(), day=date.today().isoformat()) + "\n".join(lines) + "\n"


_HEAD = """# `relforge view` of large runs

`python benchmarks/view.py --write benchmarks/results/view.md`; {processor}, {day}, headless Chromium on the
same machine, which other programs were using too. A run has 7 boxes, 5 captions, 10 relations and 8 gold
relations an image; photographs are 640 x 480.

Each figure is the time by the clock, worst in brackets, then of the processor: of relforge for `made`, of
the page's main thread for the others. Where the two are far apart, the machine was busy with something else.

* made: what relforge needs before a browser can ask (image files are written for `folder`, none for `serve`).
* load: from the address to the first image drawn, with the images of the strip.
* next image: from the key to the next image decoded; median of 25.
* filter: from a change of filter, search or order to the page drawn; median of 9.

| images | shown as | page | made | load | next image | filter |
|---|---|---|---|---|---|---|
"""


def processor() -> str:
    """As the machine names it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "a processor without a name"


if __name__ == "__main__":
    main()
