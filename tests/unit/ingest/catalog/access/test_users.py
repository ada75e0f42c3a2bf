"""Users: what a request makes of one, what their role opens, and when a session of theirs ends."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ingest.catalog.access.users_api import (
    changed_user,
    password_change,
    user_change,
    user_json,
    with_own_password,
)
from ingest.catalog.document import DocumentError
from rating.console.login.rights import may_administer, may_change, may_decide
from schemas.catalog.access.users import ROLES, PasswordChange, User, UserChange, provider_code
from schemas.catalog.keys import ApiKey
from schemas.catalog.state import Catalog, Entry, record_of
from schemas.http.api_keys import (
    ROOT_AUTHOR,
    Access,
    Denied,
    KeyName,
    Keyring,
    key_hash,
    key_text,
    user_access,
    user_digest,
)
from schemas.http.passwords import is_password, nobodys_hash, password_hash
from schemas.values.instants import parse_rfc3339
from stream_processors.projections.ledgers import copied_body

ISSUER = "https://login.example"
SSO = provider_code(ISSUER, "ada-1")
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaGhhc2g"
NOW = 1_700_000_000_000_000


def entry_of_user(user: User, version: int = 1) -> Entry:
    return Entry("shop", "user", user.code, version, False, None, NOW, version, json.loads(user.model_dump_json()))


def keyring(*users: User, retired: bool = False) -> Keyring:
    catalog = Catalog()
    for offset, user in enumerate(users):
        last = offset == len(users) - 1
        record = record_of("shop", user, kind="user", version=offset + 1, author="a", claim_id=f"c{offset}",
            retired=retired and last)  # fmt: skip
        assert catalog.apply(record, offset, NOW) is not None
    return Keyring("root", catalog, lambda: True)


def test_a_new_user_needs_a_role_and_a_password_and_a_known_one_keeps_what_is_left_out() -> None:
    with pytest.raises(DocumentError, match=r"role: there is no user ada yet"):
        changed_user("ada", None, UserChange(), HASH, NOW)
    with pytest.raises(DocumentError, match=r"password: there is no user ada yet"):
        changed_user("ada", None, UserChange(role="viewer"), None, NOW)
    with pytest.raises(DocumentError, match=r"\$\.code"):
        changed_user("a b", None, UserChange(role="viewer"), HASH, NOW)
    ada = changed_user("ada", None, UserChange(role="viewer", name="Ada"), HASH, NOW)
    promoted = changed_user("ada", entry_of_user(ada), UserChange(role="admin"), None, NOW + 5)
    assert promoted == ada.model_copy(update={"role": "admin"})
    ended = changed_user("ada", entry_of_user(ada), UserChange(end_sessions=True), None, NOW + 5)
    assert (ended.hash, ended.sessions_from) != (ada.hash, ada.sessions_from)
    assert "hash" not in user_json(entry_of_user(ada))
    assert HASH not in copied_body(entry_of_user(ada))


@pytest.mark.parametrize(
    "body", [b'{"password": "s3cret"}', b'{"role": "root"}', b'{"passwort": "s3cret-s3cret"}', b"[]"]
)
def test_a_wrong_request_is_refused_without_its_password(body: bytes) -> None:
    with pytest.raises(DocumentError) as raised:
        user_change(body)
    assert "s3cret" not in str(raised.value)


def test_a_session_lasts_until_the_password_changes_or_it_is_ended_or_the_user_removed() -> None:
    ada = User(code="ada", hash=HASH, role="billing")
    digest = user_digest(HASH)
    access = keyring(ada).of_user("shop", "ada", digest, NOW)
    assert (access.namespace, access.author, access.key_id, access.role) == ("shop", "ada", "user:ada", "billing")
    ended = User(code="ada", hash=HASH, role="billing", sessions_from=parse_rfc3339("2023-11-14T22:13:20.000001Z"))
    other = ada.model_copy(update={"hash": HASH + "x"})
    for keys in (keyring(ada, ended), keyring(ada, other), keyring(ada, ada, retired=True), keyring()):
        with pytest.raises(Denied):
            keys.of_user("shop", "ada", digest, NOW)
    assert keyring(ada, ended).of_user("shop", "ada", digest, NOW + 1).role == "billing"
    with pytest.raises(Denied):
        keyring(ada).of_user("other", "ada", digest, NOW)


def test_the_gateway_finds_a_user_and_a_key_that_is_called_like_one_is_none() -> None:
    ada = User(code="ada", name="Ada", hash=HASH, role="viewer")
    access = keyring(ada).of_entry(KeyName("shop", "user:ada"), NOW)
    assert (access.author, access.scopes) == ("Ada (ada)", frozenset({"read"}))
    for name in ("user:bo", "ada", "user:"):
        with pytest.raises(Denied):
            keyring(ada).of_entry(KeyName("shop", name), NOW)


@pytest.mark.parametrize("name", ["", "Ada"])
@pytest.mark.parametrize("code", [ROOT_AUTHOR, "Admin", "key_1"])
def test_what_a_user_changes_is_told_from_what_the_admin_key_and_a_key_change(code: str, name: str) -> None:
    author = user_access("shop", User(code=code, name=name, hash=HASH, role="admin")).author
    assert author == (f"Ada (user:{code})" if name else f"user:{code}")
    # A key that is made with the admin key has rates of its own, beside the namespace's.
    text = key_text("shop", "key_2", bytes(32))
    model = ApiKey(code="key_2", hash=key_hash(text), scopes=("ingest",))
    catalog = Catalog()
    record = record_of("shop", model, kind="api_key", version=1, author=author, claim_id="c", retired=False)
    assert catalog.apply(record, 0, NOW) is not None
    assert not Keyring("root", catalog, lambda: True).of_key(text, NOW).by_operator


def test_each_role_may_more_than_the_one_before() -> None:
    def rights(access: Access) -> tuple[bool, ...]:
        return may_decide(access, "hold"), may_decide(access, "void"), may_change(access), may_administer(access)

    of_role = {role: rights(user_access("shop", User(code="a", hash=HASH, role=role))) for role in ROLES}
    assert of_role == {
        "viewer": (False, False, False, False), "support": (True, False, False, False),
        "billing": (True, True, True, False), "admin": (True, True, True, True),
    }  # fmt: skip
    key = Access("shop", frozenset({"read", "catalog"}), "k", "key_1")
    assert rights(key) == (False, False, True, False)
    assert rights(replace(key, scopes=frozenset({"admin"}))) == (True, True, True, True)


def test_a_password_is_known_by_its_hash_alone() -> None:
    kept = password_hash("correct horse")
    assert is_password(kept, "correct horse")
    assert not is_password(kept, "correct horsf")
    assert not is_password(nobodys_hash(), "")
    assert not is_password("no hash", "correct horse")
    User(code="ada", hash=kept, role="viewer")


def test_a_providers_user_has_no_password_and_the_name_that_follows_from_the_subject() -> None:
    asked = UserChange(role="viewer", name="ada@shop.example", issuer=ISSUER, subject="ada-1")
    ada = changed_user(SSO, None, asked, None, NOW)
    assert (ada.hash, ada.subject, user_json(entry_of_user(ada))["subject"]) == ("", "ada-1", "ada-1")
    assert changed_user(SSO, entry_of_user(ada), UserChange(role="admin"), None, NOW).subject == "ada-1"
    for name, standing, change, made in (
        ("ada", None, asked, None),  # would be another's name
        (provider_code(ISSUER, "bo-2"), None, asked, None),
        (SSO, None, asked.model_copy(update={"issuer": ""}), None),
        (SSO, None, asked, HASH),
        (SSO, entry_of_user(ada), UserChange(password="a long password"), HASH),
        (SSO, entry_of_user(ada), UserChange(subject="bo-2"), None),
        ("sso-ada", None, UserChange(role="viewer"), HASH),
    ):
        with pytest.raises(DocumentError):
            changed_user(name, standing, change, made, NOW)
    access = keyring(ada).of_user("shop", SSO, user_digest(ada.proof), NOW)
    assert (access.author, access.key_id) == ("ada@shop.example (sso ada-1)", f"user:{SSO}")
    nameless = ada.model_copy(update={"name": "", "subject": "admin"})
    assert user_access("shop", nameless).author == "sso admin"
    assert not is_password(ada.hash, "")


def test_a_user_with_a_password_is_written_as_earlier_releases_read_it() -> None:
    ada = User(code="ada", hash=HASH, role="viewer")
    assert not {"issuer", "subject"} & ada.written().keys()
    kept = User.model_construct(code="sso-ada", hash=HASH, role="viewer").model_dump_json()
    assert User.model_validate_json(kept, context={"stored": True}).code == "sso-ada"


def test_ones_own_password_is_changed_by_who_has_it_and_ends_all_sessions() -> None:
    kept, made = password_hash("the present one"), password_hash("a further one")
    ada = User(code="ada", name="Ada", hash=kept, role="viewer")
    change = PasswordChange(old_password="the present one", password="a further one")
    after = with_own_password(entry_of_user(ada), change, made, NOW)
    assert (after.hash, after.role, after.name) == (made, "viewer", "Ada")
    with pytest.raises(Denied):
        keyring(ada, after).of_user("shop", "ada", user_digest(ada.proof), NOW + 1)
    # The same once more, as its answer was lost: nothing else.
    assert with_own_password(entry_of_user(after), change, password_hash("a further one"), NOW + 5) == after
    wrong = change.model_copy(update={"old_password": "another", "password": "a third one"})
    provided = User(code=SSO, issuer=ISSUER, subject="ada-1", role="viewer")
    for standing in (entry_of_user(ada), entry_of_user(provided), None):
        with pytest.raises(DocumentError, match=r"old_password") as raised:
            with_own_password(standing, wrong, made, NOW)
        assert "a third one" not in str(raised.value)
    with pytest.raises(DocumentError):
        password_change(b'{"old_password": "x", "password": "short"}')
