"""Recipes of images: what is accepted, and how a mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from molgen.errors import ConfigError
from molgen.images.config import load_image_config, parse_image_config

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("cifar10*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_recipes_parse_and_survive_their_json_form(path: Path) -> None:
    config = load_image_config(path)
    assert parse_image_config(config.model_dump(mode="json")) == config


def test_both_sizes_are_shipped() -> None:
    assert {load_image_config(path).data.size for path in CONFIGS} == {16, 32}


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"data": {"sise": 16}}, ["'data.sise'", "Did you mean 'size'?"]),
        ({"modle": {}}, ["'modle'", "Did you mean 'model'?"]),
        ({"times": [{"kind": "logistic", "meen": 1}]}, ["'times.0.meen'", "'mean'"]),
        ({"train": {"self_condition": 0.5}}, ["train.self_condition"]),
        ({"model": {"channels": [30]}}, ["model", "30 channels"]),
        ({"model": {"channels": []}}, ["channels is empty"]),
        ({"model": {"attend": [7]}}, ["attend", "lacks"]),
        ({"data": {"size": 30}}, ["size 30", "halved 2 times"]),
        ({"domain": "molecules"}, ["domain", "'images'"]),
    ],
)
def test_a_mistake_is_told_with_its_path(tree: dict, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_image_config({"domain": "images", **tree}, "recipe.yaml")
    text = str(caught.value)
    assert text.startswith("recipe.yaml: ")
    assert "\n" not in text
    for word in words:
        assert word in text
