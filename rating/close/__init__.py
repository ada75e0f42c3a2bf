"""The close: from metered usage to invoices, as of a checkpoint. ``billing_run.py`` has its numbered steps."""

from rating.close.billing_run import run_close
from rating.close.result import CloseResult
from rating.invoices.waiting import CloseError, Progress

__all__ = ["CloseError", "CloseResult", "Progress", "run_close"]
