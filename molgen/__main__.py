"""``python -m molgen``."""

from __future__ import annotations

from molgen.cli import main

if __name__ == "__main__":
    main()
