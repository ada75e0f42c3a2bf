"""What grows with history or with the number of others: each measure at sizes at least four times apart, with the
fitted power of its growth (0: flat, 1: linear).

PYTHONPATH=tests/bench:. python -m growth [--only catalog_writes] [--before FOLDER] [--save FILE]

``--before``: another checkout, measured in the same run with this one's drivers, alternating size by size.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

from growth.fit import exponent

MODULES = (
    "catalog_writes",
    "signups",
    "matching",
    "namespaces",
    "account_usage",
    "windows",
    "running_period",
    "invoices.invoice_lists",
    "months",
    "invoices.late_usage",
    "verification",
    "starts",
    "idle",
)
LIMIT_SECONDS = 280
BENCH = Path(__file__).parents[1]
HERE = BENCH.parents[1]

Figures = dict[str, dict[int, float]]


def main() -> None:
    """Print a table for each module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MODULES, default=MODULES)
    parser.add_argument("--before", type=Path, help="another checkout")
    parser.add_argument("--save", type=Path, help="JSON of all figures")
    given = parser.parse_args()
    trees = {"now": HERE} | ({"before": given.before.resolve()} if given.before else {})
    saved: dict[str, dict[str, Figures]] = {}
    for name in given.only:
        module = importlib.import_module(f"growth.{name}")
        results: dict[str, Figures] = {label: {} for label in trees}
        for size in module.SIZES:
            for label, tree in trees.items():
                for what, cost in measured(name, size, tree).items():
                    results[label].setdefault(what, {})[size] = cost
        saved[name] = results
        show(str(module.__doc__), module.SIZES, results)
    if given.save:
        given.save.parent.mkdir(exist_ok=True)
        given.save.write_text(json.dumps(saved, indent=1))


def measured(name: str, size: int, tree: Path) -> dict[str, float]:
    """The module's figures at one size with the code in ``tree``, in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-m", "growth.one", name, str(size)], cwd=tree, check=True, stdout=subprocess.PIPE,
        timeout=LIMIT_SECONDS, env=os.environ | {"PYTHONPATH": f"{BENCH}:{tree}"},
    )  # fmt: skip
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def show(title: str, sizes: tuple[int, ...], results: dict[str, Figures]) -> None:
    """Print a row for each figure and tree."""
    print(f"\n{title.strip()}\n{'':36}{''.join(f'{size:>12,}' for size in sizes)}      growth", flush=True)
    for what in results["now"]:
        for label, figures in results.items():
            costs = figures[what]
            cells = "".join(f"{costs[size]:12.3f}" for size in sizes)
            name = what if len(results) == 1 else f"{what}, {label}"
            print(f"{name:36}{cells}     size^{exponent(costs):.2f}", flush=True)


if __name__ == "__main__":
    main()
