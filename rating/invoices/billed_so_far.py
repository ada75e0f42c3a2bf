"""What an account has been billed, read from ClickHouse: periods and drawn prepaid credits. Drafts are not
included."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.invoices.amounts.prepaid.grant_entries import CreditedInvoice
from rating.invoices.amounts.prepaid_credits import CREDIT
from rating.invoices.read import named_lots
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_details import body_of_text


def billed_until(client: Client, namespace: str, account_id: str) -> dict[str, int]:
    """Subscription of the account → end of its last invoice's period, microseconds UTC. Blocking."""
    rows = client.query(
        "SELECT subscription, toUnixTimestamp64Micro(max(period_end)) FROM invoices FINAL"
        " WHERE namespace = {namespace:String} AND account_id = {account_id:String} GROUP BY subscription",
        parameters={"namespace": namespace, "account_id": account_id},
    ).result_rows
    return {str(row[0]): int(row[1]) for row in rows}


def credits_drawn(client: Client, namespace: str, account_id: str) -> dict[str, Decimal]:
    """Credit grant → amount drawn by the account's invoices that are not void, minus what their credit notes
    restored. Blocking."""
    rows = client.query(
        "WITH newest AS (SELECT invoice_id, max(version) AS latest, argMax(body, version) AS latest_body FROM invoices"
        "   WHERE namespace = {namespace:String} AND account_id = {account_id:String}"
        "   GROUP BY invoice_id HAVING argMax(state, version) != 'void')"
        " SELECT code, toString(sum(used)) FROM ("
        "   SELECT substring(charge, length('credit:') + 1) AS code, -amount AS used FROM invoice_lines FINAL"
        "   WHERE namespace = {namespace:String} AND kind = 'credit' AND (invoice_id, version) IN (SELECT "
        "invoice_id, latest FROM newest)"
        "   UNION ALL SELECT JSONExtractString(part, 'grant'), -toDecimal128(JSONExtractString(part, 'amount'), 12) "
        "FROM newest"
        "   ARRAY JOIN arrayFlatten(arrayMap(note -> JSONExtractArrayRaw(note, 'prepaid'), "
        "JSONExtractArrayRaw(latest_body, 'credit_notes'))) AS part"
        " ) GROUP BY code",
        parameters={"namespace": namespace, "account_id": account_id},
    ).result_rows
    return {str(code): Decimal(drawn) for code, drawn in rows}


_OF: Final = "namespace = {namespace:String} AND draft = false AND list = {list:String} AND of IN {of:Array(String)}"


def credited_invoices(
    client: Client, namespace: str, account_id: str, subscriptions: Collection[str]
) -> list[CreditedInvoice]:
    """What the invoices of the account, and those of ``subscriptions``, have to do with grants: newest versions, void
    ones too, in the order of their runs. Only credit lines are read. Blocking."""
    read: dict[str, tuple[tuple[int, int, int, str], CreditedInvoice]] = {}
    lots = [("subscription", names) for names in named_lots(sorted(subscriptions))]
    for kind, codes in [("account", [account_id]), *lots]:
        parameters = {"namespace": namespace, "list": kind, "of": codes}
        lines: dict[tuple[str, int], list[tuple[int, str, Decimal, str]]] = {}
        for name, version, number, charge, amount, adjusts in client.query(
            "SELECT invoice_id, version, number, charge, toString(amount), adjusts FROM invoice_lines FINAL"
            " WHERE namespace = {namespace:String} AND kind = 'credit'"
            f" AND invoice_id IN (SELECT invoice_id FROM invoice_lists WHERE {_OF})"
            " ORDER BY invoice_id, version, number",
            parameters=parameters,
        ).result_rows:
            line = int(number), str(charge).removeprefix(CREDIT), Decimal(amount), str(adjusts)
            lines.setdefault((name, version), []).append(line)
        for name, version, state, as_of_us, checkpoint, start_us, sequence, body in client.query(
            "SELECT invoice_id, version, state, toUnixTimestamp64Micro(as_of), checkpoint,"
            f" toUnixTimestamp64Micro(period_start), sequence, body FROM invoice_lists WHERE {_OF}"
            " ORDER BY version DESC LIMIT 1 BY invoice_id",
            parameters=parameters,
        ).result_rows:
            if name not in read and (of_it := lines.get((name, version))):
                order = int(checkpoint), int(start_us), int(sequence), str(name)
                read[name] = order, CreditedInvoice(name, int(as_of_us), body_of_text(body), of_it, state == VOID)
    return [invoice for _, invoice in sorted(read.values(), key=lambda pair: pair[0])]
