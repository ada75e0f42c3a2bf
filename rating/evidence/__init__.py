"""Evidence that the numbers are right: the books of a namespace, verification by recomputing, and the doctor.

Owns: what can be shown from what is stored. Changes nothing, anywhere. ``books.py`` balances the ledger, ``verify.py``
is the list of checks, ``doctor.py`` explains one account's usage of one metric.
"""

from rating.evidence.books import Books, read_books

__all__ = ["Books", "read_books"]
