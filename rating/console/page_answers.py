"""Pages as HTTP answers, with the headers of all; what goes wrong, for people."""

from __future__ import annotations

from typing import Final

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

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


def page_of(body: Html, status: int = 200) -> Response:
    """A page with the headers of all."""
    return HTMLResponse(body, status, headers=_HEADERS)


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
