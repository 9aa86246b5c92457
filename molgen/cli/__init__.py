"""The command line: parse, call the library, write, print a summary.

No module here imports torch, RDKit or numpy at module level, so that ``molgen --help`` and every
mistyped option answer at once.
"""

from __future__ import annotations

from molgen.cli.exits import main, run

__all__ = ["main", "run"]
