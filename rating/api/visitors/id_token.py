"""What an ID token says, once it is known to be the provider's, for this console and for this login. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from schemas.errors import WeirError
from schemas.values.base64url import octets_of

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key that the provider alone has: no "none", and no HMAC, which the public key could make."""
SKEW_SECONDS: Final = 60
"""How far the provider's clock may be from ours."""
_MOST_BYTES: Final = 64 * 1024


class TokenRefused(WeirError):
    """An ID token, or the provider's answer, is not to be believed; the message says why, without the token."""


class UnknownKey(TokenRefused):
    """The token is signed by a key that is not in the key set."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is at a provider. ``email``: "" where the provider has not verified it; ``groups``: the claim as it
    is."""

    issuer: str
    subject: str
    email: str
    groups: object


@dataclass(frozen=True, slots=True)
class ExpectedToken:
    """What a token must say. ``claim``: where groups stand."""

    issuer: str
    client_id: str
    nonce: str
    claim: str


def key_set(document: Mapping[str, Any]) -> KeySet:
    """The keys of a JWKS document; those of a kind that is not known are left out. Raises TokenRefused."""
    keys = document.get("keys")
    if not isinstance(keys, list):
        raise TokenRefused("the provider's key set has no list of keys")
    known = []
    for key in keys[:100]:
        try:
            known += KeySet.import_key_set({"keys": [key]}).keys  # one by one: a key of a new kind hides no other
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue
    return KeySet(known)


def identity_of(token: str, keys: KeySet, expected: ExpectedToken, now_seconds: int) -> Identity:
    """Raises UnknownKey, TokenRefused."""
    if len(token) > _MOST_BYTES:
        raise TokenRefused("the ID token is too long")
    claims = _signed_claims(token, keys)
    registry = jwt.JWTClaimsRegistry(
        now=now_seconds,
        leeway=SKEW_SECONDS,
        iss={"essential": True, "value": expected.issuer},
        aud={"essential": True, "value": expected.client_id},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
        nonce={"essential": True, "value": expected.nonce},
    )
    try:
        registry.validate(claims)
    except JoseError as error:
        raise TokenRefused(f"the ID token is refused: {error}") from None
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if not isinstance(claims["nonce"], str):
        raise TokenRefused("the ID token is refused: its nonce is no text")
    if claims.get("azp", expected.client_id) != expected.client_id or (len(audiences) > 1 and "azp" not in claims):
        raise TokenRefused("the ID token is refused: it was issued to another client (azp)")
    email, verified = claims.get("email"), claims.get("email_verified")
    known = isinstance(email, str) and verified is True and len(email) <= 200 and email.isprintable()
    return Identity(expected.issuer, claims["sub"], str(email) if known else "", claims.get(expected.claim))


def _signed_claims(token: str, keys: KeySet) -> dict[str, Any]:
    try:
        kid, algorithm = _header(token)
        if algorithm not in ALGORITHMS:
            raise TokenRefused(f"the ID token is signed by {str(algorithm)[:20]!r}, which is not taken")
        if kid is None and len(keys.keys) != 1:
            raise TokenRefused("the ID token names no key (kid), and the provider has not just one")
        key = keys.keys[0] if kid is None else next((key for key in keys.keys if key.kid == kid), None)
        if key is None:
            raise UnknownKey("the ID token is signed by a key that the provider does not publish")
        return jwt.decode(token, key, algorithms=ALGORITHMS).claims
    except (JoseError, ValueError, TypeError) as error:
        raise TokenRefused(f"the ID token is refused: {type(error).__name__}") from None


def _header(token: str) -> tuple[object, object]:
    """Key id and algorithm, not yet believed. Raises ValueError."""
    header = json.loads(octets_of(token.partition(".")[0]))
    if not isinstance(header, dict):
        raise ValueError("no header")
    return header.get("kid"), header.get("alg")
