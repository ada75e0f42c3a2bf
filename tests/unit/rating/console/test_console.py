"""Parts of the console: nothing that a customer wrote becomes markup, and the cookie proves a login."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from fastapi.responses import StreamingResponse
from hypothesis import given
from hypothesis import strategies as st

from rating.console.chart import bars
from rating.console.frame import Frame
from rating.console.html import Html, address, link, page, table, tag
from rating.console.login import session
from rating.console.login.login_page import login_form
from rating.console.login.login_routes import local_path
from rating.console.page_answers import failure, page_in_pieces
from rating.console.text import grouped, local_days, rounded
from schemas.values.instants import micros, parse_rfc3339

VOID = {"meta", "input", "link"}


class Reader(HTMLParser):
    """Text and attributes as a browser would see them; elements must close in order."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.values: list[str | None] = []
        self.links: list[str] = []
        self.names: list[str] = []
        self._open: list[str] = []
        self.feed(markup)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.values.extend(value for _, value in attrs)
        self.links.extend(value for key, value in attrs if key in {"href", "action", "src"} and value)
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


# A browser reads NUL and lone carriage returns as other characters, whatever is written.
texts = st.text(st.characters(exclude_characters="\x00\r", exclude_categories=["Cs"]), min_size=1)


@given(texts, texts)
def test_any_text_stays_text(content: str, attribute: str) -> None:
    reader = Reader(tag("p", content, title=attribute))
    assert "".join(reader.text) == content
    assert reader.values == [attribute]
    assert reader.names == ["p"]


@given(texts)
def test_a_link_names_exactly_one_thing(name: str) -> None:
    assert address("accounts", name).count("/") == 2
    assert "?" not in address("accounts", name)
    assert Reader(link("x", "accounts", name, namespace=name)).names == ["a"]


def test_documents_are_well_formed() -> None:
    document = page("<title>", tag("h1", "a & b"), table(["x"], [["<b>"], [tag("b", 1)]], frozenset({0})))
    reader = Reader(document.removeprefix("<!doctype html>"))
    assert "<title> · Weir" in reader.text
    assert reader.names.count("b") == 1
    Reader(login_form("/?a=1&b=2", "<wrong>").removeprefix("<!doctype html>"))
    Reader(failure("Not Found", "<script>").removeprefix("<!doctype html>"))


def test_a_page_in_pieces_begins_before_its_second_piece_is_there() -> None:
    ready = asyncio.Event()

    async def pieces() -> AsyncIterator[Html]:
        yield tag("h1", "<first>")
        await ready.wait()
        yield tag("p", "second")

    async def read() -> str:
        answer = page_in_pieces(Frame("shop"), "accounts", "A customer", pieces())
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert isinstance(answer, StreamingResponse)
        chunks = aiter(answer.body_iterator)
        begun = [str(await anext(chunks)), str(await anext(chunks))]
        ready.set()
        return "".join([*begun, *[str(chunk) async for chunk in chunks]])

    document = asyncio.run(read())
    assert "<!-- pieces" not in document
    assert {"<first>", "second", "A customer · shop · Weir"} <= set(
        Reader(document.removeprefix("<!doctype html>")).text
    )


def test_bars_have_a_tooltip_each_and_reach_from_the_base_line() -> None:
    drawn = bars([("a", Decimal(4)), ("b", None), ("c", Decimal(-4)), ("d", Decimal(0))], "mi")
    reader = Reader(drawn)
    assert reader.names.count("rect") == 4
    assert {"a: 4 mi", "b: none", "c: −4 mi", "d: 0 mi"} <= set(reader.text)
    heights = [part.split('"')[0] for part in drawn.split(' height="')[1:]]
    assert heights[0] == heights[2] == "90.0"
    assert heights[1] == heights[3] == "0.0"
    assert "nothing" not in bars([], "")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1234567.50", "1\u202f234\u202f567.50"), ("-12.00", "−12.00"), (Decimal("1E+3"), "1\u202f000"), (0, "0"),
        (None, "–"),
        ("0.05", "0.05"), (Decimal("-0.5"), "−0.5"),
    ],
)  # fmt: skip
def test_numbers_for_people(number: Decimal | int | str | None, text: str) -> None:
    assert grouped(number) == text


