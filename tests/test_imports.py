"""What each entry point loads: read from sys.modules of a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "rdkit", "numpy", "scipy", "safetensors"}
NEVER_WHILE_SAMPLING = {
    "pytorch_lightning", "torch_geometric", "pandas", "matplotlib", "torchmetrics", "e3nn", "ase",
    "openbabel", "diffusers",
}  # fmt: skip
NEVER_WHILE_TRAINING = {"rdkit", "openbabel", "ase", "torch_geometric", "diffusers"}


def all_modules_after(code: str) -> set[str]:
    """Modules that are loaded once ``code`` has run, by their full names."""
    script = f"import sys\n{code}\nsys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def modules_after(code: str) -> set[str]:
    """Packages that are loaded once ``code`` has run."""
    return {name.partition(".")[0] for name in all_modules_after(code)}


@pytest.mark.parametrize(
    "code",
    [
        "import molgen",
        "from molgen.cli import run\nassert run(['--help']) == 0",
        "from molgen.cli import run\nassert run(['sample', '--help']) == 0",
        "from molgen.cli import run\nassert run(['images', 'sample', '--help']) == 0",
        "from molgen.cli import run\nassert run(['models']) == 0",
        "from molgen.cli import run\nassert run(['--version']) == 0",
    ],
)
def test_the_front_door_is_light(code: str) -> None:
    assert not modules_after(code) & HEAVY


def test_sampling_loads_neither_training_nor_plotting() -> None:
    code = """
import pkgutil, importlib
import molgen.api, molgen.checkpoint, molgen.sampling, molgen.metrics
for package in (molgen.sampling, molgen.metrics):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
"""
    loaded = modules_after(code)
    assert {"torch", "rdkit"} <= loaded
    assert not loaded & NEVER_WHILE_SAMPLING


def test_training_needs_no_chemistry_package() -> None:
    loaded = modules_after("import molgen.train.run")
    assert "pytorch_lightning" in loaded
    assert not loaded & NEVER_WHILE_TRAINING


def test_public_names_are_lazy_and_listed() -> None:
    code = """
import molgen
assert {"load", "Generator", "evaluate", "to_ase", "__version__"} <= set(dir(molgen))
assert not hasattr(molgen, "no_such_name")
assert "molgen.api" not in sys.modules
molgen.load
assert "molgen.api" in sys.modules
"""
    modules_after(code)


def test_sampling_loads_of_the_flow_what_it_needs() -> None:
    loaded = all_modules_after("import molgen.api")
    assert {"molgen.flow.solvers", "molgen.flow.schedules"} <= loaded
    assert not loaded & {
        "molgen.flow.extra", "molgen.flow.fit", "molgen.tasks.mixture", "molgen.flow.objective",
        "molgen.flow.weighting", "molgen.train",
    }  # fmt: skip


def test_loading_weights_starts_no_compiler() -> None:
    loaded = all_modules_after("import molgen\nmolgen.load(device='cpu')")
    assert not loaded & {"torch._dynamo", "sympy"}


def test_sampling_loads_no_force_field() -> None:
    assert "molgen.chem.force_field" not in all_modules_after("import molgen.api")


def test_names_of_the_flow_load_on_first_use() -> None:
    code = """
import molgen.flow
assert not [name for name in sys.modules if name.startswith("molgen.flow.")]
assert "torch" not in sys.modules
from molgen.flow import TimeGrid
assert TimeGrid is sys.modules["molgen.flow.grid"].TimeGrid
assert "molgen.flow.solvers" not in sys.modules
assert not hasattr(molgen.flow, "no_such_name")
for name in molgen.flow.__all__:
    getattr(molgen.flow, name)
from molgen.flow import ddim_invert, pyramid
assert callable(ddim_invert) and callable(pyramid)
"""
    assert "molgen.flow.solvers" in all_modules_after(code)
