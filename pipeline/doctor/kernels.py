"""Which deformable-attention kernels run here."""

from __future__ import annotations

from collections.abc import Iterator

from relforge.pipeline.doctor.check import Check


def check_kernels() -> Iterator[Check]:
    """Per device: the kernel that a tagging job would choose, and why the others cannot run."""
    try:
        import torch

        from relforge.kernels.dispatch import KernelUnavailable, describe
    except ImportError:
        return  # the version check has said that torch is missing
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        try:
            found = describe(device)
        except (KernelUnavailable, ValueError) as error:
            yield Check("kernels", f"deformable attention on {device}", "broken", str(error))
            continue
        others = "; ".join(f"{name}: {why}" for name, why in found.items() if name != "chosen")
        yield Check("kernels", f"deformable attention on {device}", "ok", f"{found['chosen']} ({others})")
