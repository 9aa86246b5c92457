from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from molgen.calibrate.context import Context
from molgen.config.calibrate import CalibrateConfig
from molgen.data.store import MoleculeStore

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"

SMALL: dict[str, Any] = {
    "input_scale": {"n": 24, "rounds": 1},
    "distance_head": {"n": 64, "epochs": 1},
    "logit_bias": {"n": 32, "rounds": 1},
    "refine": {"n": 64, "n_real": 64, "steps": 20, "layers": 2},
    "element_bias": {"n": 96, "repeats": 8},
}
"""A calibration of seconds."""


@pytest.fixture(scope="session")
def context() -> Callable[..., Context]:
    store = MoleculeStore.open(SAMPLE)

    def make(*steps: int, **sections: Any) -> Context:
        config = CalibrateConfig.model_validate({**SMALL, **sections})
        return Context(config, store, steps)

    return make
