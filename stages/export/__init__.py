"""Relations out: one writer per target format."""

from relforge.stages.export.targets import SUFFIXES, TARGETS, export

__all__ = ["SUFFIXES", "TARGETS", "export"]
