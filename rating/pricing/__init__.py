"""Pricing, pure and exact: ``rate`` runs the stages of DESIGN section 7 over one quantity and explains each.

Owns: what a quantity costs. Does not own: where the quantity comes from, periods, invoices; and nothing here reads
a clock. ``rating_stages.py`` is the table of contents, ``price_models.py`` has the price models.
"""

from rating.pricing.exact import money_text, round_money
from rating.pricing.price_json import price_json
from rating.pricing.priced_line import MatrixQuantity, Rated, Step
from rating.pricing.rating_stages import rate
from schemas.prices import PriceError, parse_price, plain

__all__ = [
    "MatrixQuantity",
    "PriceError",
    "Rated",
    "Step",
    "money_text",
    "parse_price",
    "plain",
    "price_json",
    "rate",
    "round_money",
]
