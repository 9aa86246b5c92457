"""The README's commands are the ones that CI runs, and its code runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def blocks(language: str) -> list[str]:
    """The fenced code blocks of one language in README.md."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
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
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})  # noqa: S102
