"""Names that a command was given and nothing has: refused, or hinted at where they may be right all the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from deploy.cli.errors import USAGE, Failure

if TYPE_CHECKING:
    from schemas.catalog.state import NamespaceView

InvoiceState = Literal["draft", "finalized", "void", "paid"]


def check_dimensions(asked: Sequence[str], known: Sequence[str], metric: str) -> None:
    """Raises Failure (code 2) for a dimension that the metric does not have, or one that is named twice."""
    from schemas.http.parameters import unknown

    for name in asked:
        if name not in known:
            raise Failure(f"{metric}: {unknown(name, known, 'dimension')}", USAGE)
        if asked.count(name) > 1:
            raise Failure(f"--dimension {name} stands twice; give it once", USAGE)


def hint_accounts(view: NamespaceView, accounts: Iterable[str]) -> None:
    """Say on standard error which of these accounts are not declared: they may have usage nevertheless, which nobody
    pays for."""
    from deploy.cli.output import say_aside
    from schemas.http.parameters import nearest

    for account in dict.fromkeys(accounts):
        if not view.history("account", account):
            near = nearest(account, (entry.code for entry in view.all("account")))
            hint = f"; did you mean {near}?" if near is not None else ""
            say_aside(f"account {account[:64]} is not known in {view.namespace}{hint}")
