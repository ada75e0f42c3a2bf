"""GET /v1/accounts/{id}/balance: prepaid credit as it is now, with what is not billed yet."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter

from rating.api.as_of import live_as_of
from rating.api.context import Authorized, Rating, View
from rating.api.rating_problems import unavailable, unknown_account
from rating.estimates.account_state import read_accounts
from rating.estimates.prepaid_draws import drawn_in_all
from rating.invoices.amounts.prepaid.live_balances import LiveBalance, by_currency, live_balances
from rating.invoices.amounts.prepaid_credits import grants_of_account
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import UnknownCheckpoint, read_progress
from schemas.ledgers.generations import Offsets
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["invoices"])


@router.get("/v1/accounts/{account_id:path}/balance", summary="Live prepaid balance: settled, pending, running, live")
async def balance(rating: Authorized, view: View, account_id: str) -> JsonObject:
    """`live` = `settled` − `pending` − `running`, by currency and grant: `settled` is what invoices that stand left,
    `pending` what a close would draw now for what has ended (open drafts among it), within grace or not, `running` what
    the running periods would draw in addition if nothing more was used. By the code that makes invoices, so it is what
    a close of that moment leaves. `as_of` says when: its instant, the positions of the log below which
    all is counted, and the last checkpoint by then. What cannot be rated
    draws nothing and is among the `problems`."""
    return await account_balance(rating, view, account_id)


async def account_balance(rating: Rating, view: NamespaceView, account_id: str) -> JsonObject:
    """The live balance of an account, as the route answers. Raises Problem."""
    if not view.history("account", account_id):
        raise unknown_account(view.namespace, account_id)
    now_us, checkpoint = micros(rating.now_of(view)), rating.checkpoints.last

    def question(client: Client) -> tuple[Offsets, list[LiveBalance], list[str]]:
        offsets = read_progress(client)  # before the usage, which so has at least what it says
        estimate = read_accounts(client, view, [account_id], now_us).estimate(client, rating.checkpoints)
        used, failed = drawn_in_all(estimate)
        return offsets, live_balances(view, account_id, used, now_us), failed

    offsets: Offsets = {}
    balances, problems = list[LiveBalance](), list[str]()
    if grants_of_account(view, account_id, retired=True):
        try:
            offsets, balances, problems = await rating.ask(question)
        except UnknownCheckpoint as error:  # an invoice of a run that was announced a moment ago
            raise unavailable(str(error)) from None
    return {
        "account_id": account_id,
        "as_of": live_as_of(view, now_us, None if checkpoint is None else checkpoint.number, offsets),
        "balances": by_currency(balances),
        "grants": [grant.to_json() for grant in balances],
        "problems": problems,
    }
