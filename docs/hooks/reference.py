"""Writes the references of the command line and of a request from their declarations."""

from __future__ import annotations

import re
from dataclasses import MISSING
from importlib import import_module
from typing import Any

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

from molgen.cli.app import app
from molgen.option import Declared, options_of

COMMANDS = "<!-- commands -->"
ARGUMENTS = re.compile(r"<!-- arguments of ([\w.]+)\.(\w+) -->")
LISTS = re.compile(r"\*\*Commands\*\*:\n\n(?:\* .*\n)+\n*")
"""Lists of a group's commands, cut short in mid-sentence; the headings below name all of them."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put what is declared where a page asks for it."""
    markdown = ARGUMENTS.sub(_arguments, markdown)
    return markdown.replace(COMMANDS, _commands()) if COMMANDS in markdown else markdown


def _commands() -> str:
    command = get_command(app)
    context = typer.Context(command, info_name="molgen")
    text = get_docs_for_click(obj=command, ctx=context, name="molgen", indent=1)
    return LISTS.sub("", text).replace("$ molgen", "molgen")


def _arguments(match: re.Match[str]) -> str:
    schema = getattr(import_module(match[1]), match[2])
    rows = [_row(one) for one in options_of(schema)]
    return "\n".join(["| argument | default | what it is |", "| --- | --- | --- |", *rows])


def _row(one: Declared) -> str:
    default = "required" if one.field.default is MISSING else f"`{one.field.default!r}`"
    text = one.option.help.replace("|", "\\|").replace("\n", " ")
    return f"| `{one.name}` | {default} | {text} |"
