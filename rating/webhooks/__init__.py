"""Versions of invoices, and alerts, to a namespace's webhook: signed, retried, at least once.

In reading order:

    notices.py                            what a version on usage.invoices has to tell
    hook.py                               where to, since when and by which secrets, as the catalog has it
    intake.py, store.py                   what is queued, and where
    queue.py                              which is next, when again, when given up
    rendering.py, message.py              what is sent
    receiver/                             its address, signatures, one attempt
    courier.py, couriers.py               one webhook; all of them
    delivery_service.py, coalescing.py    the process; delivery_metrics.py
    send_again.py                         the same versions once more, on request
"""
