"""What every part of a recipe is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the recipe: immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
