"""Names that a command was given and nothing has: hinted at where they may be right all the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote

if TYPE_CHECKING:
    import httpx

    from deploy.cli.connection import Services

ListedState = Literal["draft", "finalized", "void", "paid"]
_PAGE: Final = 1000
_PAGES: Final = 20
"""Of accounts among which the nearest name is looked for."""


def hint_accounts(services: Services, accounts: Iterable[str]) -> None:
    """Say on standard error which of these accounts are not declared: they may have usage nevertheless, which nobody
    pays for. Silent where the gateway cannot be asked: a hint is no reason to fail."""
    import httpx

    from deploy.cli.output import say_aside
    from schemas.http.parameters import nearest

    codes = tuple(dict.fromkeys(accounts))
    if not codes or not services.gateway_url:
        return
    try:
        with services.http("gateway", timeout=10) as client:
            unknown = [code for code in codes if not _declared(client, code)]
            known = list(_account_codes(client)) if unknown else []
    except (httpx.HTTPError, ValueError, KeyError):  # away, or somebody else answers there
        return
    for code in unknown:
        near = nearest(code, known)
        hint = f"; did you mean {near}?" if near is not None else ""
        say_aside(f"account {code[:64]} is not known in {services.namespace}{hint}")


def _declared(client: httpx.Client, code: str) -> bool:
    """Whether there is such an account, or was one. True where the key may not ask."""
    answer = client.get(f"/v1/accounts/{quote(code, safe='')}", params={"history": "true"})
    return answer.status_code != 404


def _account_codes(client: httpx.Client) -> Iterator[str]:
    cursor: str | None = ""
    for _ in range(_PAGES):
        answer = client.get("/v1/accounts", params={"limit": _PAGE} | ({"cursor": cursor} if cursor else {}))
        if not answer.is_success:
            return
        page = answer.json()
        yield from (entry["code"] for entry in page["items"])
        if (cursor := page["next_cursor"]) is None:
            return
