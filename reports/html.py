"""Self-contained pages: a packaged template, a title and data."""

from __future__ import annotations

import html
import json
import os
import re
from importlib import resources

from relforge.pipeline.store.run_folder import open_storage

# the only characters that can end a script element or a JavaScript line early
_UNSAFE = {one: f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}


def fill(package: str, template: str, title: str, data: object = None, body: str = "") -> str:
    """The template with its three blanks filled.

    Args:
        package: that holds the template.
        template: file name. `{{title}}`, `{{data}}` and `{{body}}` in it are replaced, and
            `{{include NAME}}` by the file of that name beside it.
        title: text; escaped here.
        data: goes into a `<script type="application/json">`; texts in it stay texts, whatever they contain.
        body: HTML, already escaped.
    """
    folder = resources.files(package)
    page = re.sub(
        r"\{\{include ([\w.]+)\}\}",
        lambda blank: folder.joinpath(blank[1]).read_text(encoding="utf-8"),
        folder.joinpath(template).read_text(encoding="utf-8"),
    )
    parts = {"title": html.escape(title), "body": body, "data": pack(data)}
    # in one call: filled-in values may contain such blanks as text
    return re.sub(r"\{\{(title|body|data)\}\}", lambda blank: parts[blank[1]], page)


def pack(data: object) -> str:
    """JSON that may stand in a script element or a script: no text in it can end either."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for one, escaped in _UNSAFE.items():
        text = text.replace(one, escaped)  # no copy where there is none
    return text


def write_page(page: str, out: str) -> None:
    """Put a page at a path or URI, whole or not at all.

    Raises:
        OSError: it cannot be written there.
    """
    folder, _, name = (out if "://" in out else os.path.abspath(out)).rpartition("/")
    # broken text (lone surrogates) is shown as such, not a reason to have no page
    open_storage(folder or "/").write(name, page.encode("utf-8", "replace"))
