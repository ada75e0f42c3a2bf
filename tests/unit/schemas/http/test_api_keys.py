"""API keys: text, hash, scopes, namespaces, expiry and revocation, without any service."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog.keys import ApiKey
from schemas.catalog.state import Catalog, record_of
from schemas.http.api_keys import KIND, Access, Denied, KeyName, Keyring, key_hash, key_name, key_text
from schemas.http.scopes import ADMIN, CATALOG, INGEST, READ, READ_CATALOG
from schemas.values.instants import micros

CODES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True)
ROOT = "weir_admin_root"
NOW = micros(datetime(2026, 1, 1, tzinfo=UTC))


class World:
    """A catalog and its keyring."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.is_fresh = True
        self.keys = Keyring(ROOT, self.catalog, lambda: self.is_fresh)

    def publish(
        self, namespace: str, model: ApiKey, version: int = 1, *, retired: bool = False, author: str = "t"
    ) -> None:
        record = record_of(
            namespace, model, kind=KIND, version=version, author=author, claim_id="c", retired=retired
        )  # fmt: skip
        assert self.catalog.apply(record, self.catalog.next_offset, NOW) is not None

    def key(self, namespace: str = "n", key_id: str = "key_1", **fields: Any) -> tuple[str, ApiKey]:
        text = key_text(namespace, key_id, bytes(range(32)))
        model = ApiKey(code=key_id, hash=key_hash(text), **({"scopes": ["ingest"]} | fields))
        self.publish(namespace, model)
        return text, model

    def access(self, text: str | None, now_us: int = NOW) -> Access:
        return self.keys.access(None if text is None else f"Bearer {text}", now_us)

    def denied(self, text: str | None, now_us: int = NOW) -> Denied:
        with pytest.raises(Denied) as caught:
            self.access(text, now_us)
        assert not text or text not in caught.value.detail
        return caught.value


@given(CODES, CODES, st.binary(min_size=32, max_size=32))
def test_a_key_names_its_entry_and_its_hash_fits_nothing_else(namespace: str, key_id: str, secret: bytes) -> None:
    text = key_text(namespace, key_id, secret)
    assert key_name(text) == KeyName(namespace, key_id)
    others = {key_text(namespace + "x", key_id, secret), key_text(namespace, key_id + "x", secret)}
    others.add(key_text(namespace, key_id, bytes(reversed(secret)) + b"\0"))
    assert key_hash(text) not in {key_hash(second_item) for second_item in others}
    assert text not in key_hash(text)


@given(st.text(max_size=60))
def test_any_other_text_is_refused_and_never_fails(text: str) -> None:
    world = World()
    world.key()
    assert world.denied(text + "!").status == 401


def test_the_bearer_gets_the_entrys_rights_in_its_namespace() -> None:
    world = World()
    text, _ = world.key(name="backend", scopes=["ingest", "read"])
    access = world.access(text)
    assert (access.namespace, access.scopes, access.author) == ("n", {"ingest", "read"}, "backend (key_1)")
    assert world.access(text) is access, "remembered"
    assert (access.choose(None, "default"), access.choose("n", "default")) == ("n", "n")
    for second_item in ("default", "N", "n2"):
        with pytest.raises(Denied, match="belongs to namespace n") as caught:
            access.choose(second_item, "default")
        assert caught.value.status == 403


@pytest.mark.parametrize(
    ("scopes", "sufficient", "may"),
    [
        (["ingest"], INGEST, True), (["ingest"], READ, False), (["read"], READ_CATALOG, True),
        (["read"], CATALOG, False),
        (["ingest", "read", "catalog"], ADMIN, False), (["admin"], INGEST, True), (["admin"], ADMIN, True),
    ],
)  # fmt: skip
def test_one_scope_suffices_and_admin_includes_all(scopes: list[str], sufficient: Any, may: bool) -> None:
    world = World()
    text, _ = world.key(scopes=scopes)
    if may:
        world.access(text).require(sufficient)
    else:
        with pytest.raises(Denied, match="scope") as caught:
            world.access(text).require(sufficient)
        assert caught.value.status == 403


