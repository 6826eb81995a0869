"""Images of the world side by side, each over one of its captions: to be checked by eye.

python -m relforge.demo.world.contact_sheet docs/world.jpg [--columns N] [--rows N] [--seed N] [--size PIXELS]
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from relforge.demo.world.captions import write_captions
from relforge.demo.world.compose import draw_image

_GAP, _LINE, _LINES = 8, 13, 3
_LETTER = 6
"""Width of a letter of Pillow's built-in font, pixels."""


def draw_contact_sheet(columns: int, rows: int, seed: int = 0, size: int = 192) -> Image.Image:
    """A sheet of the first `columns * rows` images of that seed.

    Args:
        size: longer side of each image, pixels.
    """
    width, height = size + _GAP, size + _LINES * _LINE + _GAP
    sheet = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for index in range(columns * rows):
        drawn = draw_image(seed, index, size)
        left, top = _GAP + index % columns * width, _GAP + index // columns * height
        across, down = drawn.image.size
        sheet.paste(drawn.image, (left + (size - across) // 2, top + (size - down) // 2))
        text = write_captions(drawn.scene, drawn.facts, np.random.default_rng([seed, index, 1]), 1)[0]
        lines = textwrap.wrap(text, size // _LETTER)[:_LINES]
        for number, line in enumerate(lines):
            pen.text((left, top + size + number * _LINE), line, fill=(60, 60, 60))
    return sheet


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=192)
    args = parser.parse_args(arguments)
    draw_contact_sheet(args.columns, args.rows, args.seed, args.size).save(args.out, quality=85)


if __name__ == "__main__":
    main()
