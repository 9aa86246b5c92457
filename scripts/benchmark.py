"""What sampling costs and what it yields.

    python scripts/benchmark.py cost --n 1000 --steps 1 2 4 8 20
    python scripts/benchmark.py schedules --stage wide --n 96 --out results/wide.csv
    python scripts/benchmark.py schedules --stage final --wide results/wide.csv --seeds 1 2 3
    python scripts/benchmark.py schedules --given test --out results/given.csv
    python scripts/benchmark.py report --wide results/wide.csv --final results/final.csv
    python scripts/benchmark.py scaffolds --model qm9 --steps 4 8 20
    python scripts/benchmark.py edits --steps 8

``cost`` runs ``molgen sample`` from the start of the process to the closed SDF and prints wall
seconds, CPU seconds, peak memory and molecules per second, without and with the checks' table.
``schedules`` measures schedules, total variances and solvers at equal numbers of network calls,
one row of a CSV file each; rows that are there are kept, so it can be stopped and repeated.
``report`` draws the plots and writes docs/schedules.md from those files. ``scaffolds`` completes
parts of test molecules, ``edits`` varies test molecules and makes some between two.
"""

from __future__ import annotations

import argparse

import benchmark_cost
import benchmark_edits
import benchmark_scaffolds
import benchmark_schedules
import schedule_report

from molgen.errors import MolgenError

COMMANDS = {
    "cost": benchmark_cost,
    "schedules": benchmark_schedules,
    "report": schedule_report,
    "scaffolds": benchmark_scaffolds,
    "edits": benchmark_edits,
}


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
