"""Random numbers that depend on what they are for and on nothing else."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_LOW = 0xFFFFFFFF


def derive_random_key(seed: int, image_id: str) -> int:
    """64 bits, signed, of (run seed, image) in every draw for that image's captions."""
    digest = hashlib.blake2b(f"{seed}\0{image_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def draw_uniform(random_key: Tensor, sample: Tensor, step: Tensor) -> Tensor:
    """One number in (0, 1) per (random key, sample, step): Philox4x32-10 (Salmon et al., SC 2011) in int64.

    Args:
        random_key: of each image (`derive_random_key`), int64.
        sample: which of the image's captions, int64.
        step: which token of the caption, int64; all three of one shape.

    Returns:
        float64 of that shape, 52 random bits each, the same on every device.
    """
    k0, k1 = random_key & _LOW, (random_key >> 32) & _LOW
    c0, c1 = step & _LOW, sample & _LOW
    c2, c3 = c0.new_zeros(c0.shape), c0.new_zeros(c0.shape)
    for _ in range(10):
        # int64 products wrap, but their 64 bits are the unsigned product's
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = ((p1 >> 32) & _LOW) ^ c1 ^ k0, p1 & _LOW, ((p0 >> 32) & _LOW) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + 0x9E3779B9) & _LOW, (k1 + 0xBB67AE85) & _LOW
    bits = (c0 << 20) | (c1 >> 12)  # 52 bits, so that adding a half is exact and 1.0 is never reached
    return (bits.double() + 0.5) * 2.0**-52
