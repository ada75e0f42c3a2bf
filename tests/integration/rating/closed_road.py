"""A namespace with a month that is billed."""

from __future__ import annotations

from tests.integration.rating.road import Road


def closed_road(road: Road) -> Road:
    """One account in Kathmandu (+05:45) with three calls in January 2013, billed; one of its calls later."""
    profiles = [
        {"code": "seconds", "aggregation": "sum", "property": "s", "dimensions": ["way"]},
        {"code": "longest", "aggregation": "max", "property": "s"},
    ]
    road.publish("meter", code="calls", unit="s", event_name="call", profiles=profiles)
    road.publish("product", code="time", profile="calls.seconds")
    road.publish("product", code="fee", kind="flat")
    charges = [
        {"product": "fee", "price": {"model": "flat", "amount": "5"}},
        {"product": "time", "price": {"model": "per_unit", "unit_amount": "0.25"}},
    ]
    road.publish("plan", code="basic", currency="USD", charges=charges)
    road.publish("account", code="acme/ü", time_zone="Asia/Kathmandu")
    road.publish(
        "subscription", code="s", account="acme/ü", plan="basic", start="2012-12-31T18:15:00Z", end="2013-03-01"
    )
    road.send(
        [
            ("call", "acme/ü", "1", "2012-12-31T18:14:59Z", {"s": 99, "way": "in"}),
            ("call", "acme/ü", "2", "2012-12-31T18:15:00Z", {"s": "1.50", "way": "in"}),
            ("call", "acme/ü", "3", "2013-01-02T10:00:00Z", {"s": 10, "way": "out"}),
            ("call", "acme/ü", "4", "2013-01-02T18:14:59Z", {"s": 2}),
            ("call", "other", "5", "2013-01-02T18:14:59Z", {"s": 7, "way": "in"}),
        ]
    )
    road.close("2013-02-05T00:00:00+00:00")
    return road
