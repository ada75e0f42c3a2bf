"""Bloom filters over event identities, tested for a whole batch at once with numpy; they prove almost every new
event new.

Each filter is an array of 64-bit words, and an identity sets five bits of one word (a blocked filter: one memory
access per lookup). At 32 bits per key about one new identity in a thousand yields a false "maybe", which costs a
lookup in the journal but never an error. Source: Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom
Filters" (2007).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
"""Identities as an array of shape (n, 2): bytes 0–7 and bytes 8–15, each a little-endian integer."""

BITS_PER_KEY: Final = 32
FOREVER: Final = 1 << 40
"""Pseudo-day under which identities are never dropped: those of namespaces without a maximum event age."""
_SMALLEST: Final = 1 << 16
_SHIFTS: Final = tuple(np.uint64(32 + 6 * number) for number in range(5))
_SIX_BITS: Final = np.uint64(63)
_ONE: Final = np.uint64(1)


def keys_of(identities: bytes) -> Keys:
    """View concatenated identities (16 bytes each) as keys, without copying."""
    return np.frombuffer(identities, dtype="<u8").reshape(-1, 2)


def _bits(keys: Keys) -> NDArray[np.uint64]:
    # Bytes 0–3 select the partition and are alike within one; bytes 4–7 select the bits, bytes 8–15 the word.
    low = keys[:, 0]
    bits = _ONE << ((low >> _SHIFTS[0]) & _SIX_BITS)
    for shift in _SHIFTS[1:]:
        bits |= _ONE << ((low >> shift) & _SIX_BITS)
    return bits


class BloomFilter:
    """One filter, with the stated error rate up to ``capacity`` keys."""

    def __init__(self, capacity: int) -> None:
        words = 1 << max(10, (capacity * BITS_PER_KEY // 64 - 1).bit_length())
        self.capacity = words * 64 // BITS_PER_KEY
        self.size = 0
        self._words: NDArray[np.uint64] = np.zeros(words, dtype=np.uint64)
        self._mask = np.uint64(words - 1)

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return int(self._words.nbytes)

    def add(self, keys: Keys) -> None:
        """Add the keys."""
        np.bitwise_or.at(self._words, (keys[:, 1] & self._mask).astype(np.intp), _bits(keys))
        self.size += len(keys)

    def maybe(self, keys: Keys) -> NDArray[np.bool_]:
        """For each key: False if it was certainly never added."""
        return self.holds(self.places(keys), _bits(keys))

    def places(self, keys: Keys) -> NDArray[np.intp]:
        """The word index of each key; identical for filters of one capacity."""
        return (keys[:, 1] & self._mask).astype(np.intp)

    def holds(self, places: NDArray[np.intp], bits: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """``maybe`` with the keys' word indexes and bits already computed."""
        held: NDArray[np.bool_] = (self._words.take(places) & bits) == bits
        return held


class DailyFilters:
    """A chain of filters for each append day (UTC days since 1970), so that whole days can be dropped."""

    def __init__(self) -> None:
        self._days: dict[int, list[BloomFilter]] = {}

    def add(self, day: int, keys: Keys) -> None:
        """Add keys appended on ``day``. Capacities double along a day's chain, which keeps it short."""
        chain = self._days.setdefault(day, [])
        while len(keys):
            if not chain or chain[-1].size >= chain[-1].capacity:
                chain.append(BloomFilter(max(_SMALLEST, len(keys), 2 * chain[-1].capacity if chain else 0)))
            room = chain[-1].capacity - chain[-1].size
            chain[-1].add(keys[:room])
            keys = keys[room:]

    def maybe(self, keys: Keys) -> NDArray[np.bool_]:
        """For each key: False if it was certainly not added on any day."""
        possible: NDArray[np.bool_] = np.zeros(len(keys), dtype=np.bool_)
        bits = _bits(keys)
        places: dict[int, NDArray[np.intp]] = {}
        for chain in self._days.values():
            for bloom_filter in chain:
                at = places.get(bloom_filter.capacity)
                if at is None:
                    at = places[bloom_filter.capacity] = bloom_filter.places(keys)
                possible |= bloom_filter.holds(at, bits)
        return possible

    def drop_before(self, day: int) -> None:
        """Drop all days before ``day``; keys added under ``FOREVER`` stay."""
        for past_day in [past_day for past_day in self._days if past_day < day]:
            del self._days[past_day]

    @property
    def size(self) -> int:
        """Number of keys."""
        return sum(bloom_filter.size for chain in self._days.values() for bloom_filter in chain)

    @property
    def nbytes(self) -> int:
        """Memory of all filters in bytes."""
        return sum(bloom_filter.nbytes for chain in self._days.values() for bloom_filter in chain)
