"""From YAML and overrides to a recipe, and how a mistake in it is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from molgen.config.levels import NoiseLevels, Rows
from molgen.config.networks import Networks
from molgen.config.parts import CouplingParts, WeightingParts
from molgen.config.recipe import Config
from molgen.config.section import Section
from molgen.config.strict_yaml import MAX_LENGTH, read_yaml
from molgen.did_you_mean import nearest
from molgen.errors import ConfigError
from molgen.regular_file import open_regular

KINDS: dict[str, Any] = {
    section.model_fields["kind"].default: section
    for union in (NoiseLevels, Rows, CouplingParts, WeightingParts, Networks)
    for section in get_args(get_args(union)[0])
}
"""Sections that are told apart by their ``kind``."""

SchemaT = TypeVar("SchemaT", bound=Section)


def shorten(text: str, length: int = 120) -> str:
    """A text for a line of an error message."""
    return text if len(text) <= length else f"{text[:length]}..."


def _override(tree: dict[str, Any], assignment: str) -> None:
    """Set ``a.b=value`` in a nested dict; the value is read as YAML."""
    path, found, text = assignment.partition("=")
    if not found or not path:
        raise ConfigError(
            f"--set {assignment!r} is not key=value", "write e.g. --set optim.lr=1e-4"
        )
    *parents, leaf = path.strip().split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {assignment!r}: {parent!r} holds a value, not a section")
    try:
        tree[leaf] = _number(read_yaml(text))
    except ValueError as error:
        shown = shorten(repr(assignment))
        raise ConfigError(f"--set {shown}: not a YAML value: {error}") from None


def _number(value: Any) -> Any:
    """YAML 1.1 reads ``1e-4`` as text; people mean a number."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _keys_at(schema: type[Section], path: Sequence[str | int]) -> list[str]:
    """Known keys of the section that holds the last element of an error path."""
    model: Any = schema
    for part in path[:-1]:
        if part in KINDS:
            model = KINDS[str(part)]
        elif isinstance(part, str):
            field = getattr(model, "model_fields", {}).get(part)
            # Beside sections there are mappings from names to sections.
            model = field.annotation if field else (get_args(model) or (None,))[-1]
    return list(getattr(model, "model_fields", {}))


def _explain(error: ValidationError, schema: type[Section], origin: str) -> ConfigError:
    first = error.errors()[0]
    path = list(first["loc"])
    where = ".".join(str(part) for part in path if part not in KINDS) or "top level"
    if first["type"] == "extra_forbidden":
        known = _keys_at(schema, path)
        guess = nearest(str(path[-1]), known)
        hint = f"Did you mean {guess!r}?" if guess else f"Known keys: {', '.join(known)}"
        return ConfigError(f"{origin}: unknown key {shorten(where)!r}", hint)
    got = shorten(repr(first.get("input")))
    return ConfigError(f"{origin}: {shorten(where)}: {first['msg'].lower()}", f"got {got}")


def validated(schema: type[SchemaT], tree: dict[str, Any], origin: str) -> SchemaT:
    """Read a nested dict by the schema of its domain.

    Raises:
        ConfigError: An unknown key or a value out of range; names its path.
    """
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, schema, origin) from None


def parse_config(tree: dict[str, Any], origin: str = "config") -> Config:
    """Validate a nested dict as a recipe of molecules.

    Raises:
        ConfigError: An unknown key or a value out of range; names its path.
    """
    return validated(Config, tree, origin)


def with_overrides(section: SchemaT, overrides: Sequence[str]) -> SchemaT:
    """A section with some of its values changed.

    Args:
        section: The section.
        overrides: Assignments such as ``logit_bias.n=100``, applied in order.

    Raises:
        ConfigError: An unknown key or a value out of range; names its path.
    """
    tree = section.model_dump(mode="json")
    for assignment in overrides:
        _override(tree, assignment)
    return validated(type(section), tree, "--set")


def recipes() -> dict[str, Path]:
    """The shipped recipes by name; in a checkout they lie beside the package."""
    package = Path(__file__).parents[1]
    folders = (package / "configs", package.parent / "configs")
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.yaml"))}


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML recipe of molecules; see `load_tree`.

    Raises:
        ConfigError: The file is missing, is not YAML, or does not fit the schema.
    """
    return parse_config(load_tree(path, overrides), str(path))


def load_tree(path: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a YAML recipe of any domain, not yet checked against a schema.

    Args:
        path: YAML file, or the name of a shipped recipe.
        overrides: Assignments such as ``optim.lr=1e-4``, applied in order.

    Raises:
        ConfigError: The file is missing or is not YAML, or an override says nothing.
    """
    shipped = recipes()
    file = shipped.get(str(path), Path(path))
    try:
        with open_regular(file) as opened:
            text = opened.read(4 * MAX_LENGTH).decode()
    except FileNotFoundError:
        known = ", ".join(shipped)
        raise ConfigError(f"no config file {str(path)!r}", f"Shipped recipes: {known}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error}") from None
    try:
        tree = read_yaml(text) or {}
    except ValueError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected sections such as 'model:' and 'train:'")
    for assignment in overrides:
        _override(tree, assignment)
    return tree
