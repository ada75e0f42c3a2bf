"""Open alerts on a namespace's overview: nothing where there are none, and a customer's words are words."""

from __future__ import annotations

from dataclasses import replace

from rating.alerts.alert_store import StoredAlert
from rating.alerts.crossings import next_alerts
from rating.console.alert_list import OPEN_SHOWN, open_alerts
from tests.unit.rating.alerts.builders import as_of, rule, seen


def test_open_alerts_are_listed_up_to_a_number() -> None:
    assert open_alerts("shop", []) is None
    crossing = replace(seen(12_000), account_id="<b>acme</b>")
    [alert] = next_alerts("shop", rule("8000"), 1, crossing, as_of(), lambda _: 0)
    stored = StoredAlert(alert, 1_000_000)
    shown = str(open_alerts("shop", [stored]))
    assert "&lt;b&gt;acme" in shown
    assert "12\u202f000" in shown
    assert "Only the latest" not in shown
    assert "Only the latest" in str(open_alerts("shop", [stored] * (OPEN_SHOWN + 1)))
