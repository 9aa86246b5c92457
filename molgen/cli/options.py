"""Options of commands: those of a request from its dataclass, and those of a command itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING
from typing import Annotated, Any

import typer

from molgen.option import Declared, options_of

_OUTPUT = "Output"


def takes(
    schema: type[Any], nested: dict[str, type[Any]] | None = None, **defaults: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a request, which it gets as its argument ``request``.

    Args:
        schema: Dataclass of the request (`molgen.option`).
        nested: Dataclasses among its fields, whose options are the command's, too.
        defaults: Values of options that have none, or another one, in the dataclass.
    """
    inner = nested or {}
    groups = {"": list(options_of(schema)), **{n: list(options_of(t)) for n, t in inner.items()}}
    shown = [one for group in groups.values() for one in group if one.option.cli]

    def request_of(given: dict[str, Any]) -> Any:
        values = {
            name: {one.name: _value(one, given) for one in group if one.option.cli}
            for name, group in groups.items()
        }
        parts = {name: kind(**values[name]) for name, kind in inner.items()}
        return schema(**values[""], **parts)

    def wrap(command: Callable[..., None]) -> Callable[..., None]:
        own = [
            one
            for one in inspect.signature(command, eval_str=True).parameters.values()
            if one.name != "request"
        ]
        parameters = own + [_parameter(one, defaults) for one in shown]

        def called(**given: Any) -> None:
            command(request=request_of(given), **{one.name: given[one.name] for one in own})

        called.__name__, called.__doc__ = command.__name__, command.__doc__
        keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
        called.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
        called.__annotations__ = {one.name: one.annotation for one in keyword}
        return called

    return wrap


def _value(one: Declared, given: dict[str, Any]) -> Any:
    """The value of an option, from text where it takes text."""
    value = given[one.name]
    return value if value is None or one.option.parse is None else one.option.parse(value)


def _parameter(one: Declared, defaults: dict[str, Any]) -> inspect.Parameter:
    """An option as Typer reads it."""
    option, kind = one.option, one.type if one.option.parse is None else str | None
    names = option.names or ((f"--{one.name.replace('_', '-')}",) if kind is bool else ())
    info = typer.Option(
        *names, help=option.help, metavar=option.metavar, rich_help_panel=option.panel
    )
    own = inspect.Parameter.empty if one.field.default is MISSING else one.field.default
    return inspect.Parameter(
        one.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=defaults.get(one.name, own),
        annotation=Annotated[kind, info],
    )


Model = Annotated[str, typer.Option(help="Name of a shipped model, or a .safetensors file.")]
SuitedModel = Annotated[
    str | None,
    typer.Option(
        help="Name of a shipped model, or a .safetensors file; unset, the shipped model "
        "that suits the request."
    ),
]
Out = Annotated[
    str,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        rich_help_panel=_OUTPUT,
        help=".sdf, .sdf.gz, .smi or .xyz; - writes SDF to stdout.",
    ),
]
Json = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", rich_help_panel=_OUTPUT, help="Write the numbers; - for stdout."
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", rich_help_panel=_OUTPUT, help="Complete a killed run.")
]
Force = Annotated[
    bool, typer.Option("--force", rich_help_panel=_OUTPUT, help="Replace existing output.")
]
Metrics = Annotated[
    bool, typer.Option("--metrics/--no-metrics", rich_help_panel=_OUTPUT, help="Check the result.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", rich_help_panel=_OUTPUT, help="No bar, no table.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Given = Annotated[
    str,
    typer.Argument(metavar="FILE", help="3D molecules with all hydrogens: .sdf, .sdf.gz or .xyz."),
]
