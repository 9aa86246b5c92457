"""Each notebook is the script beside it, run."""

from __future__ import annotations

from pathlib import Path

import jupytext
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_notebook_is_its_script(path: Path) -> None:
    script, notebook = (jupytext.read(path.with_suffix(one)) for one in (".py", ".ipynb"))
    cells = [[(one.cell_type, one.source) for one in each.cells] for each in (script, notebook)]
    assert cells[0] == cells[1]
    code = [one for one in notebook.cells if one.cell_type == "code"]
    assert all(one.execution_count for one in code), f"jupytext --to ipynb --execute {path}"
    assert not [out for one in code for out in one.outputs if out.output_type == "error"]
