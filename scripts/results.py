"""The evidence: what the shipped weights yield, at how many network calls, beside real molecules.

    python scripts/results.py measure --weights qm9 --steps 1 2 4 8 20 --n 10000 --seeds 0 1 2
    python scripts/results.py report docs/results.csv

``measure`` appends one row per set of weights, number of network calls and seed to a CSV file;
rows that are there are kept, so it can be stopped or killed and repeated. ``report`` writes the
tables of docs/results.md between their markers and draws its figure.
"""

from __future__ import annotations

import argparse

import results_measure
import results_report

from molgen.errors import MolgenError

COMMANDS = {"measure": results_measure, "report": results_report}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="|".join(COMMANDS))
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=(module.__doc__ or "").splitlines()[0])
        module.add_options(command)
        command.set_defaults(run=module.main)
    options = parser.parse_args()
    try:
        options.run(options)
    except MolgenError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
