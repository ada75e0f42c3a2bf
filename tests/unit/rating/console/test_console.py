"""Parts of the console: nothing that a customer wrote becomes markup, and the cookie proves a login."""

from __future__ import annotations

from decimal import Decimal
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.console import session
from rating.console.chart import bars
from rating.console.html import address, link, page, table, tag
from rating.console.pages import _local_path
from rating.console.text import grouped
from rating.console.views import failure, login

VOID = {"meta", "input"}


class Reader(HTMLParser):
    """Text and attributes as a browser would see them; elements must close in order."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.values: list[str | None] = []
        self.names: list[str] = []
        self._open: list[str] = []
        self.feed(markup)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.values.extend(value for _, value in attrs)
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
    Reader(login("/?a=1&b=2", "<wrong>").removeprefix("<!doctype html>"))
    Reader(failure("Not Found", "<script>").removeprefix("<!doctype html>"))


def test_bars_have_a_tooltip_each_and_reach_from_the_base_line() -> None:
    drawn = bars([("a", Decimal(4)), ("b", None), ("c", Decimal(-4)), ("d", Decimal(0))], "mi")
    reader = Reader(drawn)
    assert reader.names.count("rect") == 4
    assert {"a: 4 mi", "b: none", "c: -4 mi", "d: 0 mi"} <= set(reader.text)
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


def test_a_session_is_valid_under_its_key_until_it_expires() -> None:
    cookie = session.issue("key", 1000)
    assert session.valid("key", cookie, 1000 + session.SECONDS - 1)
    assert not session.valid("key", cookie, 1000 + session.SECONDS)
    assert not session.valid("other", cookie, 1000)
    later = str(2000 + session.SECONDS)
    assert not session.valid("key", later + cookie[cookie.index(".") :], 1000)
    for broken in ("", ".", "x", "x.y", cookie.replace(".", "")):
        assert not session.valid("key", broken, 1000)
    assert "key" not in cookie


@pytest.mark.parametrize("outside", ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", "", "/a\nb"])
def test_a_login_never_leads_to_another_site(outside: str) -> None:
    assert _local_path(outside) == "/"
    assert _local_path("/accounts/x?namespace=n") == "/accounts/x?namespace=n"
