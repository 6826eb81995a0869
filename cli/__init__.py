"""The command line, as `relforge` and `python -m relforge`."""

from relforge.cli.app import main

__all__ = ["main"]
