"""Pickles of RDKit molecules, numpy arrays and plain values; anything else is refused."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from molgen.errors import DataError

ALLOWED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "rdkit.Chem.rdchem": frozenset({"Mol", "RWMol"}),
        "numpy": frozenset({"ndarray", "dtype"}),
        "numpy.core.multiarray": frozenset({"_reconstruct", "scalar"}),
        "numpy._core.multiarray": frozenset({"_reconstruct", "scalar"}),
        "numpy.core.numeric": frozenset({"_frombuffer"}),
        "numpy._core.numeric": frozenset({"_frombuffer"}),
        "builtins": frozenset({"bytearray", "complex", "frozenset", "set"}),
        "__builtin__": frozenset({"bytearray", "complex", "frozenset", "set"}),
        "_codecs": frozenset({"encode"}),  # bytes of old protocols
        "collections": frozenset({"OrderedDict"}),
    }
)
"""Names by module that a pickle may ask for; none of them runs what it is given."""


class UntrustedError(DataError):
    """A pickle asks for what is not in `ALLOWED`."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in ALLOWED.get(module, ()):
            raise UntrustedError(
                f"a pickle asks for {module}.{name}, which could run any code",
                "Fetch it again from a source that you trust",
            )
        return super().find_class(module, name)


def load_pickle(path: Path) -> Any:
    """The content of a pickle.

    Raises:
        UntrustedError: It asks for what is not in `ALLOWED`.
        DataError: It cannot be read or is damaged.
    """
    try:
        with path.open("rb") as file:
            return _Unpickler(file).load()
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror})", "Restore the file") from None
    except UntrustedError as error:
        raise UntrustedError(f"{path}: {error.message}", error.hint) from None
    except Exception as error:  # noqa: BLE001 - a damaged pickle raises anything
        raise DataError(
            f"{path} is no pickle of molecules ({' '.join(str(error).split())[:100]})",
            "Fetch it again",
        ) from None
