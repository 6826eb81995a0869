"""LAVIS's side of caption.py, run by the Python of the LAVIS environment: FOLDER CAPTIONS THREADS.

FOLDER holds weights.pth, config.json and vocab.txt. Prints one line of JSON, CPU seconds per image:
`encode`, `decode` of all captions in one call, and `decode_one`, a call for one caption.
"""

from __future__ import annotations

import json
import sys
import time

import torch

from relforge.stages.caption.lavis_model import build

folder, captions, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
clock = time.process_time if threads == 1 else time.perf_counter
model, checkpoint = build(f"{folder}/weights.pth", f"{folder}/vocab.txt", "a picture of ", None)
encoding = 0.0
inner = model.forward_encoder


def forward_encoder(samples: dict[str, torch.Tensor]) -> torch.Tensor:
    global encoding
    start = clock()
    tokens = inner(samples)
    encoding = clock() - start
    return tokens


model.forward_encoder = forward_encoder
size = checkpoint.shape.vision.image_size
image = torch.randn(1, 3, size, size)


def decode(count: int) -> float:
    start = clock()
    model.generate(
        {"image": image}, use_nucleus_sampling=True, num_captions=count, min_length=5, max_length=20
    )
    return clock() - start - encoding


with torch.inference_mode():
    one = decode(1)
    print(json.dumps({"encode": encoding, "decode_one": one, "decode": decode(captions)}))
