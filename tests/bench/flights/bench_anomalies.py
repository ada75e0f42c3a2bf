"""What anomalies a year of the demo's flights gives, and how many planted ones are found.

    PYTHONPATH=. .venv/bin/python tests/bench/flights/bench_anomalies.py [--days]

Every account and metric of the demo that adds up is judged day by day as the sweep does it. All that is found in the
file as it is counts as a false alarm, storms and holidays too. Then each day with flights is planted anew by itself:
three times its quantity, and silent. No Kafka and no ClickHouse.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from deploy.demo.data import flights
from deploy.demo.events import event, scheduled
from rating.alerts.anomalies.verdict import KINDS, NO_EVENTS, READ_DAYS, DayUsage, judge

FIRST: Final = date(2013, 1, 1)
DAYS: Final = 365
_BY_UNIT: Final = {"aircraft.distinct": "tailnum", "miles.total": "distance"}
Series = dict[tuple[str, str], list[DayUsage]]


def year() -> Series:
    """(metric, account) → its 365 days, as the demo's catalog measures them."""
    days: dict[tuple[str, str], dict[date, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in flights():
        body, day = event(row), scheduled(row).date()
        for metric, value in _measured(body["event_name"], body["properties"]):
            days[metric, body["account_id"]][day].append(value)
    dates = [FIRST + timedelta(days=number) for number in range(DAYS)]
    return {
        series: [_day(series[0], by_day[day]) if day in by_day else NO_EVENTS for day in dates]
        for series, by_day in sorted(days.items())
    }


def _measured(event_name: str, properties: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """(metric, value) of an event, for each metric that counts it."""
    if event_name == "flight_cancelled":
        yield "cancellations.total", ""
        return
    yield f"departures.{str(properties['origin']).lower()}", ""
    for metric, name in _BY_UNIT.items():
        if name in properties:
            yield metric, str(properties[name])


def _day(metric: str, values: list[str]) -> DayUsage:
    if metric == "miles.total":
        return DayUsage(sum(map(Decimal, values), Decimal(0)), len(values))
    number = len(set(values)) if metric == "aircraft.distinct" else len(values)
    return DayUsage(Decimal(number), len(values))


def play(series: Series) -> tuple[Counter[tuple[str, str]], Counter[date]]:
    """(metric, what) → how many, where what is a kind, "judged", "planted", "3x", "silent"; and alarms by day."""
    counts: Counter[tuple[str, str]] = Counter()
    by_day: Counter[date] = Counter()
    for (metric, _), usage in series.items():
        for number, day in enumerate(usage):
            history = usage[max(number - READ_DAYS, 0) : number]
            verdict = judge(history, day)
            if verdict is None:
                continue
            counts[metric, "judged"] += 1
            if verdict.kind is not None:
                counts[metric, verdict.kind] += 1
                by_day[FIRST + timedelta(days=number)] += 1
            if day.events:
                counts[metric, "planted"] += 1
                tripled = judge(history, DayUsage(3 * day.quantity, 3 * day.events))
                counts[metric, "3x"] += tripled is not None and tripled.kind == "spike"
                silent = judge(history, NO_EVENTS)
                counts[metric, "silent"] += silent is not None and silent.kind == "silence"
    return counts, by_day


def main() -> None:
    """Print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", action="store_true", help="also the days with the most false alarms")
    arguments = parser.parse_args()
    series = year()
    began = time.process_time()
    counts, by_day = play(series)
    spent = time.process_time() - began
    metrics = sorted({metric for metric, _ in series})
    print(
        f"{'metric':22}{'accounts':>9}{'judged':>8}"
        + "".join(f"{kind:>9}" for kind in KINDS)
        + f"{'3x':>9}{'silent':>9}"
    )
    for metric in [*metrics, "all"]:
        names = metrics if metric == "all" else [metric]
        total = {
            what: sum(counts[name, what] for name in names) for what in ("judged", *KINDS, "planted", "3x", "silent")
        }
        found = [f"{total[what] / total['planted']:9.1%}" for what in ("3x", "silent")]
        accounts = sum(name in names for name, _ in series)
        print(
            f"{metric:22}{accounts:9}{total['judged']:8}"
            + "".join(f"{total[kind]:9}" for kind in KINDS)
            + "".join(found)
        )
    judgements = sum(counts[name, "judged"] + 2 * counts[name, "planted"] for name in metrics)
    print(f"{spent / judgements * 1e6:.0f} µs of CPU a judgement, {judgements} of them")
    if arguments.days:
        for day, number in by_day.most_common(15):
            print(day, number)


if __name__ == "__main__":
    main()
