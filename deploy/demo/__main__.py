"""``python -m deploy.demo``."""

from __future__ import annotations

import sys

from deploy.cli.errors import Failure, explain
from deploy.demo.run import run


def main() -> None:
    """Run the demo and exit."""
    try:
        run()
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
