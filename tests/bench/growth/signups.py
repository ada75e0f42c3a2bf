"""An account signs up in a namespace of so many profiles: CPU milliseconds until the next events can be matched."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from growth.catalog_writes import NAMESPACE, publish
from growth.fit import cpu_ms
from schemas.catalog.profiles import resolve
from schemas.catalog.state import Catalog
from schemas.events.event_types import event_types
from schemas.events.measurable import measurable
from stream_processors.metering.meter_records import Matchers

SIZES = (25, 500)


def measure(size: int) -> Iterator[tuple[str, float]]:
    """The worker's matcher, the gateway's checks, and the profile of a usage query; nothing is compiled anew."""
    catalog = Catalog()
    publish(catalog, "namespace", {"code": NAMESPACE})
    for number in range(size):
        profile = {"code": "n", "aggregation": "sum", "property": ["x"]}
        publish(catalog, "meter", {"code": f"m{number}", "profiles": [profile]})
    matchers, accounts = Matchers(catalog), count()

    def sign_up() -> None:
        publish(catalog, "account", {"code": f"a{next(accounts)}"})

    def worker() -> None:
        sign_up()
        matchers.at(NAMESPACE, catalog.next_offset)

    def gateway() -> None:
        sign_up()
        view = catalog.view(NAMESPACE)
        event_types(view).knows("m7")
        measurable(view)

    def question() -> None:
        sign_up()
        resolve(catalog.view(NAMESPACE), "m7.n")

    for what, work in (("alone", sign_up), ("a worker", worker), ("a gateway", gateway), ("a usage query", question)):
        work()
        yield what, cpu_ms(work, 31)
