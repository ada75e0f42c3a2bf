"""What an account has been billed, read from ClickHouse: periods and drawn prepaid credits. Drafts are not
included."""

from __future__ import annotations

from decimal import Decimal

from clickhouse_connect.driver.client import Client


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
