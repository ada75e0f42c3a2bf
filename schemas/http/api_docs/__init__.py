"""The page /docs of both services: Swagger UI served from Weir itself, so that it works without internet and no
foreign script runs on the console's origin.

``swagger-ui-bundle.js`` and ``swagger-ui.css`` are unchanged files of swagger-ui-dist 5.32.6 from the npm registry
(Apache-2.0; LICENSE.* and NOTICE.* beside them). The page contains their digests, so a browser refuses altered
files. To update them: ``npm pack swagger-ui-dist@VERSION``, copy the two files and the licence files, and enter the
digests that the test prints.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha384
from html import escape
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

PATH: Final = "/docs"
_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Asset:
    """A file loaded by the page; ``sha384``: its digest in base64, "" for Weir's own file."""

    name: str
    media_type: str
    sha384: str = ""

    @property
    def integrity(self) -> str:
        """The value of the ``integrity`` attribute."""
        return f"sha384-{self.sha384 or digest(content(self.name))}"


ASSETS: Final = (
    Asset(
        "swagger-ui.css", "text/css; charset=utf-8", "9Q2fpS+xeS4ffJy6CagnwoUl+4ldAYhOs9pgZuEKxypVModhmZFzeMlvVsAjf7uT"
    ),
    Asset(
        "swagger-ui-bundle.js",
        "text/javascript; charset=utf-8",
        "EYdOaiRwn44zNjrw+Tfs06qYz9BGQVo2f4/pLY5i7VorbjnZNhdplAbTBk8FXHUJ",
    ),
    Asset("start.js", "text/javascript; charset=utf-8"),
)
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src "
    "'self' data:;"
    " connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@cache
def content(name: str) -> bytes:
    """The bytes of an asset."""
    return (_FOLDER / name).read_bytes()


def digest(data: bytes) -> str:
    """SHA-384 in base64, as in ``integrity`` attributes but without the algorithm's name."""
    return b64encode(sha384(data).digest()).decode()


def page(title: str) -> str:
    """The HTML document."""
    css, *scripts = ASSETS
    links = f'<link rel="stylesheet" href="{PATH}/{css.name}" integrity="{css.integrity}">'
    loaded = "".join(
        f'<script src="{PATH}/{script.name}" integrity="{script.integrity}"></script>' for script in scripts
    )
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, '
        f'initial-scale=1"><title>{escape(title)}</title>'
    )
    return (
        f'<!doctype html><html lang="en"><head>{head}{links}</head><body><div '
        f'id="swagger-ui"></div>{loaded}</body></html>'
    )


def install(app: FastAPI) -> None:
    """Register the page and its assets on ``app``, which must be created with ``docs_url=None``."""

    @app.get(PATH, include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(page(app.title), headers=_HEADERS)

    @app.get(PATH + "/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        file = next((candidate for candidate in ASSETS if candidate.name == name), None)
        if file is None:
            raise HTTPException(404, f"there is no {name[:64]} here")
        cached = {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}
        return Response(content(name), headers=cached, media_type=file.media_type)
