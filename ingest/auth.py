"""Who may talk to the gateway: the one admin key of the settings."""

from __future__ import annotations

import hmac
from typing import Final

from ingest.problems import unauthorised
from schemas.settings import Settings, SettingsError

_SCHEME: Final = "bearer "


class Guard:
    """Compares keys in constant time. Raises SettingsError where no key is set: an open gateway is never meant."""

    def __init__(self, settings: Settings) -> None:
        key = settings.admin_key.get_secret_value()
        if not key:
            raise SettingsError("WEIR_ADMIN_KEY is empty; set it to a long random text (`weir up` makes one)")
        self._key = key.encode()

    def check(self, authorization: str | None) -> None:
        """Raises Problem 401 unless the header is ``Bearer <admin key>``."""
        if authorization is None:
            raise unauthorised("no key; send the header Authorization: Bearer <admin key>")
        if authorization[: len(_SCHEME)].lower() != _SCHEME or not hmac.compare_digest(
            authorization[len(_SCHEME) :].strip().encode(), self._key
        ):
            raise unauthorised("wrong key; send the header Authorization: Bearer <admin key>")
