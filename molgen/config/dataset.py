"""What a data set is: the one place where a package of chemistry knows about its molecules.

Specifications that ship are YAML files in ``molgen/datasets``; any other file will do. A recipe
names one, and the whole of it travels in the header of the weights.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from molgen.config.section import Section
from molgen.config.strict_yaml import read_yaml
from molgen.did_you_mean import suggestion
from molgen.errors import ConfigError

DEFAULT = "qm9"
"""Data set of recipes that name none."""

FOLDER = Path(__file__).parents[1] / "datasets"

AtomicNumber = Annotated[int, Field(ge=1, le=118)]
Charge = Annotated[int, Field(ge=-9, le=9)]


class NumberedSplit(Section):
    """Parts by a permutation of the source's own numbers, counted from 1.

    Attributes:
        kind: ``numbered``.
        n: Numbers there are.
        seed: Of the permutation, ``numpy.random.PCG64``.
        test: Share of the test part, which comes first.
        val: Share of the validation part, which comes next.
    """

    kind: Literal["numbered"] = "numbered"
    n: int = Field(ge=1, le=10**8)
    seed: int = Field(ge=0, lt=2**63)
    test: float = Field(0.10, ge=0, lt=1)
    val: float = Field(0.05, ge=0, lt=1)


class HashedSplit(Section):
    """Parts by a hash of the compound, so that no compound is in two of them.

    Attributes:
        kind: ``hashed``.
        test: Share of the test part.
        val: Share of the validation part.
    """

    kind: Literal["hashed"] = "hashed"
    test: float = Field(0.05, ge=0, lt=1)
    val: float = Field(0.05, ge=0, lt=1)


class Dataset(Section):
    """A data set of molecules.

    Attributes:
        name: Short name.
        title: What it is, in a line.
        source: Where it comes from, with its licence.
        reader: Reader of its files, a name of `molgen.data.sources.READERS`.
        atomic_numbers: Elements.
        charges: Formal charges of atoms.
        total_charge: Charge of a molecule; None for any.
        max_atoms: Largest molecule, hydrogens included.
        hydrogens: Most hydrogens on an atom of each element, in the order of ``atomic_numbers``:
            a model then knows heavy atoms only, with their hydrogens as a part of their class.
            Empty where hydrogens are atoms like others.
        split: Rule of the parts train, val and test.
        reference: Statistics that ship with the package, a name of ``molgen/reference``; None for
            those that are made with the store.
    """

    name: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$")
    title: str = Field("", max_length=1000)
    source: str = Field("", max_length=1000)
    reader: str = "sdf"
    atomic_numbers: tuple[AtomicNumber, ...] = Field(min_length=1, max_length=118)
    charges: tuple[Charge, ...] = Field((0,), min_length=1, max_length=19)
    total_charge: int | None = 0
    max_atoms: int = Field(1000, ge=1, le=65_535)
    hydrogens: tuple[Annotated[int, Field(ge=0, le=4)], ...] = Field((), max_length=118)
    split: Annotated[NumberedSplit | HashedSplit, Field(discriminator="kind")] = HashedSplit()
    reference: str | None = None

    @model_validator(mode="after")
    def _classes_are_distinct(self) -> Dataset:
        for name in ("atomic_numbers", "charges"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} names a class twice")
        if 0 not in self.charges:
            raise ValueError("charges must hold 0")
        if self.hydrogens and len(self.hydrogens) != len(self.atomic_numbers):
            raise ValueError("hydrogens needs a number for each of atomic_numbers, or none")
        return self


def shipped_datasets() -> dict[str, Path]:
    """Specifications of the package by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def dataset_tree(name_or_path: str | Path, others: tuple[str, ...] = ()) -> dict[str, Any]:
    """A specification as its file has it.

    Args:
        name_or_path: A name of the package, or a YAML file.
        others: Further names that a user may have meant.

    Raises:
        ConfigError: There is no such specification, or it is no YAML mapping.
    """
    known = shipped_datasets()
    path = known.get(str(name_or_path), Path(name_or_path))
    if not path.is_file():
        hint = suggestion(str(name_or_path), [*known, *others])
        raise ConfigError(f'no data set "{name_or_path}"', hint)
    try:
        tree = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"cannot read {path} ({reason})") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} is not a specification of a data set")
    return {"name": path.stem, **tree}


@cache
def load_dataset(name_or_path: str | Path, others: tuple[str, ...] = ()) -> Dataset:
    """A data set by the name or the path of its specification.

    Args:
        name_or_path: A name of the package, or a YAML file.
        others: Further names that a user may have meant.

    Raises:
        ConfigError: There is no such specification, or it is not valid.
    """
    from molgen.config.reading import validated  # noqa: PLC0415 - recipes name data sets

    return validated(Dataset, dataset_tree(name_or_path, others), str(name_or_path))
