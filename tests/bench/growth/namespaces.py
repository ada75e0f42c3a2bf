"""Requests of ten events of so many namespaces in turn: CPU microseconds an event."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle

import numpy as np

from growth.fit import cpu_ms
from schemas.catalog.models import KINDS
from schemas.catalog.state import Catalog, record_of
from schemas.events.acceptance import accept
from schemas.events.event_types import event_types
from schemas.events.measurable import measurable
from schemas.events.raw_events import decode_batch
from schemas.matching.columns import Events, Matches
from stream_processors.metering.meter_records import Matchers

SIZES = (10, 1_000)
REQUESTS = 4_000
NOW_US = 1_790_000_000_000_000


def catalog_of(namespaces: int) -> Catalog:
    """Namespaces of a meter with two profiles and an event type each."""
    catalog = Catalog()
    field = {"name": "seconds", "type": "double"}
    for number in range(namespaces):
        bodies = (
            ("namespace", {"code": f"n{number}"}),
            ("event_type", {"code": "call", "schema": {"type": "record", "name": "Call", "fields": [field]}}),
            ("meter", {"code": "call", "profiles": [
                {"code": "total", "aggregation": "sum", "property": ["seconds"]}, {"code": "n", "aggregation": "count"},
            ]}),
        )  # fmt: skip
        for kind, body in bodies:
            offset = catalog.next_offset
            model = KINDS[kind].model_validate(body)
            record = record_of(f"n{number}", model, kind=kind, version=1, author="", claim_id=str(offset))
            assert catalog.apply(record, offset, NOW_US) is not None
    return catalog


def measure(size: int) -> Iterator[tuple[str, float]]:
    """What a gateway and a worker do of a request for the sake of its namespace, after each was seen once."""
    catalog = catalog_of(size)
    body = json.dumps({"events": [{"event_name": "call", "account_id": "a", "properties": {"seconds": 1.5}}] * 10})
    properties = [b'{"seconds":1.5}'] * 10
    matchers = Matchers(catalog)

    def gateway(namespace: str) -> None:
        view = catalog.view(namespace, catalog.next_offset)
        accepted = accept(
            namespace, view.settings, decode_batch(body.encode()), now_us=NOW_US, mint_key=str, types=event_types(view)
        )
        measurable(view).warnings(accepted)

    def worker(namespace: str) -> None:
        matcher = matchers.at(namespace, catalog.next_offset)
        matcher.match("call", Events(np.arange(10), np.full(10, NOW_US), properties, list), Matches())

    for what, work in (("gateway", gateway), ("worker", worker)):
        for number in range(size):
            work(f"n{number}")
        names = cycle(f"n{number}" for number in range(size))
        yield what, cpu_ms(partial(_next, work, names), REQUESTS) / 10 * 1e3


def _next(work: Callable[[str], None], names: Iterator[str]) -> None:
    work(next(names))
