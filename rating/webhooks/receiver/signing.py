"""Signatures as the Standard Webhooks specification has them: HMAC-SHA256 over id, time and body, in base64. Pure.

A namespace's secrets are derived, so none is stored anywhere: whoever has the key can tell any of them again.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from schemas.settings import Settings

_PREFIX: Final = "whsec_"


def root_key(settings: Settings) -> bytes:
    """The key that secrets are derived from: WEIR_WEBHOOK_KEY, or one derived from the admin key."""
    configured_key = settings.webhook_key.get_secret_value()
    return (
        configured_key.encode()
        if configured_key
        else _mac(settings.admin_key.get_secret_value().encode(), b"weir webhook key")
    )


def secret(root: bytes, namespace: str, rotation: int, webhook: str = "") -> bytes:
    """32 bytes: the secret of that rotation of a namespace's webhook. ``webhook``: its code; "": the one without."""
    name, code = namespace.encode(), webhook.encode()
    of_code = len(code).to_bytes(4, "big") + code if code else b""
    return _mac(
        root, b"weir webhook secret" + len(name).to_bytes(4, "big") + name + rotation.to_bytes(4, "big") + of_code
    )


def secret_text(raw: bytes) -> str:
    """As receivers configure it: ``whsec_`` and base64."""
    return _PREFIX + b64encode(raw).decode()


def headers(secrets: Sequence[bytes], message_id: str, at_seconds: int, body: bytes) -> dict[str, str]:
    """The three headers of one attempt at ``at_seconds`` (Unix time), with a signature by each of ``secrets``, the
    newest first."""
    signed = f"{message_id}.{at_seconds}.".encode() + body
    signatures = [f"v1,{b64encode(_mac(secret_key, signed)).decode()}" for secret_key in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_seconds),
        "webhook-signature": " ".join(signatures),
    }


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, sha256).digest()
