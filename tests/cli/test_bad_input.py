"""Bad input ends with one line that says what, where and what to type next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--n", "0"], ["n is 0", "1 or more"]),
        (["--steps", "0"], ["steps is 0", "1 or more"]),
        (["--seed", "-1"], ["seed is -1", "0 or more"]),
        (["--seed", str(2**64)], ["seed is", "at most"]),
        (["--batch-size", "0"], ["batch_size is 0"]),
        (["--decode", "mpa"], ['Did you mean "map"?']),
        (["--n-atoms", "9-5"], ["9-5", "12-20"]),
        (["--n-atoms", "5-"], ['"5-"', "12-20"]),
        (["--n-atoms", "many"], ['"many"', "12-20"]),
        (["--formula", "c6h6"], ['"c6h6"', "C6H6O"]),
        (["--formula", "C2H6Xx"], ['unknown element "Xx"']),
        (["--formula", "CH4", "--like", "x.sdf"], ["--formula and --like exclude"]),
        (["--guidance", "2"], ["--guidance has no effect without --scaffold"]),
        (["--guidance", "-1", "--scaffold", "x.sdf"], ["guidance is -1", "1 is none"]),
        (["--guidance-interval", "0.1-2"], ["--guidance-interval", "Add --guidance"]),
        (["--guidance-interval", "low"], ['"low"', '"0.1-2"']),
        (["--avoid", "pocket.pdb"], ["--avoid needs --scaffold"]),
        (["--out", "x.mol2"], ['".mol2"', ".sdf.gz"]),
        (["--out", "-", "--json", "-"], ["stdout"]),
        (["--out", "-", "--resume"], ["stdout", "--out"]),
        (["--resume", "--force"], ["exclude"]),
        (["--steps", "four"], ["--steps", "molgen sample --help"]),
        (["--stepz", "4"], ["--stepz", "molgen sample --help"]),
        (["--model", "no-such-model"], ["no-such-model"]),
    ],
)
def test_a_wrong_request(molgen: Callable, arguments: list[str], words: list[str]) -> None:
    molgen("sample", *arguments).assert_one_line(2, *words)
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--solver", "eulr"], ['Did you mean "euler"?']),
        (["--schedule", "cosin"], ['Did you mean "cosine"?']),
        (["--n-atoms", "300"], ["300"]),
        (["--formula", "C9H20"], ["29 atoms", "up to 12"]),
        (["--formula", "CH4S"], ["S", "does not know"]),
        (["--grid", "karas"], ['Did you mean "karras"?']),
        (["--tv", "ve", "--solver", "ddim"], ["--tv has no effect on ddim"]),
        (["--device", "gpuu"], ["gpuu", "auto, cpu"]),
    ],
)
def test_a_request_that_the_model_cannot_meet(
    molgen: Callable, tiny_weights: Path, arguments: list[str], words: list[str]
) -> None:
    answer = molgen("sample", "--model", tiny_weights, "--n", "3", *arguments)
    answer.assert_one_line(2, *words)
    assert not list(Path().iterdir())


def test_a_scaffold_and_what_it_does_not_go_with(molgen: Callable, tiny_weights: Path) -> None:
    Path("part.xyz").write_text("2\n\nC 0 0 0\nO 1.4 0 0\n")
    ask = ("sample", "--model", tiny_weights, "--n", 2, "--scaffold", "part.xyz")
    answer = molgen(*ask, "--guidance", 2)
    answer.assert_one_line(2, "--guidance has no effect on tiny", "kind: completion")
    molgen(*ask, "--avoid", "none.pdb").assert_one_line(1, "none.pdb", "No such file")
    molgen(*ask, "--avoid", "part.xyz").assert_one_line(2, "2 of the scaffold's own atoms")
    Path("flat.smi").write_text("CCO\n")
    molgen(*ask, "--avoid", "flat.smi").assert_one_line(2, "flat.smi", "no 3D coordinates")
    assert {path.name for path in Path().iterdir()} == {"part.xyz", "flat.smi"}


def test_an_existing_output_is_kept(molgen: Callable) -> None:
    Path("mine.sdf").write_text("precious")
    molgen("sample", "--out", "mine.sdf").assert_one_line(1, "mine.sdf exists", "--force")
    assert Path("mine.sdf").read_text() == "precious"


def test_a_partial_output_is_kept(molgen: Callable) -> None:
    Path("mine.partial.sdf.gz").write_text("precious")
    answer = molgen("sample", "--out", "mine.sdf.gz")
    answer.assert_one_line(1, "mine.partial.sdf.gz", "--resume", "--force")


def test_places_that_cannot_be_written(molgen: Callable, tiny_weights: Path) -> None:
    molgen("sample", "--out", "no/x.sdf").assert_one_line(1, "folder no", "mkdir -p no")
    molgen("sample", "--json", "no/x.json").assert_one_line(1, "folder no", "mkdir -p no")
    Path("folder.sdf").mkdir()
    molgen("sample", "--force", "--out", "folder.sdf").assert_one_line(1, "is a folder")
    # /proc refuses new files even to root, whom permissions do not stop.
    answer = molgen("sample", "--model", tiny_weights, "--n", "2", "--out", "/proc/x.sdf")
    answer.assert_one_line(1, "/proc/x.sdf", "another output")


def test_weights_that_are_missing_or_damaged(molgen: Callable, tiny_weights: Path) -> None:
    molgen("sample", "--model", "no.safetensors").assert_one_line(1, "no.safetensors")
    whole = tiny_weights.read_bytes()
    for n_bytes in (0, 5, 40, len(whole) // 2, len(whole) - 1):
        Path("cut.safetensors").write_bytes(whole[:n_bytes])
        molgen("sample", "--model", "cut.safetensors").assert_one_line(1, "cut.safetensors")
    Path("text.safetensors").write_text("not weights at all" * 10)
    molgen("sample", "--model", "text.safetensors").assert_one_line(1, "text.safetensors")


def test_files_that_hold_no_molecules(molgen: Callable) -> None:
    molgen("evaluate", "no.sdf").assert_one_line(1, "no.sdf")
    Path("notes.sdf").write_text("Dear diary,\ntoday I made\nno molecules\nat all\n" * 3)
    molgen("evaluate", "notes.sdf").assert_one_line(1, "notes.sdf", "not an SDF")
    Path("bytes.sdf").write_bytes(bytes(range(256)) * 8)
    molgen("evaluate", "bytes.sdf").assert_one_line(1, "bytes.sdf")
    Path("empty.sdf").write_text("")
    molgen("evaluate", "empty.sdf").assert_one_line(1, "empty.sdf", "no molecules")
    Path("x.docx").write_text("x")
    molgen("evaluate", "x.docx").assert_one_line(1, "x.docx", ".sdf")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optim:\n  lrr: 0.1\n", ["optim.lrr", "lr"]),
        ("optmi:\n  lr: 0.1\n", ["optmi", "optim"]),
        ("optim:\n  lr: fast\n", ["optim.lr", "fast"]),
        ("optim: [1, 2\n", ["recipe.yaml"]),
        ("just words\n", ["recipe.yaml"]),
    ],
)
def test_a_recipe_with_a_mistake(molgen: Callable, text: str, words: list[str]) -> None:
    Path("recipe.yaml").write_text(text)
    molgen("train", "recipe.yaml").assert_one_line(2, *words)


def test_train_arguments(molgen: Callable) -> None:
    recipe = ROOT / "configs" / "tiny.yaml"
    molgen("train", "no.yaml").assert_one_line(2, "no.yaml")
    molgen("train", recipe, "--set", "optim.lrr=1").assert_one_line(2, "optim.lrr")
    molgen("train", recipe, "--set", "optim.lr").assert_one_line(2, "optim.lr")
    for clock in ("soon", "00:00:00", "9"):
        molgen("train", recipe, "--max-time", clock).assert_one_line(2, clock, "HH:MM:SS")


def test_data_arguments(molgen: Callable) -> None:
    molgen("data", "prepare", "qm8").assert_one_line(2, "qm8", "qm9")
    molgen("data", "prepare", "qm9", "--workers", "0").assert_one_line(2, "workers is 0")
    answer = molgen("data", "prepare", "qm9", "--source", "nowhere")
    answer.assert_one_line(1, "nowhere does not exist")
    assert not [path for path in Path().rglob("*") if path.is_file()]


def test_a_scaffold_without_an_open_valence_is_refused(molgen: Callable) -> None:
    file = Path(__file__).parent.parent / "cases" / "drugs2.sdf"
    answer = molgen("sample", "--scaffold", file, "--out", "m.sdf")
    answer.assert_one_line(2, "no open valence")
