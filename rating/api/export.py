"""GET /v1/invoices/export: invoice lines for accounting, as one CSV or Parquet document."""

from __future__ import annotations

import tempfile
from typing import IO, Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse
from starlette.background import BackgroundTask

from rating.api.context import Authorized, View
from rating.export import COLUMNS, MEDIA_TYPES, Format, line_pages, write_lines

router = APIRouter(tags=["invoices"])

_IN_MEMORY = 16 * 1024 * 1024
_CHUNK = 1024 * 1024


@router.get(
    "/v1/invoices/export", summary="Lines of all invoices for accounting, one row a line",
    description="Decimals are exact: text in CSV, decimal columns in Parquet. Columns are only ever added, at the end:\n\n"
    + "\n".join(f"- `{column.name}`: {column.about}" for column in COLUMNS),
    response_class=Response,
)  # fmt: skip
async def export(
    rating: Authorized,
    view: View,
    form: Annotated[Format, Query(alias="format")] = "csv",
    account_id: Annotated[str | None, Query()] = None,
    state: Annotated[Literal["draft", "finalized", "void", "paid"] | None, Query()] = None,
) -> Response:
    def question(client: Any) -> IO[bytes]:
        # Beyond some size it waits on disk, so that a large export takes no memory.
        out = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 (closed once it is sent)
        write_lines(out, line_pages(client, view.namespace, account_id=account_id, state=state), form)
        out.seek(0)
        return out

    document = await rating.ask(question)
    return StreamingResponse(
        iter(lambda: document.read(_CHUNK), b""), media_type=MEDIA_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="{view.namespace}-invoice-lines.{form}"'},
        background=BackgroundTask(document.close),
    )  # fmt: skip
