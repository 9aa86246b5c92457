"""YAML of somebody else: small, flat, without repeated keys, and no larger once aliases expand."""

from __future__ import annotations

from typing import Any, Final

import yaml

MAX_LENGTH: Final = 100_000
"""Characters; the largest shipped recipe has 3,000."""

MAX_NODES: Final = 10_000
"""Values of a document, those of an alias counted each time that it is used."""

MAX_DEPTH: Final = 20
"""Lists and mappings within one another."""


class _Loader(yaml.SafeLoader):
    """Plain values only, whose nesting is bounded while they are read."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} levels of nesting")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name[:40]!r} is given twice")
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> Any:
    """The value of a YAML document.

    Raises:
        ValueError: It is no YAML, or larger or deeper than any recipe; says so in one line.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"longer than {MAX_LENGTH} characters")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _expanded_size(node, {})
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())[:300]) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:  # PyYAML's own
        raise ValueError(
            f"a value is not of its type ({' '.join(str(error).split())[:100]})"
        ) from None


def _expanded_size(node: yaml.Node, sizes: dict[yaml.Node, int]) -> int:
    """Number of values once every alias is replaced by what it stands for.

    Raises:
        ValueError: More than `MAX_NODES`, or without end.
    """
    if node not in sizes:
        sizes[node] = MAX_NODES  # what contains itself
        value = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = [one for each in value for one in (each if isinstance(each, tuple) else (each,))]
        sizes[node] = 1 + sum(_expanded_size(part, sizes) for part in parts)
    if sizes[node] > MAX_NODES:
        raise ValueError(f"more than {MAX_NODES} values, or aliases that expand to so many")
    return sizes[node]
