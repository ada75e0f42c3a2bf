"""The close: creates invoices from metered usage, as of a checkpoint. Its numbered steps are in ``billing_run.py``."""

from rating.close.close_run import run_close
from rating.close.result import CloseResult
from rating.invoices.waiting import CloseError, Progress

__all__ = ["CloseError", "CloseResult", "Progress", "run_close"]
