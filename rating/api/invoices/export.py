"""GET /v1/invoices/export: invoice lines for accounting, as one CSV or Parquet document."""

from __future__ import annotations

from typing import IO, Annotated, Literal

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from rating.api.context import Authorized, View
from rating.api.downloads import document_file, download
from rating.api.query_scheduler import GoOn, interruptible
from rating.invoices.accounting_export import COLUMNS, MEDIA_TYPES, ExportFormat, line_pages, write_lines

router = APIRouter(tags=["invoices"])

_COLUMN_LIST = "\n".join(f"- `{column.name}`: {column.about}" for column in COLUMNS)


@router.get(
    "/v1/invoices/export",
    summary="Lines of all invoices for accounting, one row a line",
    description="Decimals are exact: text in CSV, decimal columns in Parquet. Columns are only ever added, at the end:"
    f"\n\n{_COLUMN_LIST}",
    response_class=Response,
)
async def export(
    request: Request,
    rating: Authorized,
    view: View,
    form: Annotated[ExportFormat, Query(alias="format")] = "csv",
    account_id: Annotated[str | None, Query()] = None,
    state: Annotated[Literal["draft", "finalized", "void", "paid"] | None, Query()] = None,
) -> Response:
    def written(client: Client, go_on: GoOn) -> tuple[IO[bytes], int]:
        out = document_file()
        pages = line_pages(client, view.namespace, account_id=account_id, state=state)
        count = write_lines(out, interruptible(pages, go_on), form)
        return out, count

    document, count = await rating.ask_long(written, request)
    file_name = f"{view.namespace}-invoice-lines.{form}"
    return download(document, MEDIA_TYPES[form], file_name, {"Weir-Lines": str(count)})
