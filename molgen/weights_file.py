"""Weights in safetensors with everything else in the header: no pickle, no torch to read it.

This file knows tensors and headers; what a header says of its domain is `Header`'s subclasses' to
know: `molgen.models.info`, `molgen.images.info`, `molgen.baselines.checkpoint`.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    Protocol,
    Self,
    TypeVar,
)

from pydantic import Field, ValidationError

from molgen.atomic import atomic_path
from molgen.config import Finite, Section
from molgen.errors import CheckpointError, UsageError
from molgen.tensor_file import TensorSpec, digest, read_tensor_file, strict_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

FORMAT = 1
KEY = "molgen"
MOLECULES = "molecules"
"""The domain of files that name none."""

__all__ = [
    "Header", "HeaderSchema", "digest", "domain_of", "load_network", "read_header", "read_tree",
    "save_network", "write",
]  # fmt: skip

_AGAIN = "copy or train the file again"
_PER_BYTE, _SPARE = 4, 1 << 26
"""Bytes that a network may take per byte of its file (half precision needs 2), and beside them."""

_FLOATS = ("F64", "F32", "F16", "BF16")

Text = Annotated[str, Field(max_length=1000)]


class HeaderSchema(Section):
    """What every header holds, with the bounds of each field; a domain adds its own.

    Attributes:
        format: Version of the form.
        domain: What such models make.
        name: Name of the model.
        config: The recipe, whose own schema `Header.from_dict` applies.
        training: How the weights came about.
    """

    format: Literal[1]
    domain: Text = MOLECULES
    name: Text
    config: dict[str, Any]
    training: Annotated[dict[Text, Finite | Text | None], Field(max_length=100)]


class Recipe(Protocol):
    """What a model was trained with."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Plain form."""


RecipeT = TypeVar("RecipeT", bound=Recipe)
HeaderT = TypeVar("HeaderT", bound="Header[Any]")
NetworkT = TypeVar("NetworkT", bound="nn.Module")


@dataclass(frozen=True)
class Header(ABC, Generic[RecipeT]):
    """Everything about a model but its weights; plain data, so it reads without torch.

    Attributes:
        domain: What such models make.
        schema: What their headers hold, with bounds.
        name: Name of the model.
        config: The recipe it was trained with.
        training: Steps, examples, seconds, hardware: how the weights came about.
    """

    domain: ClassVar[str]
    schema: ClassVar[type[HeaderSchema]]

    name: str
    config: RecipeT
    training: dict[str, Any] = field(default_factory=dict, kw_only=True)

    def trained(self, **facts: Any) -> Self:
        """A copy with more facts about its training."""
        return replace(self, training={**self.training, **facts})

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        domain = {} if self.domain == MOLECULES else {"domain": self.domain}
        return {
            "format": FORMAT,
            **domain,
            "name": self.name,
            "config": self.config.model_dump(mode="json"),
            "training": self.training,
        }

    @classmethod
    @abstractmethod
    def from_dict(cls, tree: dict[str, Any], origin: str) -> Self:
        """From the JSON form.

        Raises:
            KeyError: A part is missing.
            ConfigError: The recipe does not fit this version's schema.
        """


def write(path: Path, tensors: Mapping[str, Tensor], tree: Mapping[str, Any]) -> None:
    """Write tensors and header in one move: a kill leaves the old file or the new one."""
    from safetensors.torch import save

    # Not safetensors' save_file: it makes files that only their owner may read.
    content = save(dict(tensors), metadata={KEY: json.dumps(tree)})
    with atomic_path(path) as partial:
        partial.write_bytes(content)


def save_network(
    path: Path, network: nn.Module, header: Header[Any], dtype: torch.dtype | None = None
) -> None:
    """Write the weights of a network with their header, in one move.

    Args:
        path: The file; an existing one is replaced.
        network: The network, on any device.
        header: What the file says of it.
        dtype: What numbers are rounded to; None leaves them as they are.
    """
    tensors = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in network.state_dict().items()
    }
    write(path, tensors, header.to_dict())


