"""The page of a file: whole, safe, and alive in a real browser without a network."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from molgen.cli import run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

HOSTILE = "</script><script>document.title='owned'</script>"


def embedded(smiles: str) -> Chem.Mol:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=2) == 0
    return mol


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of six records: four sound ones, a stretched one, an unreadable one."""
    folder = tmp_path_factory.mktemp("report")
    with Chem.SDWriter(str(folder / "in.sdf")) as writer:
        for name, smiles in [("b", "CCO"), ("a", "c1ccccc1O"), (HOSTILE, "CC(=O)N"), ("c", "CCO")]:
            mol = embedded(smiles)
            mol.SetProp("_Name", name)
            writer.write(mol)
        far = embedded("CCN")
        far.GetConformer().SetPositions(far.GetConformer().GetPositions() * 1.6)
        far.SetProp("_Name", "far")
        writer.write(far)
    (folder / "in.sdf").write_text((folder / "in.sdf").read_text() + "junk\n\n\nnope\n$$$$\n")
    words = ["evaluate", folder / "in.sdf", "--report", folder / "page.html"]
    words += ["--out", folder / "good.sdf", "--filter", "pass"]
    assert run([str(word) for word in words]) == 0
    return folder / "page.html"


def test_the_page_asks_for_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text)
    assert "@import" not in text
    assert HOSTILE not in text
    assert len(text) < 2_000_000


def test_records_that_pass_are_written_with_their_verdict(page: Path) -> None:
    mols = list(Chem.SDMolSupplier(str(page.with_name("good.sdf")), removeHs=False))
    assert [mol.GetProp("_Name") for mol in mols] == ["b", "a", HOSTILE, "c"]
    assert {mol.GetProp("molgen_pass") for mol in mols} == {"true"}


def dom(page: Path, state: str) -> str:
    """The page as a browser without a network has it, once it is at rest."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless=new", "--no-sandbox", "--enable-unsafe-swiftshader"),
            *("--use-angle=swiftshader", "--host-resolver-rules=MAP * ~NOTFOUND"),
            *("--virtual-time-budget=20000", "--enable-logging=stderr", "--dump-dom"),
            f"{page.as_uri()}#{state}",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    told = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not [line for line in told if "rror" in line or "Uncaught" in line], told
    return done.stdout


def titles(text: str) -> list[str]:
    body = text[text.index('id="records"') :].partition("</table>")[0]
    rows = re.findall(r"<tr tabindex=.*?</tr>", body, re.DOTALL)
    return [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)[1] for row in rows]


@needs_browser
@pytest.mark.slow
def test_a_browser_draws_all_records(page: Path) -> None:
    text = dom(page, "")
    assert len(titles(text)) == 6
    assert "<title>owned</title>" not in text
    assert re.search(r'data-atoms="9"', text)  # ethanol, the first
    assert "<canvas" in text
    assert re.search(r'id="drawing"><svg', text)


@needs_browser
@pytest.mark.slow
def test_a_browser_sorts_and_filters(page: Path) -> None:
    assert titles(dom(page, "show=pass&sort=title"))[1:] == ["a", "b", "c"]
    heaviest = titles(dom(page, "show=pass&sort=weight&down=1"))
    assert heaviest[0] == "a"
    failing = dom(page, "show=fail")
    assert titles(failing) == ["far", "junk"]
    assert "2 of 6 records" in failing
    assert titles(dom(page, "text=c6h6o")) == ["a"]
    assert "✗" in dom(page, "show=fail&row=5")


def test_what_is_not_judged_neither_passes_nor_fails(tmp_path: Path) -> None:
    mol = embedded("CCO")
    dummy = Chem.RWMol(mol)
    dummy.GetAtomWithIdx(0).SetAtomicNum(0)
    with Chem.SDWriter(str(tmp_path / "in.sdf")) as writer:
        writer.write(mol)
        writer.write(dummy.GetMol())
    for keep, n in (("pass", 1), ("fail", 0), ("all", 2)):
        words = ["evaluate", tmp_path / "in.sdf", "--out", tmp_path / f"{keep}.sdf"]
        assert run([str(word) for word in (*words, "--filter", keep)]) == 0
        assert (tmp_path / f"{keep}.sdf").read_text().count("$$$$") == n
    assert "not judged" in (tmp_path / "all.sdf").read_text()


def test_bonds_are_needed_for_posebusters(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.xyz").write_text(Chem.MolToXYZBlock(embedded("CCO")))
    pytest.importorskip("posebusters")
    assert run(["evaluate", str(tmp_path / "in.xyz"), "--posebusters", "fast"]) == 1
    assert "no bonds for PoseBusters" in capfd.readouterr().err


def test_options_that_do_not_go_together(
    page: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = page.with_name("in.sdf")
    for words, said in [
        (("--filter", "pass"), "--filter without --out"),
        (("--filter", "some", "--out", tmp_path / "x.sdf"), "filter"),
        (("--out", tmp_path / "x.xyz"), "no name of an SDF file"),
        (("--out", given), "overwrite"),
        (("--report", tmp_path / "x", "--csv", tmp_path / "x"), "overwrite"),
    ]:
        assert run([str(word) for word in ("evaluate", given, *words)]) in {1, 2}
        assert said in capfd.readouterr().err


@needs_browser
@pytest.mark.slow
def test_files_of_other_calls_are_compared(page: Path) -> None:
    folder = page.parent
    mols = list(Chem.SDMolSupplier(str(page.with_name("good.sdf")), removeHs=False))
    for calls in (1, 4):
        with Chem.SDWriter(str(folder / f"k{calls}.sdf")) as writer:
            for mol in mols:
                mol.SetProp("molgen_steps", str(calls))
                writer.write(mol)
    words = ["evaluate", folder / "k1.sdf", folder / "k4.sdf", "--report", folder / "two.html"]
    assert run([str(word) for word in (*words, "--reference", "drugs")]) == 0
    text = dom(folder / "two.html", "text=k4.sdf")
    assert "4 of 8 records" in text
    assert "rates over network calls: 1 connected validity" in text
    assert "drugs 2.98" in text or "drugs 2.99" in text  # logP of real ones beside it
    assert re.findall(r"<th[^>]*>(k[14]\.sdf|drugs)</th>", text) == ["k1.sdf", "k4.sdf", "drugs"]
    assert text.count('class="real"') >= 5


@needs_browser
@pytest.mark.slow
def test_stereoisomers_are_not_laid_over_each_other(tmp_path: Path) -> None:
    with Chem.SDWriter(str(tmp_path / "in.sdf")) as writer:
        for smiles in ("C[C@H](O)F", "C[C@@H](O)F", "C[C@H](O)F"):
            writer.write(embedded(smiles))
    words = ["evaluate", tmp_path / "in.sdf", "--report", tmp_path / "page.html"]
    assert run([str(word) for word in words]) == 0
    assert (
        len(
            set(
                re.findall(
                    r"<code id=\"smiles\">(.*?)</code>", dom(tmp_path / "page.html", "row=1")
                )
            )
        )
        == 1
    )
    assert "@" in dom(tmp_path / "page.html", "row=1").partition('id="smiles">')[2][:30]
