"""Documents of any length as answers: written to a file that stays in memory only while it is small, sent in pieces."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import IO, Final

from fastapi.responses import Response, StreamingResponse
from starlette.background import BackgroundTask

_IN_MEMORY: Final = 16 * 1024 * 1024
_CHUNK: Final = 1024 * 1024


def document_file() -> IO[bytes]:
    """A file to write a document to: beyond 16 MiB it waits on disk, so that a long one takes no memory."""
    return tempfile.SpooledTemporaryFile(_IN_MEMORY)


def download(
    document: IO[bytes], media_type: str, file_name: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The document from its start, for a browser to keep under a name; it is closed once it is sent."""
    document.seek(0)
    return StreamingResponse(
        iter(lambda: document.read(_CHUNK), b""),
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{file_name}"', **(headers or {})},
        background=BackgroundTask(document.close),
    )