def digest_of(network: nn.Module, header: Header[Any]) -> str:
    """Sixteen hex digits of all numbers of a network and of what is said of it."""
    import torch

    state = hashlib.blake2b(json.dumps(header.to_dict(), sort_keys=True).encode(), digest_size=8)
    for name, tensor in sorted(network.state_dict().items()):
        if isinstance(tensor, torch.Tensor):
            state.update(name.encode() + b"\0")
            state.update(
                tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
            )
    return state.hexdigest()


def load_network(path: Path, build: Callable[[], NetworkT], device: str) -> NetworkT:
    """The network of a file, in evaluation mode.

    The network may take no more memory than its file explains, and is compared with the file's
    header before any tensor is read.

    Args:
        path: The file, whose header has been read.
        build: Makes the network of its recipe, with any weights.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        CheckpointError: The weights are not those of the recipe's network, or not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from molgen.device import keep_freed_memory, pick_device
    from molgen.memory_budget import MemoryBudget

    keep_freed_memory()
    where = pick_device(device)
    try:
        with MemoryBudget(_PER_BYTE * path.stat().st_size + _SPARE):
            network = build()
        _compare(network.state_dict(), read_tensor_file(path).tensors)
        state = load_file(path)
        network.load_state_dict(state)
    except (SafetensorError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} does not fit its own recipe: {reason}") from None
    broken = [name for name, tensor in state.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise CheckpointError(f"{path}: {broken[0]} has numbers that are not finite", _AGAIN)
    return network.to(where).eval()


def _compare(wanted: Mapping[str, Tensor], given: Mapping[str, TensorSpec]) -> None:
    """Compare what a network needs with what a file holds.

    Raises:
        ValueError: A tensor is missing, unknown, or of another shape or kind.
    """
    for name in sorted(wanted.keys() ^ given.keys()):
        raise ValueError(f"{name} is {'missing' if name in wanted else 'unknown'}")
    for name, tensor in wanted.items():
        spec = given[name]
        if tuple(tensor.shape) != spec.shape:
            raise ValueError(f"{name} has shape {spec.shape}, not {tuple(tensor.shape)}")
        if tensor.is_floating_point() != (spec.dtype in _FLOATS):
            raise ValueError(f"{name} has type {spec.dtype}")


def read_header(
    path: Path, kind: type[HeaderT], mistaken: Callable[[Path, str], UsageError]
) -> HeaderT:
    """What a file of one domain says of itself; needs no torch.

    Args:
        path: The file.
        kind: What its header should be.
        mistaken: What to say of a file of another domain.

    Raises:
        UsageError: It is of another domain.
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    tree = read_tree(path)
    domain = domain_of(tree)
    if domain != kind.domain:
        raise mistaken(path, domain)
    try:
        checked = kind.schema.model_validate(tree).model_dump(mode="json", exclude_unset=True)
        return kind.from_dict(checked, str(path))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))[:80]
        reason = f"{where}: {fault['msg'].lower()}"
    except UsageError as error:
        reason = error.message.removeprefix(f"{path}: ")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = repr(error)[:200]
    raise CheckpointError(f"{path} has a damaged header ({reason})", _AGAIN)


def read_tree(path: Path) -> dict[str, Any]:
    """What a file of any domain says of itself, not yet checked; needs no torch.

    Raises:
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    metadata = read_tensor_file(path).metadata
    try:
        tree: dict[str, Any] = strict_json(metadata[KEY])
        version = tree["format"]
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"{path} holds no molgen model", "train one with molgen train"
        ) from None
    if version != FORMAT:
        shown = repr(version)[:20]
        raise CheckpointError(f"{path} has format {shown}, this version reads {FORMAT}")
    if not isinstance(tree.get("domain", MOLECULES), str):
        raise CheckpointError(f"{path} has a damaged header (domain is no text)", _AGAIN)
    return tree


def domain_of(tree: Mapping[str, Any]) -> str:
    """What the model of a header makes."""
    return " ".join(str(tree.get("domain", MOLECULES)).split())[:80]
