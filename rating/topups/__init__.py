"""Top-ups of prepaid credit: where the live balance is at its floor, one is requested; its payment is a grant, once.

In reading order:

    floors.py           which floor applies to an account (pure)
    shortfall.py        by how much the live balance is above or below zero, as a grant bought now would find it
    requests.py         from floor, balance and the top-ups so far to the next record (pure)
    topup_answers.py    what an answer makes of a top-up (pure)
    topup_ledger.py     usage.topups: read, requested, answered
    topup_grants.py     the grant of a top-up that is paid
    topup_desk.py       where the rating service takes answers
    topup_store.py      the copy in ClickHouse for lists and messages
    topup_copy.py       from the ledger to grants, the copy and webhooks, in the process of webhooks

Requests are made by the evaluator of alerts (``rating.alerts.evaluator``), which knows whose balance may have changed.
"""
