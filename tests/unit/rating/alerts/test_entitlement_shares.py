"""Shares of entitlements: what a check says is used of what is granted, and when a limit restarts."""

from __future__ import annotations

from collections.abc import Mapping, Set
from decimal import Decimal
from typing import Any

import pytest

from rating.alerts import observations
from rating.alerts.observations import Look, observe_state
from rating.alerts.shares.resets import Resets
from rating.alerts.watched import ActiveRule
from rating.estimates.account_state import AccountState
from rating.invoicing.charges import Totals
from rating.invoicing.need import Need
from rating.subscriptions.timeline import timeline
from rating.usage import Usage, UsageGroup
from schemas.catalog.alerts import AlertRule
from schemas.ledgers.checkpoints import Checkpoints
from tests.unit.rating.alerts.builders import NO_CLIENT
from tests.unit.rating.builders import us
from tests.unit.rating.entitlements.test_granted import NOW, shop

APRIL, TOMORROW = us("2026-04-01T04:00:00Z"), us("2026-03-11T04:00:00Z")


def look(monkeypatch: pytest.MonkeyPatch, used: Mapping[str, int], limits: list[dict[str, Any]], **rule: Any) -> Look:
    """What a rule sees of subscription s of acme, to whom ``limits`` are granted. ``used``: by reset of the limit."""
    shelf = shop({"code": "f", "profile": "calls.n", "limits": limits}, plan=[{"feature": "f"}])
    line = timeline(shelf.view(), "s")
    assert line is not None
    lengths = {"day": 86_400, "month": 31 * 86_400 - 3600}

    def measure(client: Any, namespace: str, needs: Mapping[Need, Set[str]], *_: Any, **__: Any) -> Totals:
        seconds = {need: (need.end_us - need.start_us) // 1_000_000 for need in needs}
        of_need = {need: next((name for name in used if lengths.get(name) == seconds[need]), "") for need in needs}
        return {
            need: {"acme": [UsageGroup(Usage(Decimal(used[name]), 1), "acme")]} if name else {}
            for need, name in of_need.items()
        }

    monkeypatch.setattr(observations, "measure", measure)
    body = {"code": "r", "measure": "entitlement", "feature": "f", "thresholds": ["50%", "80%"]} | rule
    active = ActiveRule(AlertRule.model_validate(body), 1)
    state = AccountState(shelf.view(), ["acme"], NOW, [line], {}, [])
    return observe_state(NO_CLIENT, Checkpoints(), [active], state)


def seen(of: Look) -> list[tuple[str, str, int, Decimal, Decimal | None]]:
    return [(one.subscription, one.metric, one.end_us, one.value, one.base) for _, one in of.observed]


DAY, MONTH = {"quantity": "10", "reset": "day"}, {"quantity": "100", "reset": "month"}


def test_of_several_limits_that_counts_of_which_the_greatest_share_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    both = look(monkeypatch, {"day": 4, "month": 60}, [DAY, MONTH])
    assert seen(both) == [("s", "f", 0, Decimal(60), Decimal(100))]
    assert both.resets == {"acme": APRIL}, "of the limit that has passed a threshold alone"
    assert seen(look(monkeypatch, {"day": 9, "month": 60}, [DAY, MONTH])) == [("s", "f", 0, Decimal(9), Decimal(10))]
    by_day = look(monkeypatch, {"day": 5, "month": 60}, [DAY, MONTH], interval="day")
    assert (seen(by_day), by_day.resets) == ([("s", "f", 0, Decimal(5), Decimal(10))], {"acme": TOMORROW})
    assert seen(look(monkeypatch, {"month": 60}, [MONTH], interval="day")) == []
    assert by_day.starts == {}, "earlier intervals are not looked at"


def test_what_has_no_share_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    for limits in ([], [{"quantity": "0", "reset": "day"}], [{"quantity": "9", "rolling": "5 hours"}]):
        assert seen(look(monkeypatch, {"day": 5}, limits)) == []
    assert seen(look(monkeypatch, {}, [DAY])) == [("s", "f", 0, Decimal(0), Decimal(10))]
    assert seen(look(monkeypatch, {"day": 5}, [DAY], plan="other")) == []


def test_limits_that_restart_have_their_accounts_looked_at_then(monkeypatch: pytest.MonkeyPatch) -> None:
    resets = Resets()
    resets.note("air", {"a": 50, "b": 70})
    resets.note("air", {"a": 50, "b": 60})
    resets.note("sea", {"a": 55})
    assert resets.due(49) == {}
    assert {name: set(accounts) for name, accounts in resets.due(60).items()} == {"air": {"a", "b"}, "sea": {"a"}}
    resets.due(70)
    assert len(resets) == 0
    monkeypatch.setattr("rating.alerts.shares.resets.MOST_RESETS", 1)
    resets.note("air", {"a": 50, "b": 70})
    assert len(resets) == 1
