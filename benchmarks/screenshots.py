"""The screenshots of the documentation: `relforge view` of the drawn world, wide, on a phone, and two runs.

python benchmarks/screenshots.py [--work FOLDER] [--images N]
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from pathlib import Path

from browser import Browser
from PIL import Image

from relforge.demo.job import write_job

DOCS = Path(__file__).resolve().parents[1] / "docs"
SHOTS = {"view": (1280, 760), "view_phone": (390, 780), "view_two": (1280, 760)}
"""Name -> size of the window, pixels. `view_two` shows two runs."""
_QUALITY = 80


def main() -> None:
    """Label the images twice, write both pages, and save what a browser shows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/screenshots"))
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--out", type=Path, default=DOCS)
    given = parser.parse_args()
    run, other = given.work / "run", given.work / "fewer"
    config = write_job(given.work, given.images)
    # the world's own captions, so that no captioner has to run
    own = {"backend": "oracle", "files": [str(given.work / "world" / "detection" / "captions.json")]}
    captions = f"stages.caption={json.dumps(own)}"
    relforge("run", config, captions, "--executor", "loop")
    fewer = [f"run.folder={other}", "stages.select.top_k_image=2"]
    relforge("run", config, captions, *fewer, "--executor", "loop")
    relforge("view", run, "--folder", given.work / "one")
    relforge("view", run, "--against", other, "--folder", given.work / "two")
    given.out.mkdir(parents=True, exist_ok=True)
    with Browser() as browser:
        for name, (width, height) in SHOTS.items():
            page = given.work / ("two" if name == "view_two" else "one") / "index.html"
            browser.resize(width, height, mobile=width < 800)
            browser.open(page.absolute().as_uri() + "#order=wrong")
            browser.wait("document.querySelector('.pane image') && scene")
            # 0: the first relation stands out
            browser.run(f"open(visible[4], {-1 if name == 'view' else 0})")
            browser.wait("scene.id === ids[state.at] && [...document.images].every(one => one.complete)")
            browser.run("new Promise(done => setTimeout(done, 300))")  # images are drawn after they are read
            save(browser.screenshot(), given.out / f"{name}.jpg")
            print(given.out / f"{name}.jpg")


def relforge(*arguments: object) -> None:
    subprocess.run(
        [sys.executable, "-m", "relforge", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL
    )


def save(shot: bytes, path: Path) -> None:
    """A PNG as a JPEG, a fifth of the size."""
    Image.open(io.BytesIO(shot)).convert("RGB").save(path, quality=_QUALITY, optimize=True)


if __name__ == "__main__":
    main()
