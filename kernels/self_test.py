"""What every kernel's self-test raises."""

from __future__ import annotations


class SelfTestFailed(RuntimeError):
    """A kernel's result on this machine differs from its reference; the message names which kernel, by how
    much, and how to run without it."""
