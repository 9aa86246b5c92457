"""Writes the reference of the command line from the commands themselves."""

from __future__ import annotations

from typing import Any

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

from molgen.cli.app import app

MARKER = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the help of every command where a page asks for it."""
    if MARKER not in markdown:
        return markdown
    command = get_command(app)
    context = typer.Context(command, info_name="molgen")
    text = get_docs_for_click(obj=command, ctx=context, name="molgen", indent=1)
    return markdown.replace(MARKER, text.replace("$ molgen", "molgen"))
