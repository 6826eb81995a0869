"""Which deformable-attention kernels run here."""

from __future__ import annotations

from collections.abc import Iterator

from relforge.pipeline.doctor.check import Check


def check_kernels() -> Iterator[Check]:
    """Per device: the kernel that a tagging job would choose, tested against the twin; and the others."""
    try:
        import torch

        from relforge.kernels.dispatch import KernelUnavailable, describe
        from relforge.kernels.self_test import SelfTestFailed, self_test
    except ImportError:
        return  # the version check has said that torch is missing
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        try:
            found = describe(device)
            tested = self_test(device)
        except (KernelUnavailable, SelfTestFailed, ValueError) as error:
            yield Check("kernels", f"deformable attention on {device}", "broken", str(error))
            continue
        others = "; ".join(f"{name}: {why}" for name, why in found.items() if name != "chosen")
        detail = f"{found['chosen']}, within {tested.worst:.1e} of the twin ({others})"
        yield Check("kernels", f"deformable attention on {device}", "ok", detail)
