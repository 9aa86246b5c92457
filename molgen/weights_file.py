"""Weights in safetensors with everything else in the header: no pickle, no torch to read it.

This file knows tensors and headers; what a header says of its domain is `Header`'s subclasses' to
know: `molgen.models.info`, `molgen.images.info`, `molgen.baselines.checkpoint`.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

from molgen.errors import CheckpointError, UsageError
from molgen.one_move import in_one_move

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

FORMAT = 1
KEY = "molgen"
MOLECULES = "molecules"
"""The domain of files that name none."""

MAX_HEADER = 100_000_000
"""Longest header that the safetensors format allows, bytes."""

_AGAIN = "copy or train the file again"


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
        name: Name of the model.
        config: The recipe it was trained with.
        training: Steps, examples, seconds, hardware: how the weights came about.
    """

    domain: ClassVar[str]

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
    with in_one_move(path) as partial:
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

    Args:
        path: The file, whose header has been read.
        build: Makes the network of its recipe, with any weights.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        CheckpointError: The weights are not those of the recipe's network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from molgen.device import keep_freed_memory, pick_device

    keep_freed_memory()
    network = build()
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} does not fit its own recipe: {reason}") from None
    return network.to(pick_device(device)).eval()


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
        return kind.from_dict(tree, str(path))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} has a damaged header ({error!r})", _AGAIN) from None


def read_tree(path: Path) -> dict[str, Any]:
    """What a file of any domain says of itself, not yet checked; needs no torch.

    Raises:
        CheckpointError: The file is missing, truncated, or not a molgen model.
    """
    header = _safetensors_header(path)
    try:
        tree: dict[str, Any] = json.loads(header["__metadata__"][KEY])
        version = tree["format"]
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"{path} holds no molgen model", "train one with molgen train"
        ) from None
    if version != FORMAT:
        raise CheckpointError(f"{path} has format {version}, this version reads {FORMAT}")
    return tree


def domain_of(tree: Mapping[str, Any]) -> str:
    """What the model of a header makes."""
    return tree.get("domain", MOLECULES)


def _safetensors_header(path: Path) -> dict[str, Any]:
    """The format's own header, checked against the file's length."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else MAX_HEADER
            text = file.read(length) if length < MAX_HEADER else b""
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
    try:
        header: dict[str, Any] = json.loads(text)
        ends = [spec["data_offsets"][1] for name, spec in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{path} is not a safetensors file", _AGAIN) from None
    if size < 8 + length + max(ends, default=0):
        raise CheckpointError(f"{path} is truncated at {size} bytes", _AGAIN)
    return header
