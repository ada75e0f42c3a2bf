"""Alerts: rules of the catalog, evaluated on what the invoice would say now; each crossing fires once.

In reading order:

    crossings.py            from a rule, what was measured and the fold of usage.alerts to the next records (pure)
    watched.py              which accounts a rule watches, and what of them is measured (pure)
    observations.py         the measured values, by the close's own code, for many accounts at once
    shares/                 shares of entitlements, by the numbers of a check
    anomalies/              days that are judged by an account's own weeks before
    catalog_changes.py      whom a change of the catalog concerns
    usage_changes.py        whose usage changed since the last round (changed_accounts.py: between two positions)
    earlier_periods.py      which periods before the running ones are looked at
    pending.py              which accounts are looked at next, and how many of a namespace at once (pure)
    looks.py                one look after another, each on a basis (basis.py) that is read before the values
    evaluator.py            what a look at some accounts measures; alert_service.py: the loop
    alert_ledger.py         usage.alerts; alert_store.py: its copy in ClickHouse for lists and messages
"""
