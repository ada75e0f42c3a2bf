"""What an answer to a request makes of a top-up. Pure.

Money that came is credited, once, whatever was said before: so a request that was refused or withdrawn can still be
paid. Where another one is open then, it is withdrawn by the same answer, since the gap is closed: whoever charges for
that one can see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.catalog.prepaid.topup_record import Topup, TopupRecord, Topups
from schemas.errors import WeirError


class TopupConflict(WeirError):
    """The top-up has an answer that does not go with this one."""


@dataclass(frozen=True, slots=True)
class TopupAnswer:
    """``reference``: of the payment, or why it was refused; "" where that is not told."""

    state: Literal["paid", "refused"]
    reference: str = ""


def records_of(topups: Topups, topup: Topup, answer: TopupAnswer) -> list[TopupRecord]:
    """The records that write the answer; none where it stands already. Raises TopupConflict."""
    record = topup.record
    if topup.state == "paid" and answer.state == "refused":
        raise TopupConflict(f"{record.topup_id} is paid, and its grant stands; retire credit grant {record.topup_id}")
    if topup.state == answer.state:
        if topup.state == "paid" and answer.reference not in ("", record.reference):
            raise TopupConflict(
                f"{record.topup_id} is paid by {record.reference or 'a payment without reference'}; if"
                f" {answer.reference} is a second payment, pay it back, or declare a credit grant for it"
            )
        return []
    records: list[TopupRecord] = []
    other = topups.open
    if answer.state == "paid" and other is not None and other.record.number != record.number:
        records.append(other.record.followed_by(topups.version + 1, "withdrawn", f"{record.topup_id} was paid"))
    version = topups.version + 1 + len(records)
    return [*records, record.followed_by(version, answer.state, answer.reference)]
