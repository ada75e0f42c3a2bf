"""Anomalies: alerts without a threshold. A day of an account is judged by its own eight weeks before, by weekday.

verdict.py           from daily totals to a verdict, with its numbers (pure)
days.py              which local days are judged at an instant (pure), and their totals, by the usage query
next_anomalies.py    from verdicts to records of usage.alerts (pure)
sweep.py             when which accounts are judged
"""
