"""``molgen sample`` with a tiny untrained model: records, order, tags, resuming."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from molgen.chem.decode import DECODERS as DECODER_TABLE
from molgen.chem.io import FORMATS, read_records
from molgen.chem.relaxation import LABEL
from molgen.sampling.destination import SUFFIXES
from molgen.sampling.request import DECODERS


@pytest.fixture
def sample(molgen: Callable, tiny_weights: Path) -> Callable:
    """``molgen sample`` with the tiny model, two steps, and no table."""
    fixed = ("sample", "--model", tiny_weights, "--steps", 2, "--no-metrics", "--batch-size", 8)
    return lambda *arguments: molgen(*fixed, *arguments)


def positions(path: Path) -> list[np.ndarray]:
    """Coordinates of every record of a file."""
    return [record.molecule.pos for record in read_records(path) if record.molecule]


def assert_same_molecules(one: Path, other: Path) -> None:
    """Equal titles and elements, coordinates within 1e-3 Å."""
    for a, b in zip(read_records(one), read_records(other), strict=True):
        assert a.title.split()[0] == b.title.split()[0]
        assert a.molecule is not None
        assert b.molecule is not None
        assert np.array_equal(a.molecule.atomic_numbers, b.molecule.atomic_numbers)
        assert np.allclose(a.molecule.pos, b.molecule.pos, atol=1e-3)


def test_the_light_lists_are_those_of_the_chemistry() -> None:
    assert set(SUFFIXES) == set(FORMATS)
    assert set(DECODERS) == set(DECODER_TABLE)


def test_exactly_n_records_in_order_with_tags(sample: Callable) -> None:
    answer = sample("--n", 20, "--seed", 3, "--out", "m.sdf")
    assert answer.status == 0, answer
    assert answer.out == ""
    assert [path.name for path in Path().iterdir()] == ["m.sdf"]
    records = list(read_records("m.sdf"))
    assert [int(record.tags["molgen_index"]) for record in records] == list(range(20))
    assert len({record.title for record in records}) == 20
    for record in records:
        tags = record.tags
        assert (tags["molgen_model"], tags["molgen_seed"], tags["molgen_steps"]) == (
            "tiny",
            "3",
            "2",
        )
        assert (tags["molgen_valid"] == "true") == (tags["molgen_reason"] == "")
        assert (tags["molgen_valid"] == "true") == (tags["smiles"] != "")
        assert record.title == f"tiny-s3-k2-{tags['molgen_index']}"


def test_a_molecule_depends_on_seed_and_number_alone(sample: Callable) -> None:
    sample("--n", 12, "--out", "a.sdf")
    sample("--n", 12, "--out", "b.sdf", "--batch-size", 5)
    sample("--n", 7, "--out", "c.sdf", "--batch-size", 1)
    sample("--n", 12, "--out", "d.sdf", "--seed", 1)
    assert_same_molecules(Path("a.sdf"), Path("b.sdf"))
    for one, other in zip(positions(Path("a.sdf"))[:7], positions(Path("c.sdf")), strict=True):
        assert np.allclose(one, other, atol=1e-3)
    first, other = positions(Path("a.sdf")), positions(Path("d.sdf"))
    assert not any(
        a.shape == b.shape and np.allclose(a, b) for a, b in zip(first, other, strict=True)
    )


def test_the_same_command_gives_the_same_bytes(sample: Callable) -> None:
    sample("--n", 9, "--out", "a.sdf")
    sample("--n", 9, "--out", "b.sdf")
    assert Path("a.sdf").read_bytes() == Path("b.sdf").read_bytes()


@pytest.mark.parametrize("suffix", [".sdf", ".sdf.gz", ".xyz"])
@pytest.mark.parametrize("n_done", [0, 1, 6])
def test_resume_completes_a_killed_run(sample: Callable, suffix: str, n_done: int) -> None:
    whole, out = Path(f"whole{suffix}"), Path(f"m{suffix}")
    sample("--n", 14, "--out", whole)
    sample("--n", max(n_done, 1), "--out", out)
    done = out.read_bytes() if n_done else b""
    torn = out.read_bytes()[:200] if suffix == ".sdf.gz" else b"tiny-s0-k2-6\n    RDKit"
    Path(f"m.partial{suffix}").write_bytes(done + torn)
    out.unlink()
    answer = sample("--n", 14, "--out", out, "--resume")
    assert answer.status == 0, answer
    assert not Path(f"m.partial{suffix}").exists()
    assert_same_molecules(out, whole)
    assert f"{n_done} of them from before" in answer.err or n_done == 0


def test_resume_of_smiles(sample: Callable) -> None:
    sample("--n", 9, "--out", "whole.smi")
    lines = Path("whole.smi").read_bytes().splitlines(keepends=True)
    Path("m.partial.smi").write_bytes(b"".join(lines[:4]) + lines[4][:3])
    sample("--n", 9, "--out", "m.smi", "--resume").assert_one_line(2, "m.smi.molgen.json")
    Path("whole.smi.molgen.json").rename("m.smi.molgen.json")
    assert sample("--n", 9, "--out", "m.smi", "--resume").status == 0
    assert [line.split(b"\t")[1] for line in Path("m.smi").read_bytes().splitlines()] == [
        line.split(b"\t")[1].strip() for line in lines
    ]


def test_resume_with_nothing_to_resume_starts(sample: Callable) -> None:
    assert sample("--n", 3, "--out", "m.sdf", "--resume").status == 0
    assert len(list(read_records("m.sdf"))) == 3


def test_resume_of_a_finished_run_says_so(sample: Callable) -> None:
    sample("--n", 5, "--out", "m.sdf")
    before = Path("m.sdf").read_bytes()
    answer = sample("--n", 5, "--out", "m.sdf", "--resume")
    assert answer.status == 0
    assert "m.sdf is complete" in answer.err
    assert Path("m.sdf").read_bytes() == before


@pytest.mark.parametrize("suffix", [".sdf", ".sdf.gz", ".xyz", ".smi"])
@pytest.mark.parametrize(
    "change",
    [
        ("--seed", 1),
        ("--steps", 3),
        ("--decode", "argmax"),
        ("--n-atoms", "7-9"),
        ("--eta", 0.5),
        ("--relax",),
    ],
)
def test_resume_refuses_another_run(
    sample: Callable, change: tuple[object, ...], suffix: str
) -> None:
    out, partial = Path(f"m{suffix}"), Path(f"m.partial{suffix}")
    sample("--n", 5, "--out", out)
    out.rename(partial)
    before = partial.read_bytes()
    answer = sample("--n", 9, "--out", out, "--resume", *change)
    answer.assert_one_line(2, partial.name, "another run", "--force")
    assert partial.read_bytes() == before


@pytest.mark.parametrize("suffix", [".sdf", ".sdf.gz", ".xyz", ".smi"])
def test_resume_refuses_other_weights_of_the_same_name(
    molgen: Callable, tiny_weights: Path, suffix: str
) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(tiny_weights, "pt") as file:
        header = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    name = next(name for name, tensor in tensors.items() if tensor.ndim == 2)
    tensors[name][0, 0] += 1e-3
    Path("other").mkdir()
    save_file(tensors, f"other/{tiny_weights.name}", header)
    out = Path(f"m{suffix}")
    fixed = ("--steps", 1, "--no-metrics", "--out", out)
    assert molgen("sample", "--model", tiny_weights, "--n", 2, *fixed).status == 0
    out.rename(f"m.partial{suffix}")
    other = ("--model", f"other/{tiny_weights.name}", "--n", 3)
    molgen("sample", *other, *fixed, "--resume").assert_one_line(2, "another run")


def _broken(content: bytes, suffix: str, damage: str) -> bytes:
    """A file of whole records with something wrong with it."""
    if damage == "garbage behind":
        return content + b"garbage\0\xff\n$$$$\n\n3\n"
    if damage == "a line lost":
        lines = content.splitlines(keepends=True)
        del lines[2 * len(lines) // 3]
        return b"".join(lines)
    place = 2 * len(content) // 3
    if suffix == ".smi":  # a tab: what stands in a SMILES has no seal
        place = content.index(b"\t", place)
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("suffix", [".sdf", ".sdf.gz", ".xyz", ".smi"])
@pytest.mark.parametrize("damage", ["garbage behind", "a line lost", "a bit flipped"])
def test_a_damaged_file_is_cut_back_to_its_last_good_record(
    sample: Callable, suffix: str, damage: str
) -> None:
    whole, out, partial = Path(f"whole{suffix}"), Path(f"m{suffix}"), Path(f"m.partial{suffix}")
    sample("--n", 9, "--out", whole, "--batch-size", 1)
    sample("--n", 6, "--out", out, "--batch-size", 1)
    content = out.read_bytes()
    if suffix == ".sdf.gz" and damage != "garbage behind":
        pytest.skip("a member is whole or lost")
    out.rename(partial)
    partial.write_bytes(_broken(content, suffix, damage))
    answer = sample("--n", 9, "--out", out, "--resume", "--batch-size", 1)
    if damage == "a line lost" and suffix == ".smi":  # each line is a record, intact
        answer.assert_one_line(2, "another run")
        return
    assert answer.status == 0, answer
    assert_same_molecules(out, whole) if suffix != ".smi" else None
    if suffix != ".sdf.gz":  # other members, the same records
        assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("suffix", [".sdf", ".sdf.gz", ".xyz", ".smi"])
def test_a_finished_file_with_garbage_is_not_complete(sample: Callable, suffix: str) -> None:
    out = Path(f"m{suffix}")
    sample("--n", 3, "--out", out)
    content = out.read_bytes() + b"garbage"
    out.write_bytes(content)
    sample("--n", 3, "--out", out, "--resume").assert_one_line(2, "damaged after record 3")
    assert out.read_bytes() == content


@pytest.mark.parametrize("suffix", [".sdf", ".xyz", ".smi"])
def test_a_file_that_begins_damaged_is_refused(sample: Callable, suffix: str) -> None:
    Path(f"m.partial{suffix}").write_text("1\nsome\nC 0 0 0\n$$$$\n")
    assert sample("--n", 3, "--out", f"m{suffix}", "--resume").status == 2


def test_resume_refuses_records_out_of_order(sample: Callable) -> None:
    sample("--n", 3, "--out", "m.sdf")
    one, two, three = Path("m.sdf").read_text().split("$$$$\n")[:3]
    Path("m.sdf").unlink()
    Path("m.partial.sdf").write_text(f"{one}$$$$\n{three}$$$$\n{two}$$$$\n")
    sample("--n", 9, "--out", "m.sdf", "--resume").assert_one_line(2, "record 2", "another run")


def test_resume_refuses_more_records_than_asked_for(sample: Callable) -> None:
    sample("--n", 5, "--out", "m.sdf")
    sample("--n", 3, "--out", "m.sdf", "--resume").assert_one_line(2, "5 records", "--n 5")
    Path("m.sdf").rename("m.partial.sdf")
    sample("--n", 3, "--out", "m.sdf", "--resume").assert_one_line(2, "5 records", "--n 5")


def test_force_replaces_output_and_partial(sample: Callable) -> None:
    Path("m.sdf").write_text("old")
    Path("m.partial.sdf").write_text("older")
    assert sample("--n", 2, "--out", "m.sdf", "--force").status == 0
    assert len(list(read_records("m.sdf"))) == 2
    assert not Path("m.partial.sdf").exists()


def test_valid_only_keeps_numbers_and_counts_rejections(sample: Callable) -> None:
    sample("--n", 60, "--out", "all.sdf")
    valid = [r.tags["molgen_index"] for r in read_records("all.sdf") if not r.tags["molgen_reason"]]
    assert 5 <= len(valid) < 60
    answer = sample("--n", 5, "--valid-only", "--out", "m.sdf", "--json", "m.json")
    assert answer.status == 0, answer
    records = list(read_records("m.sdf"))
    assert [record.tags["molgen_index"] for record in records] == valid[:5]
    n_drawn = int(valid[4]) + 1
    facts = json.loads(Path("m.json").read_text())
    assert (facts["n_drawn"], facts["n_rejected"]) == (n_drawn, n_drawn - 5)
    assert f"rejected {n_drawn - 5} of {n_drawn}" in answer.err
    assert sum(facts["faults"].values()) == n_drawn - 5


def test_valid_only_resumes_after_the_last_number(sample: Callable) -> None:
    sample("--n", 6, "--valid-only", "--out", "whole.sdf")
    sample("--n", 2, "--valid-only", "--out", "m.sdf")
    Path("m.sdf").rename("m.partial.sdf")
    assert sample("--n", 6, "--valid-only", "--out", "m.sdf", "--resume").status == 0
    assert_same_molecules(Path("m.sdf"), Path("whole.sdf"))


def test_stdout_carries_nothing_but_sdf(sample: Callable) -> None:
    answer = sample("--n", 4, "--out", "-")
    assert answer.status == 0
    assert answer.out.count("$$$$\n") == 4
    assert answer.out.startswith("tiny-s0-k2-0\n")
    assert not list(Path().iterdir())


def test_json_has_the_numbers_of_the_table(molgen: Callable, tiny_weights: Path) -> None:
    answer = molgen(
        "sample", "--model", tiny_weights, "--steps", 2, "--n", 12, "--json", "m.json", "--seed", 5
    )
    assert answer.status == 0, answer
    facts = json.loads(Path("m.json").read_text())
    assert (facts["model"], facts["steps"], facts["seed"], facts["n_records"]) == ("tiny", 2, 5, 12)
    assert facts["solver"]
    assert len(facts["grid"]["lam"]) == 2
    assert facts["input_scale"] is None
    assert facts["logit_bias"] is None
    assert facts["molecules_per_second"] == pytest.approx(12 / facts["seconds"], rel=0.05)
    metrics = facts["metrics"]
    records = list(read_records("molecules.sdf"))
    assert metrics["connected_valid_raw"]["n"] == metrics["connected_valid"]["n"] == 12
    assert f"{metrics['connected_valid']['value']:.3f}" in answer.out
    assert "before decoding" in answer.out
    assert len(records) == 12


def test_quiet_is_quiet(sample: Callable) -> None:
    answer = sample("--n", 2, "--out", "m.sdf", "--quiet")
    assert (answer.status, answer.out, answer.err) == (0, "", "")


def test_a_formula_is_in_every_record(sample: Callable) -> None:
    answer = sample("--n", 5, "--formula", "C2H6O", "--out", "m.sdf", "--json", "m.json")
    assert answer.status == 0, answer
    for record in read_records("m.sdf"):
        assert record.molecule is not None
        assert record.molecule.atomic_numbers.tolist() == [1] * 6 + [6, 6, 8]
    assert json.loads(Path("m.json").read_text())["formula"] == "C2H6O"


def test_records_follow_the_file_they_are_like(sample: Callable) -> None:
    Path("like.smi").write_text("C\nCO\nN#CC\n")
    assert sample("--n", 7, "--like", "like.smi", "--out", "m.sdf").status == 0
    made = [one.molecule.formula for one in read_records("m.sdf") if one.molecule]
    assert made == ["CH4", "CH4O", "C2H3N", "CH4", "CH4O", "C2H3N", "CH4"]


def write_part(sample_sdf: Path) -> None:
    """``part.sdf``: a small molecule without one of its hydrogens."""
    mols = Chem.SDMolSupplier(str(sample_sdf), removeHs=False)
    part = Chem.RWMol(next(mol for mol in mols if mol.GetNumAtoms() <= 9))
    last = max(atom.GetIdx() for atom in part.GetAtoms() if atom.GetAtomicNum() == 1)
    part.RemoveAtom(last)
    Path("part.sdf").write_text(Chem.MolToMolBlock(part) + "$$$$\n")


def test_a_scaffold_stays_in_place(sample: Callable, sample_sdf: Path) -> None:
    write_part(sample_sdf)
    [part] = [one.molecule for one in read_records("part.sdf")]
    assert part is not None
    answer = sample("--n", 4, "--scaffold", "part.sdf", "--out", "m.sdf")
    assert answer.status == 0, answer
    for record in read_records("m.sdf"):
        assert record.molecule is not None
        k = part.n_atoms
        assert record.molecule.n_atoms > k
        assert np.abs(record.molecule.pos[:k] - part.pos).max() < 1e-4
        assert np.array_equal(record.molecule.atomic_numbers[:k], part.atomic_numbers)
        assert np.array_equal(record.molecule.formal_charge[:k], part.formal_charge)


def test_resume_knows_what_was_known(sample: Callable) -> None:
    Path("like.smi").write_text("C\nCO\n")
    sample("--n", 4, "--like", "like.smi", "--out", "m.sdf")
    Path("m.sdf").rename("m.partial.sdf")
    Path("like.smi").write_text("C\nCN\n")
    answer = sample("--n", 6, "--like", "like.smi", "--out", "m.sdf", "--resume")
    answer.assert_one_line(2, "another run")


def test_relaxing_moves_atoms_and_says_so(sample: Callable) -> None:
    sample("--n", 12, "--out", "plain.sdf")
    answer = sample("--n", 12, "--relax", "--out", "m.sdf", "--json", "m.json")
    assert answer.status == 0, answer
    facts = json.loads(Path("m.json").read_text())
    assert facts["relax"] == LABEL
    pairs = list(zip(read_records("plain.sdf"), read_records("m.sdf"), strict=True))
    assert facts["n_relaxed"] == sum(one.tags["molgen_relaxed"] == LABEL for _, one in pairs) > 0
    assert f"{facts['n_relaxed']} relaxed by MMFF94s" in answer.err
    for plain, one in pairs:
        assert "molgen_relaxed" not in plain.tags
        assert one.title == plain.title
        assert one.tags["molgen_valid"] == plain.tags["molgen_valid"]
        assert one.tags["molgen_relaxed"].startswith(("MMFF94s", "no ("))
        assert one.molecule is not None
        assert plain.molecule is not None
        for name in ("atomic_numbers", "formal_charge", "bonds"):
            assert np.array_equal(getattr(one.molecule, name), getattr(plain.molecule, name))
        moved = not np.array_equal(one.molecule.pos, plain.molecule.pos)
        assert moved == (one.tags["molgen_relaxed"] == LABEL)


def test_what_fails_a_check_is_not_relaxed(sample: Callable) -> None:
    sample("--n", 12, "--decode", "argmax", "--out", "plain.sdf")
    sample("--n", 12, "--decode", "argmax", "--relax", "--out", "m.sdf")
    faults = 0
    for plain, one in zip(read_records("plain.sdf"), read_records("m.sdf"), strict=True):
        assert one.tags["molgen_reason"] == plain.tags["molgen_reason"]
        if reason := one.tags["molgen_reason"]:
            faults += 1
            assert one.tags["molgen_relaxed"] == f"no ({reason})"
            assert one.molecule is not None
            assert plain.molecule is not None
            assert np.array_equal(one.molecule.pos, plain.molecule.pos)
    assert faults


def test_a_relaxed_run_is_resumed_as_one(sample: Callable) -> None:
    fixed = ("--relax", "--batch-size", 1)
    sample("--n", 12, *fixed, "--out", "whole.sdf")
    sample("--n", 4, *fixed, "--out", "m.sdf")
    done = Path("m.sdf").read_bytes()
    Path("m.sdf").unlink()
    Path("m.partial.sdf").write_bytes(done + b"tiny-s0-k2-4\n    RDKit")
    sample("--n", 12, "--out", "m.sdf", "--resume").assert_one_line(2, "another run")
    assert sample("--n", 12, *fixed, "--out", "m.sdf", "--resume").status == 0
    assert Path("m.sdf").read_bytes() == Path("whole.sdf").read_bytes()


def test_a_relaxed_table_is_not_the_models(molgen: Callable, tiny_weights: Path) -> None:
    fixed = ("sample", "--model", tiny_weights, "--steps", 2, "--n", 12, "--force", "--json")
    plain, relaxed = molgen(*fixed, "plain.json"), molgen(*fixed, "relaxed.json", "--relax")
    assert "MMFF94s, " not in plain.out
    assert relaxed.out.splitlines()[0].startswith(f"Relaxed by {LABEL}: ")
    one, other = (json.loads(Path(f"{name}.json").read_text()) for name in ("plain", "relaxed"))
    assert (one["relax"], one["n_relaxed"]) == (None, None)
    assert other["metrics"]["mmff_energy_drop"] != one["metrics"]["mmff_energy_drop"]
    for name in ("connected_valid_raw", "perceived_valid_raw", "edm_stable_raw"):
        assert other["metrics"][name] == one["metrics"][name]


def test_a_file_of_relaxed_molecules_is_judged_as_such(molgen: Callable, sample: Callable) -> None:
    sample("--n", 12, "--out", "plain.sdf")
    sample("--n", 12, "--relax", "--out", "m.sdf")
    n_relaxed = sum(one.tags["molgen_relaxed"] == LABEL for one in read_records("m.sdf"))
    answer = molgen("evaluate", "m.sdf", "--json", "m.json")
    assert f"relaxed before: {n_relaxed} of 12 by {LABEL}" in answer.out
    assert json.loads(Path("m.json").read_text())["relaxed_before"] == {LABEL: n_relaxed}
    answer = molgen("evaluate", "plain.sdf", "--json", "plain.json")
    assert "relaxed before" not in answer.out
    assert json.loads(Path("plain.json").read_text())["relaxed_before"] == {}


def test_a_relaxed_scaffold_stays_in_place(sample: Callable, sample_sdf: Path) -> None:
    write_part(sample_sdf)
    [part] = [one.molecule for one in read_records("part.sdf")]
    assert part is not None
    fixed = ("--n", 12, "--scaffold", "part.sdf", "--out")
    assert sample(*fixed, "plain.sdf").status == 0
    assert sample(*fixed, "m.sdf", "--relax").status == 0
    n_moved = 0
    for plain, one in zip(read_records("plain.sdf"), read_records("m.sdf"), strict=True):
        assert one.molecule is not None
        assert plain.molecule is not None
        k = part.n_atoms
        assert np.array_equal(one.molecule.pos[:k], plain.molecule.pos[:k])
        n_moved += not np.array_equal(one.molecule.pos[k:], plain.molecule.pos[k:])
    assert n_moved


def test_departures_from_the_plan(sample: Callable) -> None:
    ways = [
        ("--schedule", "smld", "--solver", "euler", "--tv", "const"),
        ("--schedule", "smld", "--grid", "karras"),
        ("--solver", "ancestral", "--rho", 0.5),
        ("--grid", "log-snr"),
    ]
    for way in ways:
        assert sample("--n", 2, "--out", "m.sdf", "--force", *way).status == 0
