"""Settings of the whole suite."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# One thread per process: test molecules are far too small for more to pay.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadline: the first example of a test may compile or import something.
settings.register_profile("molgen", deadline=None, max_examples=50)
settings.load_profile("molgen")

ROOT = Path(__file__).resolve().parents[1]

# A shell that starts us in the background has SIGINT ignored, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def sample_sdf() -> Path:
    """The small file of real molecules that the repository carries."""
    return ROOT / "data" / "sample.sdf"


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file that no training has touched: right in form, worthless in chemistry."""
    import torch

    from molgen.checkpoint import save_model
    from molgen.config import load_config
    from molgen.models.build import build
    from molgen.models.info import ModelInfo

    info = ModelInfo("tiny", load_config(ROOT / "configs" / "tiny.yaml"), (0,) * 5 + (1,) * 8)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_model(path, build(info.config, info.max_atoms), info)
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip ``gpu`` tests where there is no accelerator."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no GPU"))
