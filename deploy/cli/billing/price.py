"""``weir price``: what a quantity costs. Needs no running stack."""

from __future__ import annotations

import sys

from deploy.cli.errors import USAGE, Failure


def price() -> None:
    """Price quantities: reads {"price": {…}, "quantity": "22"} or a list of them on standard input.

    Prints a JSON list of {"amount", "unrounded", "steps"}. A bad price is a clear error and exit code 2.
    """
    from deploy.cli.output import print_json
    from rating.pricing import PriceError, price_json

    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise Failure(f"standard input is not UTF-8: {error}", USAGE) from None
    try:
        results = price_json(text)
    except PriceError as error:
        raise Failure(str(error), USAGE) from None
    print_json(results)
