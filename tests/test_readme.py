"""The README's commands are the ones that CI runs, and its code runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from molgen.config import parse_config
from molgen.config.reading import KINDS

ROOT = Path(__file__).resolve().parents[1]


def blocks(language: str, page: str = "README.md") -> list[str]:
    """The fenced code blocks of one language in a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(block: str) -> list[str]:
    """Single commands of a shell block, comments left out."""
    lines = [line.partition(" #")[0].strip() for line in block.splitlines()]
    return [part.strip() for line in lines if line for part in line.split("&&")]


def test_the_test_command_is_the_one_of_ci() -> None:
    [block] = [block for block in blocks("bash") if "pytest" in block]
    ci = [
        line.removeprefix("step ")
        for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
        if line.startswith("step ")
    ]
    assert commands(block)[-1] == "pytest"
    assert set(commands(block)) <= set(ci)


def test_the_main_job_is_the_first_command() -> None:
    assert commands(blocks("bash")[0]) == [
        "pip install -c constraints.txt .",
        "molgen sample --steps 4 --n 1000 --out molecules.sdf",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("code", blocks("python"))
def test_python_blocks_run(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if "molgen.dock" in code:
        pytest.importorskip("vina")
        for name, fixture in (("receptor.pdb", "1of6_pocket.pdb"), ("crystal.sdf", "tyrosine.sdf")):
            shutil.copy(ROOT / "tests" / "fixtures" / "docking" / fixture, name)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})  # noqa: S102


def test_the_core_is_used_and_extended_as_its_page_says() -> None:
    use, extend = blocks("python", "docs/flow.md")
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(use, "docs/flow.md", "exec"), names)  # noqa: S102
    assert names["x"].std().item() == pytest.approx(0.5, abs=0.02)
    exec(compile(extend, "docs/flow.md", "exec"), names)  # noqa: S102
    schedule = names["Halving"]()
    t = torch.tensor([0.1, 0.9], dtype=torch.float64)
    torch.testing.assert_close(schedule.t_of_lam(schedule.lam(t)), t)


def test_the_recipe_of_the_docs_is_one_and_names_every_kind() -> None:
    (text,) = blocks("yaml", "docs/recipes.md")
    assert parse_config(yaml.safe_load(text)).rows.kind == "completion"
    page = (ROOT / "docs" / "recipes.md").read_text()
    assert [kind for kind in KINDS if f"`{kind}`" not in page] == []
