"""The command line, as `relforge` and `python -m relforge`."""

from relforge.pipeline.cli.app import main

__all__ = ["main"]
