"""An invoice in a row of the snapshot, in MessagePack: read back in a tenth of the time that Avro takes, which each
start of a close does for every subscription. Raise ``snapshot_file.VERSION`` with ``Invoice``."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.ledgers.folds.fold_file import DamagedFile
from schemas.ledgers.invoice_record import Invoice

encode_stored: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Invoice).decode


def decode_stored(invoice_id: str, record: bytes) -> Invoice:
    """Raises DamagedFile."""
    try:
        return _decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedFile(f"the record of {invoice_id} cannot be read: {error}") from error
