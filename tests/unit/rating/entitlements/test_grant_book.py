"""What accounts are granted is kept until the catalog or time changes it, in bounded room that namespaces share."""

from __future__ import annotations

from rating.api.entitlements.grant_book import GrantBook
from rating.entitlements.granted import Granted
from schemas.catalog.profiles import FOREVER
from schemas.catalog.state import Catalog
from tests.unit.rating.builders import Shelf


def test_a_namespace_has_half_of_the_room_and_the_largest_lets_go_first() -> None:
    catalog = Catalog()
    book, views = GrantBook(most_weight=80), [catalog.view(name) for name in ("n", "m", "o")]
    for view in views:
        for number in range(20):
            book.keep(view, Granted(f"a{number}", "UTC", {}, FOREVER))
            assert book.known(view, "a0", 0) is not None  # it is used, so that others go before it
            assert book.weight <= 80
    kept = [sum(book.known(view, f"a{number}", 0) is not None for number in range(20)) for view in views]
    assert kept == [3, 3, 4]  # of 8 each: no namespace has less than another by more than one


def test_a_change_of_what_grants_are_made_of_and_time_end_them() -> None:
    book, shelf = GrantBook(), Shelf()
    shelf.add("account", {"code": "a"})
    book.keep(shelf.view(), Granted("a", "UTC", {}, 100))
    assert book.known(shelf.view(), "a", 99) is not None
    assert book.known(shelf.view(), "a", 100) is None
    shelf.add("account", {"code": "other"})
    assert book.known(shelf.view(), "a", 99) is not None
    shelf.add("feature", {"code": "f"})
    assert book.known(shelf.view(), "a", 99) is None
