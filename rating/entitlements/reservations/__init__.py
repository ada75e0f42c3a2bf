"""Reservations of a feature for work of unknown cost: what they hold, and which record a request comes to. Pure.

In reading order:

    uncounted_usage.py      what is finalised, and not counted by a cut yet
    reservation_book.py     the fold of usage.reservations and what is held by it as of a cut
    reservation_requests.py from a request to its record, or to why not
"""
