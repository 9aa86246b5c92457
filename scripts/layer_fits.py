"""What scripts share that teach layers by themselves, on weights that stay as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from molgen.checkpoint import LoadedModel
from molgen.models.build import build, start_from
from molgen.models.denovo import DeNovo
from molgen.models.info import ModelInfo


@dataclass(frozen=True)
class Pupil:
    """A model with the layers that are to be taught.

    Attributes:
        model: Without gradients yet.
        info: What its file will say of it.
        has_layers: Whether it had such layers before, and goes on with them.
    """

    model: DeNovo
    info: ModelInfo
    has_layers: bool


def pupil_of(loaded: LoadedModel, setting: str, part: str, n_layers: int) -> Pupil:
    """A copy of a model with layers; the model itself loses those that it has.

    Args:
        loaded: The model, which draws what is learned from.
        setting: Name of their number in the recipe.
        part: Their name in the network.
        n_layers: Their number.
    """
    config = loaded.info.config
    section = config.model.model_copy(update={setting: n_layers})
    info = replace(loaded.info, config=config.model_copy(update={"model": section}))
    model = build(info.config, info.max_atoms).eval().requires_grad_(requires_grad=False)
    has_layers = getattr(config.model, setting) == n_layers
    if has_layers:
        model.load_state_dict(loaded.model.state_dict())
    setattr(loaded.model.network, part, None)
    if not has_layers:
        start_from(model, loaded.model)
    return Pupil(model, info, has_layers)


def rate_at(step: int, n_steps: int, warmup: int, decay_from: float) -> float:
    """Share of the highest rate: up in ``warmup`` steps, down to zero from a share of all on."""
    return min(1.0, (step + 1) / warmup, (1 - step / n_steps) / (1 - decay_from))
