"""The picture page as HTML."""

from __future__ import annotations

from typing import Any

from relforge.reports.html import fill, write_page


def write(data: dict[str, Any], out: str) -> None:
    """Write what `gather` found as one page that needs no other file."""
    write_page(fill(__package__, "page.html", f"{data['dataset']} - relforge view", data), out)
