"""A limit to the tensors that are made of nothing: networks of sizes that somebody else wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode


class BudgetError(ValueError):
    """What is built takes more memory than it may."""


class MemoryBudget(TorchFunctionMode):
    """While entered, refuses new tensors once all together are larger than allowed.

    A large tensor takes no memory until it is written to, and it is refused before that.

    Args:
        n_bytes: What is allowed.
    """

    def __init__(self, n_bytes: int) -> None:
        super().__init__()
        self.n_bytes = self.left = n_bytes

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation, and count what it makes if it takes no tensors.

        Raises:
            BudgetError: All tensors together are larger than allowed.
        """
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and not any(isinstance(one, Tensor) for one in args):
            self.left -= result.numel() * result.element_size()
        if self.left < 0:
            raise BudgetError(f"it takes more than {self.n_bytes / 1e6:.0f} MB of memory")
        return result
