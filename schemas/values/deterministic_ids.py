"""Ids that follow from what they name, so that all processes give the same one."""

from __future__ import annotations

from hashlib import blake2b


def deterministic_id(prefix: str, *parts: str) -> str:
    """The prefix and 24 hexadecimal digits, which differ for different parts, wherever one ends."""
    digest = blake2b(digest_size=12)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(4, "big") + data)
    return prefix + digest.hexdigest()