def test_the_admin_key_reaches_every_namespace() -> None:
    world = World()
    root = world.access(ROOT)
    root.require(ADMIN)
    assert (root.choose("any", "default"), root.choose(None, "default"), root.author) == ("any", "default", "admin")
    for text in (ROOT + "x", ROOT[:-1], ROOT.upper(), ""):
        assert world.denied(text).status == 401
    assert world.denied(None).status == 401


def test_a_revoked_key_is_refused_with_the_next_record_though_it_was_remembered() -> None:
    world = World()
    text, model = world.key()
    world.access(text)
    world.publish("n", model, 2, retired=True)
    assert world.denied(text).status == 401


def test_the_same_id_in_another_namespace_is_another_key() -> None:
    world = World()
    own_key, _ = world.key("a")
    theirs, _ = world.key("b")
    assert (world.access(own_key).namespace, world.access(theirs).namespace) == ("a", "b")
    forged = theirs.replace("weir_b.", "weir_a.")
    assert forged == own_key, "equal secrets, so only the name tells them apart"
    assert world.denied("weir_c." + own_key.partition(".")[2]).status == 401


def test_an_expired_key_is_refused_from_its_instant_on() -> None:
    world = World()
    text, _ = world.key(expires_at="2026-01-01T00:00:01Z")
    world.access(text, NOW + 999_999)
    assert world.denied(text, NOW + 1_000_000).status == 401
    assert world.access(text, NOW).key_id == "key_1"


def test_without_a_fresh_catalog_no_key_is_taken_but_the_admins() -> None:
    world = World()
    text, _ = world.key()
    world.access(text)
    world.is_fresh = False
    assert world.denied(text).status == 503
    world.access(ROOT)


def test_an_entry_that_is_no_key_lets_nobody_in() -> None:
    world = World()
    text = key_text("n", "key_1", bytes(32))
    record = {
        "namespace": "n", "kind": KIND, "code": "key_1", "version": 1, "retired": False, "valid_from": None,
        "body": '{"code": "key_1", "hash": ""}', "author": "", "claim_id": "c",
    }  # fmt: skip
    world.catalog.apply(record, 0, NOW)
    assert world.denied(text).status == 401


@given(st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=12))
def test_what_is_remembered_is_never_older_than_the_catalog(steps: list[str]) -> None:
    """a: use the key; b: revoke it, or publish it anew where it is revoked."""
    world = World()
    text, model = world.key()
    version, revoked = 1, False
    for step in steps:
        if step == "b":
            version, revoked = version + 1, not revoked
            world.publish("n", model, version, retired=revoked)
        elif revoked:
            assert world.denied(text).status == 401
        else:
            assert world.access(text).key_id == "key_1"


@pytest.mark.parametrize(("author", "by_operator"), [("admin", True), ("admin (key_2)", False), ("key_2", False)])
def test_only_keys_made_with_the_admin_key_of_the_settings_are_the_operators(author: str, by_operator: bool) -> None:
    world = World()
    text = key_text("n", "key_1", bytes(range(32)))
    world.publish("n", ApiKey(code="key_1", hash=key_hash(text), scopes=("ingest",)), author=author)
    assert world.access(text).by_operator is by_operator


def test_an_access_stands_until_any_key_may_have_changed_it_expires_or_the_catalog_is_out_of_sight() -> None:
    world = World()
    text, _ = world.key(expires_at=datetime(2026, 1, 2, tzinfo=UTC))
    access, as_of = world.access(text), world.catalog.next_offset
    assert world.keys.unchanged(access, as_of, NOW)
    assert not world.keys.unchanged(access, as_of, micros(datetime(2026, 1, 2, tzinfo=UTC)))
    world.is_fresh = False
    assert not world.keys.unchanged(access, as_of, NOW)
    world.is_fresh = True
    world.key(key_id="another")
    assert not world.keys.unchanged(access, as_of, NOW)
