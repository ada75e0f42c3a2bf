"""What may be asked of POST /v1/api-keys, and what the answer never tells."""

from __future__ import annotations

import json

import pytest

from ingest.catalog.access.keys_api import key_json, limited_to_rates, requested_key
from ingest.catalog.document import DocumentError
from ingest.http.rate_limits import Rates
from schemas.catalog.keys import ApiKey
from schemas.catalog.state import Catalog, record_of

HASH = "ab" * 32
NOW = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


def test_a_key_is_wanted_with_scopes_and_perhaps_more() -> None:
    body = {"name": "b", "scopes": ["read"], "expires_at": "2026-01-01T00:00:01Z", "limits": {"events_per_second": 5}}
    key = requested_key(json.dumps(body).encode(), "key_1", HASH, NOW)
    assert (key.code, key.hash, key.scopes, key.limits.events_per_second) == ("key_1", HASH, ("read",), 5)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"[]", "$"), (b"{", "$"), (b"{}", "$.scopes"), (b'{"scopes": []}', "$.scopes"),
        (b'{"scopes": ["root"]}', "$.scopes[0]"), (b'{"scopes": ["read"], "hash": "x"}', "$.hash"),
        (b'{"scopes": ["read"], "code": "mine"}', "$.code"), (b'{"scopes": ["read"], "scope": 1}', "$.scope"),
        (b'{"scopes": ["read"], "expires_at": "2026-01-01T00:00:00Z"}', "$.expires_at"),
        (b'{"scopes": ["read"], "expires_at": "tomorrow"}', "$.expires_at"),
        (b'{"scopes": ["read"], "expires_at": "9999-12-31T23:59:59-23:59"}', "$.expires_at"),
        (b'{"scopes": ["read"], "limits": {"events_per_second": 0}}', "$.limits.events_per_second"),
        (b'{"scopes": ["read"], "name": "a\\nb"}', "$.name"), (b"[" * 100_000, "$"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(body: bytes, path: str) -> None:
    with pytest.raises(DocumentError) as caught:
        requested_key(body, "key_1", HASH, NOW)
    assert path in [fault.path for fault in caught.value.faults]


def test_a_key_is_shown_without_its_hash_and_with_who_made_and_revoked_it() -> None:
    catalog = Catalog()
    model = ApiKey(code="key_1", name="backend", hash=HASH, scopes=("ingest",))
    for version, author in ((1, "ann"), (2, "bob")):
        record = record_of(
            "n", model, kind="api_key", version=version, author=author, claim_id="c", retired=version == 2
        )
        catalog.apply(record, version, NOW + version)
    result = key_json(catalog.view("n").history("api_key", "key_1"))
    assert HASH not in json.dumps(result)
    assert (result["created_by"], result["revoked_by"], result["id"]) == ("ann", "bob", "key_1")
    assert result["revoked_at"] == "2026-01-01T00:00:00.000002Z"


USUAL = Rates(2_000, 50_000, 1_000_000)


def key(**limits: int) -> ApiKey:
    return ApiKey.model_validate({"code": "k", "hash": HASH, "scopes": ["ingest"], "limits": limits})


def test_a_key_may_not_be_given_more_than_its_maker_has() -> None:
    with pytest.raises(
        DocumentError, match=r"60000 is more than the 50000 that this key may give.*the operator"
    ) as caught:
        limited_to_rates(key(events_per_second=60_000, requests_per_second=2_000), USUAL, USUAL)
    assert [fault.path for fault in caught.value.faults] == ["$.limits.events_per_second"]
    assert limited_to_rates(key(events_per_second=60_000), None, USUAL).limits.events_per_second == 60_000


def test_a_key_without_limits_of_a_limited_maker_has_its_makers() -> None:
    assert limited_to_rates(key(), USUAL, USUAL) == key()
    result = limited_to_rates(key(events_per_second=3), Rates(10, 5, 2_000_000), USUAL)
    assert (result.limits.requests_per_second, result.limits.events_per_second, result.limits.bytes_per_second) == (
        10,
        3,
        None,
    )
