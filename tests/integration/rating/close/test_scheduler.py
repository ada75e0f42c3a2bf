"""The scheduled close as a process: it bills by itself what is due, is killed in the middle, and goes on where it
was."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rating.invoices.ledger import StandingInvoices, invoices_reader, read_standing
from rating.invoices.lists import list_invoices
from schemas.ledgers.checkpoints import CheckpointLedger
from tests.integration.rating.processes import Process
from tests.integration.rating.road import Road

pytestmark = pytest.mark.integration


def test_what_is_due_is_billed_once_by_itself_over_a_kill_in_the_middle(
    road: Road, tmp_path: Path, wait_until: Any
) -> None:
    road.publish("product", code="fee", kind="flat")
    price = {"model": "flat", "amount": "3"}
    road.publish(
        "plan",
        code="daily",
        currency="USD",
        interval="day",
        grace_seconds=0,
        charges=[{"product": "fee", "price": price}],
    )
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for number in range(10):
        road.publish("account", code=f"a{number}")
        road.publish(
            "subscription",
            code=f"s{number}",
            account=f"a{number}",
            plan="daily",
            start=(today - timedelta(days=3)).isoformat(),
        )
    due = road.close(dry_run=True).invoices
    assert len(due) == 30
    scheduled = {"close_schedule_seconds": 1, "close_schedule_namespaces": road.namespace}
    with closing(CheckpointLedger(road.settings)) as ledger:

        def runs() -> list[str]:
            return [one.run_id for one in ledger.refresh().runs.values() if one.body.get("namespace") == road.namespace]

        with Process("rating.scheduler", road.settings, tmp_path / "log", **scheduled) as first:
            announced = wait_until(runs, timeout=20)
            first.kill()  # announced, and not all of it is published or numbered
        with Process("rating.scheduler", road.settings, tmp_path / "log", **scheduled) as second:
            shown = wait_until(lambda: finished(road, len(due)), timeout=20)
            assert second.stop() == 0
        assert runs() == announced, "the run that died was joined"
    with invoices_reader(road.settings) as reader:
        standing = read_standing(reader, StandingInvoices()).invoices(road.namespace)
    assert sorted(one.invoice_id for one in standing) == sorted(one.invoice_id for one in due)
    periods = {(one.subscription, one.period_start_us) for one in shown}
    assert len(periods) == len(due)
    assert sorted(str(one.number).rpartition("-")[2] for one in shown) == [f"{rank:06d}" for rank in range(1, 31)]
    log = (tmp_path / "log").read_text()
    assert log.count(f"closing {road.namespace} each 1 s") == 2
    assert "Traceback" not in log


def finished(road: Road, count: int) -> Any:
    """All invoices with their numbers, once they are there."""
    found = list_invoices(road.client, road.namespace, limit=500).invoices
    return found if len(found) >= count and all(one.number for one in found) else None
