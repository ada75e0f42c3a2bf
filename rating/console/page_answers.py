"""Pages as HTTP answers, with the headers of all; what goes wrong, for people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from fastapi import Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from rating.console.frame import Frame
from rating.console.html import Html, link, page, tag
from schemas.http.problems import Problem

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


_GAP: Final = "<!-- pieces -->"
"""Never in a page otherwise: in texts < is escaped."""


def page_of(body: Html, status: int = 200, *, ancestors: Sequence[str] = ()) -> Response:
    """A page with the headers of all. ``ancestors``: origins of the sites that may show it in a frame."""
    answer = HTMLResponse(body, status, headers=_HEADERS)
    if ancestors:
        framed = f"frame-ancestors {' '.join(ancestors)}"
        policy = _HEADERS["Content-Security-Policy"].replace("frame-ancestors 'none'", framed)
        answer.headers["Content-Security-Policy"] = policy
    return answer


def page_in_pieces(frame: Frame, menu_path: str, title: str, pieces: AsyncIterator[Html]) -> Response:
    """A page that is sent as its pieces come, the frame and the first of them at once, so that what takes long keeps
    nothing else waiting. What a piece raises ends the page where it stands."""
    before, after = frame.page(menu_path, title, Html(_GAP)).split(_GAP)

    async def sent() -> AsyncIterator[str]:
        yield before
        async for piece in pieces:
            yield piece
        yield after

    return StreamingResponse(sent(), media_type="text/html; charset=utf-8", headers=_HEADERS)


def failed(problem: Problem, request: Request) -> Response:
    """A problem for people, in the visitor's frame where there is one."""
    frame: Frame | None = getattr(request.state, "frame", None)
    answer = page_of(failure(problem.document()["title"], problem.detail, frame), problem.status)
    answer.headers.update(problem.headers)
    return answer


def failure(title: str, detail: str, frame: Frame | None = None) -> Html:
    """An error for people."""
    if frame is None:
        return page(title, tag("h1", title), tag("p", detail), tag("p", link("Back to the overview")))
    back = tag("p", frame.link("Back to the overview"))
    return frame.page("none", title, tag("h1", title), tag("p", detail, role="alert"), back)
