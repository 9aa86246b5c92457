"""The section of a recipe that says how distilled weights are calibrated."""

from __future__ import annotations

from pydantic import Field

from molgen.config.section import Section


class InputScaleConfig(Section):
    """Input scales of single calls (`molgen.calibrate.input_scale`).

    Attributes:
        n: Molecules per trial.
        rounds: How often each scale has its turn.
    """

    n: int = Field(1000, ge=1, le=100_000)
    rounds: int = Field(2, ge=1, le=100)


class DistanceHeadConfig(Section):
    """The distance head's logits (`molgen.calibrate.distance_head`).

    Attributes:
        n: Molecules whose last calls are learnt from.
        epochs: How often each is.
        lr: Learning rates of the bonds' and the atoms' layer.
        penalty: Of element counts that are off, at one call.
        penalty_power: It falls with this power of the number of calls.
    """

    n: int = Field(4000, ge=32, le=1_000_000)
    epochs: int = Field(4, ge=1, le=1000)
    lr: tuple[float, float] = (3e-4, 5e-5)
    penalty: float = Field(0.04, ge=0)
    penalty_power: float = Field(2.0, ge=0)


class LogitBiasConfig(Section):
    """Logit biases of single presets (`molgen.calibrate.logit_bias`).

    Attributes:
        n: Molecules per round.
        rounds: Rounds, each with other noise.
    """

    n: int = Field(500, ge=1, le=100_000)
    rounds: int = Field(8, ge=1, le=1000)


class RefineConfig(Section):
    """The learnt refinement (`molgen.calibrate.refine`).

    Attributes:
        layers: Layers.
        n: The model's own molecules to learn torsions from.
        n_real: Real molecules to learn lengths, angles and heights from, at most.
        steps: Steps of training.
        lr: Learning rates of AdamW and of Muon.
    """

    layers: int = Field(3, ge=1, le=16)
    n: int = Field(64_000, ge=64, le=10_000_000)
    n_real: int = Field(26_000, ge=1, le=10_000_000)
    steps: int = Field(20_000, ge=2, le=10_000_000)
    lr: tuple[float, float] = (2e-3, 5e-3)


class ElementBiasConfig(Section):
    """The decoder's element biases (`molgen.calibrate.element_bias`).

    Attributes:
        n: Molecules to decode.
        repeats: How often each is decoded.
    """

    n: int = Field(2000, ge=32, le=1_000_000)
    repeats: int = Field(8, ge=1, le=1000)


class CalibrateConfig(Section):
    """How distilled weights are calibrated, in this order.

    Attributes:
        seed: Of everything that is drawn; reports use other seeds.
        input_scale: First, since all that follows sees the scaled calls.
        distance_head: Logits of atoms and bonds from the last positions.
        logit_bias: Element shares and rings per molecule.
        refine: The refinement.
        element_bias: Last: of what is left to repair.
    """

    seed: int = Field(30_000, ge=0, lt=2**32)
    input_scale: InputScaleConfig = InputScaleConfig()
    distance_head: DistanceHeadConfig = DistanceHeadConfig()
    logit_bias: LogitBiasConfig = LogitBiasConfig()
    refine: RefineConfig = RefineConfig()
    element_bias: ElementBiasConfig = ElementBiasConfig()
