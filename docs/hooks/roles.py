"""Takes Sphinx roles off names in docstrings, which Markdown would print."""

from __future__ import annotations

import re
from typing import Any

ROLE = re.compile(r":(?:attr|class|func|meth|mod):(?=<code>)")


def on_page_content(html: str, **_: Any) -> str:
    """Leave the name that a role marks."""
    return ROLE.sub("", html)
