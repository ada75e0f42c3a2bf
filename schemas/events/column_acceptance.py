"""Acceptance of a whole request by columns: the answer of ``acceptance.accept`` for ordinary events, at half its cost.

A request in which anything is unusual (above all one that is to be refused) is judged by ``accept`` itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import methodcaller
from typing import Any, Final

import msgspec

from schemas.catalog.models import Namespace
from schemas.events.acceptance import (
    MAX_PROPERTIES_BYTES,
    MAX_TEXT,
    accept,
    decode_properties,
    nested_account,
    stamp_bounds,
)
from schemas.events.accepted_columns import AcceptedColumns
from schemas.events.event_types import EventTypes
from schemas.events.identity import content_hashes, identities
from schemas.events.raw_events import RawEvent, Refused
from schemas.values.instants import micros
from schemas.values.json_text import MAX_DEPTH, JsonObject, exact, keys_differ

_FEW: Final = 4  # events for which the columns do not pay
_MOST_BYTES: Final = 512 * 1024
"""Of the properties of a request that is judged whole, since all of them are held decoded at once: that may take twenty
times as much."""
_SHALLOW: Final = len('{"":') * MAX_DEPTH + len("{}") + len("}") * MAX_DEPTH
"""Bytes of the shortest object of objects that is nested deeper than allowed."""
_braces: Final[Callable[[bytes], int]] = methodcaller("count", b"{")
_brackets: Final[Callable[[bytes], int]] = methodcaller("count", b"[")


def accept_columns(
    namespace: str,
    settings: Namespace,
    raws: Sequence[RawEvent],
    *,
    now_us: int,
    mint_key: Callable[[int], str],
    types: EventTypes,
    single: bool = False,
) -> AcceptedColumns:
    """As ``acceptance.accept``. Raises Refused."""
    if len(raws) >= _FEW:
        judged = _ordinary(namespace, settings, raws, now_us, mint_key, types)
        if judged is not None:
            return judged
    return AcceptedColumns.of(
        accept(namespace, settings, raws, now_us=now_us, mint_key=mint_key, types=types, single=single)
    )


def _ordinary(
    namespace: str,
    settings: Namespace,
    raws: Sequence[RawEvent],
    now_us: int,
    mint_key: Callable[[int], str],
    types: EventTypes,
) -> AcceptedColumns | None:
    """The request's events, all of them accepted; None where ``accept`` has to judge them."""
    names = [raw.event_name for raw in raws]
    sources = [raw.source for raw in raws]
    instants = [raw.timestamp for raw in raws]
    now_us = settings.now_us(now_us)
    if any(instants):
        dated = [instant is None for instant in instants]
        stamps = [now_us if instant is None else micros(instant) for instant in instants]
        oldest, newest = min(stamps), max(stamps)
    else:
        dated, stamps = [True] * len(raws), [now_us] * len(raws)
        oldest = newest = now_us
    earliest, latest = stamp_bounds(settings, now_us)
    properties = [bytes(raw.properties) for raw in raws]
    if sum(map(len, properties)) > _MOST_BYTES:
        return None
    joined = b"".join(properties)
    try:
        if not joined.isascii():
            joined.decode()
        keys = _filled([raw.idempotency_key for raw in raws], mint_key)
        accounts = _filled(
            [raw.account_id for raw in raws],
            lambda index: nested_account(settings, properties[index].decode(), index, single=False),
        )
    except (Refused, UnicodeDecodeError):
        return None
    distinct_names = set(names)
    if not (
        earliest <= oldest
        and newest <= latest
        and _are_plain(distinct_names, 1)
        and _are_plain(keys, 1)
        and _are_plain(accounts, 1)
        and _are_plain(set(sources), 0)
        and (longest := max(map(len, properties))) <= MAX_PROPERTIES_BYTES
        and _are_shallow(properties, longest, b"[" in joined)
        and not (types.reject_unknown and not all(map(types.knows, distinct_names)))
    ):
        return None
    parsed = _objects(names, distinct_names, properties, types)
    if parsed is None or not _keys_differ(properties, joined, parsed):
        return None
    hashes = content_hashes(names, accounts, properties)
    made = identities(namespace, sources, keys)
    if len(set(made)) != len(made):
        hash_of = dict(zip(made, hashes, strict=True))
        if [hash_of[identity] for identity in made] != hashes:
            return None  # one key with two contents, or one content written in two ways
    if settings.seconds_ahead:  # a sandbox's clock says nothing about the gateway's
        dated = [False] * len(raws)
    return AcceptedColumns(made, hashes, names, accounts, keys, sources, stamps, properties, dated, parsed)


def _filled(texts: list[str | None], of: Callable[[int], str]) -> list[str]:
    return [of(index) if text is None else text for index, text in enumerate(texts)]


def _are_plain(texts: Iterable[str], least: int) -> bool:
    """Whether all have an allowed length, ``least`` (0 or 1) at least, and only printable characters."""
    texts = texts if isinstance(texts, list) else list(texts)
    return (not least or all(texts)) and max(map(len, texts)) <= MAX_TEXT and "".join(texts).isprintable()


def _are_shallow(properties: Sequence[bytes], longest: int, have_arrays: bool) -> bool:
    """Whether none is nested deeper than allowed; False where they have to be looked at. ``longest``: bytes of the
    longest."""
    if longest < _SHALLOW and not have_arrays:
        return True
    return max(map(_braces, properties)) + (max(map(_brackets, properties)) if have_arrays else 0) <= MAX_DEPTH


def _objects(
    names: Sequence[str], distinct_names: Iterable[str], properties: Sequence[bytes], types: EventTypes
) -> list[JsonObject] | None:
    """The properties of each event, which fit its event type; None if any do not, or are no object."""
    checks = {name: check for name in distinct_names if (check := types.check(name)) is not None}
    parsed: list[Any] = []
    try:
        if not checks:
            return list(map(decode_properties, properties))
        for name, text in zip(names, properties, strict=True):
            check = checks.get(name)
            if check is None:
                parsed.append(decode_properties(text))
                continue
            value = exact(text)
            if type(value) is not dict or not check.fits(value):
                return None
            parsed.append(value)
    except (ValueError, RecursionError):
        return None
    return parsed


def _keys_differ(properties: Sequence[bytes], joined: bytes, parsed: Sequence[JsonObject]) -> bool:
    """Whether no object has a duplicate key.

    Decoding drops a duplicate, and writing what was decoded has a colon for each key that is left and for those in
    texts: as many as were sent only if nothing was dropped. An escaped colon would be written as a colon, so texts with
    escapes are looked at one by one.
    """
    colons = joined.count(b":")
    if sum(map(len, parsed)) == colons:
        return True
    if b"\\" not in joined:
        try:
            if msgspec.json.encode(parsed).count(b":") == colons:
                return True
        except (ValueError, OverflowError):  # an integer that is too large for it
            pass
    return all(
        len(fields) == text.count(b":") or keys_differ(text.decode(), fields)
        for text, fields in zip(properties, parsed, strict=True)
    )
