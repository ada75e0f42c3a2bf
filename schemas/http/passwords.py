"""Passwords are kept as argon2id hashes; making and checking one takes 64 MiB and some 50 ms of a processor."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def _hasher() -> Any:
    from argon2 import PasswordHasher  # where users are: nobody else waits for it

    return PasswordHasher()


def password_hash(password: str) -> str:
    """The hash to keep, with its parameters and a salt of its own."""
    return str(_hasher().hash(password))


def is_password(kept: str, password: str) -> bool:
    """Whether it is the password of a kept hash."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return bool(_hasher().verify(kept, password))
    except (VerificationError, InvalidHashError):
        return False


@cache
def nobodys_hash() -> str:
    """The hash of a password that nobody has: checking it takes as long as a user's, who is then not told from none."""
    return password_hash("nobody has this password")
