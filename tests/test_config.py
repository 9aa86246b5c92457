"""Recipes: what is accepted, and how a mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from molgen.config import (
    Config,
    LogisticConfig,
    LogUniformConfig,
    load_config,
    load_tree,
    parse_config,
)
from molgen.errors import ConfigError

SHIPPED = sorted((Path(__file__).resolve().parents[1] / "configs").glob("*.yaml"))
CONFIGS = [path for path in SHIPPED if "domain" not in load_tree(path)]


def complaint(tree: dict) -> str:
    """The one line that a wrong tree earns."""
    with pytest.raises(ConfigError) as caught:
        parse_config(tree, "recipe.yaml")
    text = str(caught.value)
    assert text.startswith("recipe.yaml: ")
    assert "\n" not in text
    return text


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text("optim: {lr: 1e-3}\ntrain: {max_steps: 7}\n")
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_recipes_parse_and_survive_their_json_form(path: Path) -> None:
    config = load_config(path)
    assert parse_config(config.model_dump(mode="json")) == config


def test_the_shipped_recipes_are_found() -> None:
    assert {"qm9", "tiny"} <= {path.stem for path in CONFIGS}


def test_a_recipe_of_another_domain_is_not_taken_for_molecules() -> None:
    assert "domain" in complaint({"domain": "images"})


def test_nothing_given_means_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    assert load_config(tmp_path / "empty.yaml") == Config() == parse_config({})


def test_a_recipe_is_frozen() -> None:
    config = Config()
    with pytest.raises(ValidationError, match="frozen"):
        config.optim.lr = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        config.train = config.train  # type: ignore[misc]


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"optmi": {}}, ["'optmi'", "Did you mean 'optim'?"]),
        ({"optim": {"lrr": 1}}, ["'optim.lrr'", "Did you mean 'lr'?"]),
        ({"model": {"dims": {"scaler": 64}}}, ["'model.dims.scaler'", "'scalar'"]),
        ({"zzz": 1}, ["'zzz'", "Known keys: data, model, times"]),
        ({"train": {"batch_size": "many"}}, ["train.batch_size", "integer", "'many'"]),
        ({"train": {"batch_size": 0}}, ["train.batch_size", "greater than or equal to 1", "0"]),
        ({"optim": {"lr": -1e-3}}, ["optim.lr", "greater than 0"]),
        ({"optim": {"kind": "sgd"}}, ["optim.kind", "'adamw' or 'muon'", "'sgd'"]),
        ({"optim": {"ema": 1}}, ["optim.ema", "less than 1"]),
        ({"model": [1, 2]}, ["model", "[1, 2]"]),
        ({"train": {"precision": "16-mixed"}}, ["train.precision", "'bf16-mixed' or '32-true'"]),
        (
            {"data": {"dataset": {"name": "x", "atomic_numbers": ["C"]}}},
            ["atomic_numbers.0", "'C'"],
        ),
        ({"times": [{"kind": "normal"}]}, ["times.0", "'normal'"]),
    ],
)
def test_a_mistake_is_told_with_its_path(tree: dict, words: list[str]) -> None:
    text = complaint(tree)
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("part", "typo", "meant"),
    [
        ({"kind": "logistic", "meen": 0.5}, "meen", "mean"),
        ({"kind": "log_uniform", "sigma_mix": 0.5}, "sigma_mix", "sigma_min"),
    ],
)
def test_a_typo_in_a_list_of_sections(part: dict, typo: str, meant: str) -> None:
    text = complaint({"times": [{"kind": "logistic"}, part]})
    assert f"times.1.{typo}" in text
    assert f"Did you mean '{meant}'?" in text


def test_kinds_of_noise_levels() -> None:
    parts = [{"kind": "log_uniform", "sigma_max": 1.0}, {"kind": "logistic", "mean": 0.1}]
    times = parse_config({"times": parts}).times
    assert times == (LogUniformConfig(sigma_max=1.0), LogisticConfig(mean=0.1))


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("optim.lr=1e-4", 1e-4),
        ("optim.lr=1E-4", 1e-4),
        ("optim.lr=0.5", 0.5),
        ("train.batch_size=8", 8),
        ("train.compile=true", True),
        ("train.max_time=00:09:30", "00:09:30"),
        ("train.max_time=null", None),
        ("train.init=weights/a=b.safetensors", "weights/a=b.safetensors"),
        ("data.store=elsewhere", "elsewhere"),
        ("model.dims.scalar=64", 64),
        ("lam_min=-3.5", -3.5),
        ("lam_min=-3", -3.0),
    ],
)
def test_overrides(recipe: Path, assignment: str, expected: object) -> None:
    value: object = load_config(recipe, [assignment])
    for part in assignment.partition("=")[0].split("."):
        value = getattr(value, part)
    assert value == expected
    assert type(value) is type(expected)


def test_overrides_apply_in_order_and_keep_the_rest(recipe: Path) -> None:
    config = load_config(recipe, ["optim.lr=1", "optim.lr=2", "train.seed=5"])
    assert (config.optim.lr, config.train.seed, config.train.max_steps) == (2.0, 5, 7)


@given(st.floats(1e-12, 1e6))
def test_any_number_survives_an_override(lr: float) -> None:
    assert load_config(CONFIGS[0], [f"optim.lr={lr!r}"]).optim.lr == lr


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("optim.lr", ["'optim.lr'", "key=value"]),
        ("=3", ["'=3'", "key=value"]),
        ("optim.lr.x=3", ["'lr'", "not a section"]),
        ("times.0.mean=3", ["times"]),
        ("optim.lrr=3", ["optim.lrr", "'lr'"]),
        ("data.atomic_numbers=[1", ["data.atomic_numbers=[1"]),
        ("optim.lr=a: b: c", ["optim.lr"]),
    ],
)
def test_overrides_that_mean_nothing(recipe: Path, assignment: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(recipe, [assignment])
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text


def test_a_duration_may_be_typed_as_the_help_says(recipe: Path) -> None:
    """YAML 1.1 reads 12:00:00 as the number 43200."""
    assert load_config(recipe, ["train.max_time=12:00:00"]).train.max_time == "12:00:00"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"optim: [1,\n", ["not valid YAML"]),
        (b"optim: {lr: 1\ntrain: 2\n", ["not valid YAML", "line"]),
        (b"- 1\n- 2\n", ["expected sections"]),
        (b"just words\n", ["expected sections"]),
        (b"\xff\xfe\x00", ["recipe.yaml"]),
        (b"train:\n", ["train"]),
    ],
)
def test_files_that_are_no_recipe(recipe: Path, content: bytes, words: list[str]) -> None:
    recipe.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(recipe)
    text = str(caught.value)
    assert "\n" not in text
    assert "recipe.yaml" in text
    for word in words:
        assert word in text


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config file .*no\.yaml"):
        load_config(tmp_path / "no.yaml")
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"model": {"dims": {"scalar": 50, "n_heads": 8}}}, ["model.dims", "scalar", "n_heads"]),
        ({"train": {"seed": 2**32}}, ["train.seed", "less than"]),
    ],
)
def test_values_that_no_run_can_use(tree: dict, words: list[str]) -> None:
    text = complaint(tree)
    for word in words:
        assert word in text


def test_a_shipped_recipe_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config("tiny") == load_config(Path(__file__).parents[1] / "configs" / "tiny.yaml")
    with pytest.raises(ConfigError, match=r"Shipped recipes: .*qm9, tiny"):
        load_config("tinny")
