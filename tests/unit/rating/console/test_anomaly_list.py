"""The page of anomalies: numbers in words, a picture that is told without seeing it, a customer's words as words."""

from __future__ import annotations

import re
from dataclasses import replace

from rating.alerts.alert_store import StoredAlert
from rating.alerts.anomalies.next_anomalies import next_anomalies
from rating.console.alerts.anomaly_list import anomalies
from rating.console.frame import Frame
from tests.unit.rating.alerts.test_anomalies import as_of, day, judged, noon_us, until_monday


def test_an_anomaly_is_shown_with_its_numbers_and_a_picture() -> None:
    account = replace(judged([*until_monday()[:-1], day(4000)]), account_id="<b>acme</b>")
    [alert] = next_anomalies(account, as_of(noon_us()), lambda _: 0)
    shown = str(anomalies(Frame("shop"), [StoredAlert(alert, noon_us())], lambda _: "America/New_York", "further"))
    assert "spike of calls.n on 2013-07-08" in shown
    assert "<b>acme" not in shown
    assert "&lt;b&gt;acme" in shown
    assert "4\u202f000 from 4\u202f000 events, where 100 are expected" in shown
    assert re.search(r'<svg[^>]* role="img"[^>]*><title>2013-07-08: 4.000</title><desc>Daily totals of 56 days', shown)
    assert shown.count('class="bar"') == 8, "the same weekday"
    assert (shown.count('class="past"'), shown.count('class="odd"')) == (48, 1)
    assert "<td>2013-07-01</td>" in shown
    assert "cursor=further" in shown
    recovered = replace(alert, state="recovered")
    assert "taken back" in str(anomalies(Frame("shop"), [StoredAlert(recovered, 0)], lambda _: "UTC", None))
    assert "no anomalies" in str(anomalies(Frame("shop"), [], lambda _: "UTC", None))
