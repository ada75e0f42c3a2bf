"""Versions of invoices to a namespace's webhook: signed, retried, at least once.

In reading order: ``notices.py`` (what a version on usage.invoices has to tell), ``hook.py`` (where to, by the catalog), ``store.py`` (what is queued,
and what came of it), ``queue.py`` (which is next, when again, when given up), ``rendering.py``, ``message.py`` and ``signing.py`` (what is sent),
``address.py`` and ``sending.py`` (one attempt), ``courier.py`` (one namespace), ``gathering.py`` (queries for many), ``service.py`` (the process), ``replay.py`` (again).
"""
