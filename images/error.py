"""The one exception for an image that cannot be used."""

from __future__ import annotations


class ImageError(Exception):
    """An image that cannot be used: a bad record for quarantine, never a reason to stop the run.

    Args:
        reason: a stable snake_case code: `no_image`, `missing_file`, `bad_file_name`, `not_a_file`,
            `empty_file`, `not_an_image`, `truncated`, `undecodable`, `unsupported_pixels`, `too_large` or
            `size_mismatch`.
        detail: the sentence that a person reads.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        return ImageError, (self.reason, self.detail)
