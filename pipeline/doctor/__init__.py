"""What this machine has for relforge to run on."""

from __future__ import annotations

from relforge.pipeline.doctor.check import Check
from relforge.pipeline.doctor.kernels import check_kernels, check_reader
from relforge.pipeline.doctor.machine import check_cluster, check_devices, check_versions
from relforge.pipeline.doctor.models import check_models

__all__ = ["Check", "examine"]


def examine() -> list[Check]:
    """Every check, in the order a person would fix things."""
    topics = (check_versions, check_devices, check_kernels, check_reader, check_models, check_cluster)
    return [check for topic in topics for check in topic()]
