"""Open alerts on a namespace's overview: nothing where there are none, and a customer's words are words."""

from __future__ import annotations

from dataclasses import replace

from rating.alerts.alert_store import AlertCriteria, StoredAlert
from rating.alerts.crossings import next_alerts
from rating.console.alerts.alert_list import OPEN_SHOWN, alert_page, open_alerts
from rating.console.frame import Frame
from tests.unit.rating.alerts.builders import as_of, rule, seen


def test_open_alerts_are_listed_up_to_a_number() -> None:
    assert open_alerts(Frame("shop"), []) is None
    crossing = replace(seen(12_000), account_id="<b>acme</b>")
    [alert] = next_alerts("shop", rule("8000"), 1, crossing, as_of(), lambda _: 0)
    stored = StoredAlert(alert, 1_000_000)
    shown = str(open_alerts(Frame("shop"), [stored]))
    assert "&lt;b&gt;acme" in shown
    assert "12\u202f000" in shown
    assert "Only the latest" not in shown
    assert "Only the latest" in str(open_alerts(Frame("shop"), [stored] * (OPEN_SHOWN + 1)))


def test_a_page_of_alerts_has_its_filters_and_links_to_what_they_are_of() -> None:
    crossing = replace(seen(12_000), account_id="<b>acme</b>")
    [alert] = next_alerts("shop", rule("8000"), 1, crossing, as_of(), lambda _: 0)
    criteria = AlertCriteria("shop", rule="r", state="fired", open_only=True)
    shown = str(alert_page(Frame("shop"), criteria, [StoredAlert(alert, 1_000_000)], "next"))
    assert "/accounts/%3Cb%3Eacme%3C%2Fb%3E?namespace=shop" in shown
    assert "/alerts?namespace=shop&amp;cursor=next&amp;rule=r&amp;state=fired&amp;open=true" in shown
    assert '<option value="fired" selected>' in shown
    assert "2013-01-01T00:00:00Z" in shown, "the start of its period"
    assert "none" in str(alert_page(Frame("shop"), AlertCriteria("shop"), [], None))