KEYS = [
    (),
    (session.SessionKey("shop", "key_1", "ab" * 32),),
    (
        session.SessionKey("shop", "user:ada@example.com", "ab" * 32),
        session.SessionKey("bar", "user:ada@example.com", "c"),
    ),
]


@pytest.mark.parametrize("keys", KEYS)
def test_a_session_is_of_its_keys_under_its_secret_until_it_expires(keys: tuple[session.SessionKey, ...]) -> None:
    lasts = session.SECONDS * 1_000_000
    cookie = session.issue("secret", keys, 1000)
    assert session.session_of("secret", cookie, 1000 + lasts - 1) == session.ConsoleSession(keys, 1000)
    assert session.session_of("secret", cookie, 1000 + lasts) is None
    assert session.session_of("other", cookie, 1000) is None
    expires, named, signature = cookie.split(".")
    for forged in (
        f"{2000 + lasts}.{named}.{signature}",
        f"{expires}..{signature}" if named else f"{expires}.c2hvcAprCmFi.{signature}",
        *("", ".", "x", "x.y", "x.y.z", "ü.ü.ü", cookie.replace(".", "")),
    ):
        assert session.session_of("secret", forged, 1000) is None
    assert "secret" not in cookie


def test_a_form_is_of_its_session() -> None:
    cookie = session.issue("secret", (), 1000)
    token = session.form_token("secret", cookie)
    assert session.is_form_token("secret", cookie, token)
    for wrong in ("", "ü", token[:-1], session.form_token("secret", "other"), session.form_token("other", cookie)):
        assert not session.is_form_token("secret", cookie, wrong)
    assert cookie.rpartition(".")[2] != token, "the one signature is never the other"


@given(texts, texts, texts)
def test_names_of_a_frame_stay_text_and_no_link_loses_the_namespace(namespace: str, name: str, code: str) -> None:
    frame = Frame(namespace, (namespace, "other"), title=name, visitor=name, name_of=lambda kind, of: name)
    shown = frame.page("accounts", name, frame.account(code), frame.named("plan", code), frame.link(name, "runs"))
    reader = Reader(shown.removeprefix("<!doctype html>"))
    assert "script" not in reader.names
    assert {f"{name} · {namespace} · Weir", namespace} <= {*reader.text, *reader.values}
    links = [link for link in reader.links if link.startswith("/") and not link.startswith("/assets/")]
    kept = address(namespace=namespace).removeprefix("/?")
    elsewhere = {"/docs", "/logout", "/search", address(namespace="other")}
    assert [link for link in links if kept not in link and link not in elsewhere] == []


@pytest.mark.parametrize(
    ("number", "text", "exact"),
    [
        ("105426941.360139855527", "105\u202f426\u202f941.36 t", "105426941.360139855527 t"),
        ("0.1234567", "0.123457 t", "0.1234567 t"), ("-1000.5", "−1\u202f000.5 t", None), (None, "–", None),
    ],
)  # fmt: skip
def test_a_rounded_number_has_the_exact_one_on_demand(number: str | None, text: str, exact: str | None) -> None:
    reader = Reader(rounded(number, "t"))
    assert "".join(reader.text) == text
    assert (exact in reader.values) == (exact is not None)


def test_local_days_are_said_with_the_last_one() -> None:
    def days(start: str, end: str) -> str:
        return local_days(micros(parse_rfc3339(start)), micros(parse_rfc3339(end)), "America/New_York")

    assert days("2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z") == "2026-11"
    assert days("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z") == "2026-11-01"
    assert days("2026-11-15T05:00:00Z", "2026-12-15T05:00:00Z") == "2026-11-15 to 2026-12-14"
    assert "not included" in days("2026-11-01T00:00:00Z", "2026-12-01T05:00:00Z")


@pytest.mark.parametrize("outside", ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", "", "/a\nb"])
def test_a_login_never_leads_to_another_site(outside: str) -> None:
    assert local_path(outside) == "/"
    assert local_path("/accounts/x?namespace=n") == "/accounts/x?namespace=n"
