"""Relations out: one writer per target format."""

from relforge.stages.export.targets import TARGETS, export

__all__ = ["TARGETS", "export"]
