"""An option, declared once: as an annotated field of a frozen dataclass.

The dataclass is the schema. Its constructor gives the keyword arguments of the Python interface
(`molgen.api`), its annotations those of the command line (`molgen.cli.options`), and the fields
that decide the molecules give the fingerprint of a run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import Field, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


@dataclass(frozen=True)
class Option:
    """What is said of a field in its annotation.

    Attributes:
        help: What it is, in one or two sentences.
        metavar: How its value is shown in the help of the command line.
        panel: Heading of its group there.
        names: Its names there, where they do not follow from the field's.
        parse: From text to the value, where the command line takes text.
        cli: Whether the command line has it.
        decides: Whether the molecules depend on it.
    """

    help: str
    metavar: str | None = None
    panel: str | None = None
    names: tuple[str, ...] = ()
    parse: Callable[[str], Any] | None = None
    cli: bool = True
    decides: bool = True


@dataclass(frozen=True)
class Declared:
    """A field with what is said of it.

    Attributes:
        field: The field.
        type: Its type.
        option: What is said of it.
    """

    field: Field[Any]
    type: Any
    option: Option

    @property
    def name(self) -> str:
        """Its name."""
        return self.field.name


def options_of(schema: type[DataclassInstance]) -> Iterator[Declared]:
    """The options that a dataclass declares; those of a dataclass among its fields are not."""
    module = vars(sys.modules[schema.__module__])
    for one in fields(schema):
        kind = eval(one.type, module) if isinstance(one.type, str) else one.type  # noqa: S307
        if get_origin(kind) is Annotated:
            bare, option = get_args(kind)
            yield Declared(one, bare, option)


def documented(schema: type[T]) -> type[T]:
    """A dataclass whose docstring lists its options."""
    if schema.__doc__ and is_dataclass(schema):
        lines = (f"    {one.name}: {one.option.help}" for one in options_of(schema))
        schema.__doc__ = "\n".join([schema.__doc__.rstrip(), "", "Attributes:", *lines])
    return schema


def deciding(request: DataclassInstance) -> dict[str, Any]:
    """The options that decide the molecules, by name."""
    return {
        one.name: getattr(request, one.name)
        for one in options_of(type(request))
        if one.option.decides
    }
