"""From a recipe to a model."""

from __future__ import annotations

from molgen.chem.elements import N_BOND_CLASSES, Vocabulary
from molgen.config import Config
from molgen.errors import UsageError
from molgen.models.denovo import DeNovo, Scales
from molgen.models.valences import allowed_counts
from molgen.nn.block import NetworkDims
from molgen.nn.network import EquivariantTransformer, NetworkSpec
from molgen.nn.valence_bp import ValenceBP

_NEW = ("network.noise_end.", "network.distances.", "network.refine.")
"""Parts that weights may lack: they change nothing until they are trained, or are so afterwards."""


def build(config: Config, max_atoms: int) -> DeNovo:
    """Build the model of a recipe with fresh weights.

    Args:
        config: The recipe.
        max_atoms: Largest molecule of the training data.
    """
    model, vocabulary = config.model, Vocabulary.of(config.data.dataset)
    sizes = NetworkSpec(
        n_elements=vocabulary.n_elements,
        n_charges=vocabulary.n_charges,
        n_bonds=N_BOND_CLASSES,
        n_layers=model.n_layers,
        n_radial=model.n_radial,
        cutoff=model.cutoff / model.pos_scale,
        lam_min=config.lam_min,
        lam_max=config.lam_max,
        max_atoms=max_atoms,
        step_size_cond=model.step_size_cond,
        smacof_iterations=model.smacof_iterations,
        refine_layers=model.refine_layers,
    )
    network = EquivariantTransformer(sizes, NetworkDims(**model.dims.model_dump()))
    scales = Scales(model.pos_scale, model.element_scale, model.element_lead)
    if not model.valence_bp_rounds:
        return DeNovo(network, scales)
    return DeNovo(network, scales, ValenceBP(allowed_counts(vocabulary), model.valence_bp_rounds))


def start_from(model: DeNovo, other: DeNovo) -> None:
    """Take over the weights of another model.

    A model that is told where its steps end may start from one that is not: it begins by not
    listening. One that believes in distances may start from one that does not: it begins by
    believing in those of its positions. One that refines molecules has that to learn.

    Raises:
        UsageError: The two have other shapes.
    """
    hint = "Take the model section of the recipe from those weights (molgen models --json)"
    try:
        missing, unknown = model.load_state_dict(other.state_dict(), strict=False)
    except RuntimeError:
        raise UsageError("the weights to start from have other sizes", hint) from None
    if unknown or any(not name.startswith(_NEW) for name in missing):
        raise UsageError("the weights to start from are of another network", hint)
