"""``python -m deploy.demo [--months 3]``."""

from __future__ import annotations

import argparse
import sys

from deploy.cli.errors import Failure, explain
from deploy.demo.season import Season, run


def main() -> None:
    """Run the demo and exit."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description="bill a year of flights, end to end")
    parser.add_argument(
        "--months", type=int, choices=range(1, 13), default=12, metavar="1…12", help="only the year's first months"
    )
    season = Season(parser.parse_args().months)
    try:
        run(season)
    except KeyboardInterrupt:
        sys.exit("demo: interrupted; run it again and it goes on")
    except Failure as failure:
        sys.exit(f"demo: {failure}")
    except Exception as error:
        text = explain(error)
        if text is None:
            raise
        sys.exit(f"demo: {text}")


if __name__ == "__main__":
    main()
