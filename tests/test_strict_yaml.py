"""YAML of somebody else: an answer or one line, soon, whatever it expands to."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from molgen.config import load_config
from molgen.config.strict_yaml import MAX_DEPTH, MAX_LENGTH, read_yaml
from molgen.errors import ConfigError

BOMB = "a0: &a0 [1, 1]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "aliases that expand"),
        ("a: &a [*a]", "aliases that expand"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "levels of nesting"),
        ("[" * 50_000, "levels of nesting"),
        ("x" * (MAX_LENGTH + 1), "longer than"),
        ("[" + "1," * 20_000 + "]", "values"),
        ("model: {n_layers: 1}\nmodel: {n_layers: 2}", "'model' is given twice"),
        ("a: !!int abc", "invalid literal"),
        ("a: 2001-99-99", "month"),
        ("a: !!timestamp x", "not of its type"),
        ("a: !!bool x", "not of its type"),
        (f"a: {'9' * 5000}", "digits"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: 'x", "while scanning"),
        ("a: b: c", "not allowed"),
        ("a: \0", "not allowed"),
    ],
)
def test_what_no_recipe_holds_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    began = time.perf_counter()
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(path)
    assert time.perf_counter() - began < 10
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "text",
    [
        "model: {n_layers: true}",
        "model: {n_layers: 1000000000}",
        "model: {n_radial: 1000000000}",
        "model: {width: {scalar: 1000000000}}",
        "train: {seed: true}",
        "times: [{kind: logistic, mean: .nan}]",
        "lam_max: .inf",
        "optim: {lr: [1, 2, 3]}",
        "{1: 2}",
        "? [a]\n: 1",
        f"model: {{n_layers: {'[' * 15}{'1, ' * 9000}{']' * 15}}}",
        f"{'k' * 5000}: 1",
    ],
)
def test_values_out_of_bounds_are_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 900


def test_aliases_and_merges_within_bounds() -> None:
    assert read_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}") == {
        "a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}
    }  # fmt: skip
    assert read_yaml("") is None


@pytest.mark.parametrize("assignment", ["a=!!int x", "a=2001-99-99", "a=[", f"a={'[' * 99}"])
def test_overrides_are_read_alike(assignment: str) -> None:
    with pytest.raises(ConfigError, match="not a YAML value") as caught:
        load_config("tiny", [assignment])
    assert "\n" not in str(caught.value)


def test_a_pipe_is_no_recipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match="no regular file"):
        load_config(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match="cannot read"):
        load_config("nul\0.yaml")
