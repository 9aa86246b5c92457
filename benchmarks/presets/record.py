"""Remember measurements of a model, so that a killed search goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn


class Measured:
    """What was measured before, in a file of one JSON object per line.

    Args:
        path: The file; it need not exist.
        model: Digest of the weights that the measurements belong to.
    """

    def __init__(self, path: Path, model: str) -> None:
        self.path, self.model = path, model
        lines = path.read_text().splitlines() if path.exists() else []
        rows = [json.loads(line) for line in lines if line.endswith("}")]
        self.known = {row["key"]: row["value"] for row in rows}

    def has(self, key: list[Any]) -> bool:
        """Whether ``key`` is known."""
        return json.dumps([self.model, *key], sort_keys=True) in self.known

    def get(self, key: list[Any], make: Callable[[], Any]) -> Any:
        """The value of ``key``, made if it is not known."""
        name = json.dumps([self.model, *key], sort_keys=True)
        if name not in self.known:
            self.known[name] = value = make()
            with self.path.open("a") as file:
                file.write(json.dumps({"key": name, "value": value}) + "\n")
        return self.known[name]


def digest(network: nn.Module) -> str:
    """Digest of the weights without the header, which a search changes."""
    state = network.state_dict()
    content = b"".join(state[name].cpu().numpy().tobytes() for name in sorted(state))
    return hashlib.blake2b(content, digest_size=8).hexdigest()
