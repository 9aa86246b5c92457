"""What every part of a recipe or of a weights file's header is."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Finite = Annotated[float, Field(allow_inf_nan=False)]
"""A number that is neither infinite nor NaN."""


class Section(BaseModel):
    """A part of the recipe: immutable, no unknown keys, numbers finite, no truth for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, tree: Any) -> Any:
        """YAML and JSON tell ``true`` from 1, Python does not.

        Raises:
            ValueError: A number is given as true or false.
        """
        for name, value in tree.items() if isinstance(tree, dict) else ():
            field = cls.model_fields.get(name)
            items = value if isinstance(value, list | tuple) else (value,)
            if field and field.annotation is not bool and any(isinstance(i, bool) for i in items):
                raise ValueError(f"{name} is not true or false")
        return tree
