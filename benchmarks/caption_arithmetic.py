"""How many captions another arithmetic words differently, on the drawn world and its captioner.

    python benchmarks/caption_arithmetic.py [--model demo/weights/blip] [--images 300] [--seed 7] [--json]

Every arithmetic draws with the same random numbers, so a caption differs only where rounding moved a
probability across a draw. Compared with torch's float32 GEMMs; AMX needs a processor with it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from typing import Any

from report import emit
from world_captions import caption_images, draw_split

from relforge.kernels.amx.library import VARIABLE, why_unavailable


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--model", default="demo/weights/blip")
    options.add_argument("--images", type=int, default=300)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _, images = draw_split(folder, args.images, args.seed)

        def words(kind: str, dtype: str) -> tuple[list[str], float]:
            os.environ[VARIABLE] = kind
            said, seconds = caption_images(images, model=args.model, captions=10, drop=[], dtype=dtype)
            return [text for captions in said.values() for text in captions], seconds

        plain, plain_seconds = words("torch", "float32")
        cases = [("torch", "bfloat16"), ("auto", "float32"), ("auto", "bfloat16")]
        rows: list[dict[str, Any]] = []
        os.environ[VARIABLE] = "auto"
        for kind, dtype in cases[: 1 if why_unavailable() else None]:
            texts, seconds = words(kind, dtype)
            differing = sum(ours != theirs for ours, theirs in zip(texts, plain, strict=True))
            rows.append(
                {
                    "case": f"{dtype} by {'torch' if kind == 'torch' else 'amx'}",
                    "peer": "float32 by torch",
                    "ours": seconds,
                    "theirs": plain_seconds,
                    "ratio": plain_seconds / seconds,
                    "unit": "s",
                    "captions that differ": differing,
                    "of": len(plain),
                }
            )
    emit(rows, args.json, f"{args.images} images, ten captions each")


if __name__ == "__main__":
    main()
