"""One optimiser for Lightning: Muon for the blocks' matrices, AdamW for everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer

from molgen.config import OptimConfig
from molgen.train.muon import StackedMuon


class Together(Optimizer):
    """Several optimisers that step as one.

    Args:
        parts: Optimisers over disjoint parameters.
    """

    def __init__(self, *parts: Optimizer) -> None:
        self.parts = parts
        super().__init__([p for part in parts for g in part.param_groups for p in g["params"]], {})
        # The groups are shared, not copied, so that a scheduler's change reaches the parts.
        self.param_groups = [group for part in parts for group in part.param_groups]
        self.peak_rates = tuple(float(group["lr"]) for group in self.param_groups)

    def scale_rates(self, factor: float) -> None:
        """Set every learning rate to a fraction of the one that its part was built with."""
        for group, peak in zip(self.param_groups, self.peak_rates, strict=True):
            group["lr"] = peak * factor

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Evaluate the closure, then let every part step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all parts."""
        for part in self.parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """State of every part, in order."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore every part, and share its new groups; peak rates stay this run's own."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def build_optimiser(
    model: nn.Module, config: OptimConfig, beside: nn.Module | None = None
) -> Together:
    """The optimiser of a recipe, at its peak learning rates.

    Muon (Jordan et al. 2024) orthogonalises the update of a matrix; it is meant for hidden
    matrices, so embeddings, heads, modulations, biases and norms stay with AdamW. On a GPU both
    take many parameters per kernel.

    Args:
        model: What is trained.
        config: The recipe's section.
        beside: Weights of the loss that are learned too, without decay; None if there are none.
    """
    hidden = _hidden_matrices(model) if config.kind == "muon" else []
    chosen = {id(parameter) for parameter in hidden}
    others = [p for p in model.parameters() if id(p) not in chosen]
    decayed = [p for p in others if p.ndim >= 2]
    plain = [p for p in others if p.ndim < 2]
    plain += [] if beside is None else list(beside.parameters())
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    is_on_gpu = all(parameter.is_cuda for parameter in model.parameters())
    fused = True if is_on_gpu else None
    parts: list[Optimizer] = [AdamW(groups, lr=config.lr, betas=(0.9, 0.99), fused=fused)]
    if hidden:
        kind = StackedMuon if is_on_gpu else Muon
        parts.append(kind(hidden, lr=config.muon_lr, weight_decay=config.weight_decay))
    return Together(*parts)


def _hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    return [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.ndim == 2 and _is_hidden(name)
    ]


def _is_hidden(name: str) -> bool:
    if "blocks." in name:
        return "modulation" not in name
    return name.endswith(("distances.of_pair.weight", "distances.middle.weight"))
