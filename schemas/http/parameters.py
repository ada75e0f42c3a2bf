"""Refuses query parameters that a route does not have, and suggests the one that was probably meant.

Ignoring an unknown parameter could answer a different question, such as the total of all accounts instead of one.
The allowed parameters are read from each route's signature.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from starlette.requests import Request

_SHOWN: Final = 64


@dataclass(frozen=True, slots=True)
class WrongParameter:
    """A query parameter that is refused; ``detail`` states the reason and the remedy."""

    name: str
    detail: str


def taken_by(route: Any) -> dict[str, bool]:
    """The query parameters of a FastAPI route and its dependencies → whether they may be repeated."""
    parameters: dict[str, bool] = {}
    open_ones = [dependant] if (dependant := getattr(route, "dependant", None)) is not None else []
    while open_ones:
        dependant = open_ones.pop()
        parameters |= {
            parameter.alias: _is_list(parameter.field_info.annotation) for parameter in dependant.query_params
        }
        open_ones += dependant.dependencies
    return dict(sorted(parameters.items()))


def _is_list(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType):
        return any(_is_list(argument) for argument in get_args(annotation))
    return (get_origin(annotation) or annotation) in (list, tuple, set, frozenset)


def wrong_parameters(request: Request, known: Mapping[str, bool]) -> list[WrongParameter]:
    """The faults in the query of ``request``; ``known``: the route's parameters → whether they may be repeated."""
    if not request.scope.get("query_string"):
        return []
    sent: dict[str, int] = {}
    for name, _ in request.query_params.multi_items():
        sent[name] = sent.get(name, 0) + 1
    wrong = [WrongParameter(name[:_SHOWN], _unknown_of_query(name, known)) for name in sent if name not in known]
    wrong += [
        WrongParameter(name, f"stands {count} times; send it once")
        for name, count in sent.items()
        if count > 1 and known.get(name) is False
    ]
    return wrong


def _unknown_of_query(name: str, known: Mapping[str, bool]) -> str:
    if "namespace" not in known and means_namespace(name):
        return (
            f"there is no parameter {name[:_SHOWN]!r}; the namespace is named by the header Weir-Namespace, or is "
            "the key's own"
        )
    return unknown(name, known)


def unknown(name: str, known: Iterable[str], what: str = "parameter") -> str:
    """The message for an unknown name, with the nearest known one and all known ones."""
    names = list(known)
    if not names:
        return f"there is no {what} {name[:_SHOWN]!r} here, nor any other"
    near = nearest(name, names)
    hint = f"did you mean {near}? " if near is not None else ""
    return f"there is no {what} {name[:_SHOWN]!r}; {hint}known: {', '.join(names)}"


def means_namespace(name: str) -> bool:
    """Whether a parameter looks like a choice of the namespace, which is made by a header."""
    plain = _plain(name)
    return "namespace" in plain or bool(difflib.get_close_matches(plain, ["namespace"], n=1, cutoff=0.85))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most similar to ``name``, ignoring case and punctuation; None if none is similar."""
    folded = {_plain(candidate): candidate for candidate in known}
    plain = _plain(name)
    starts = [candidate for short, candidate in folded.items() if plain and short.startswith(plain)]
    close = difflib.get_close_matches(plain, list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else starts[0] if starts else None


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name[:_SHOWN].casefold()))


class KnownParameters:
    """Checks the requests of an application; each route's parameters are read once."""

    def __init__(self) -> None:
        # Keyed by object identity, since routes are not hashable; the route is stored so that its id is not reused.
        self._taken: dict[int, tuple[Any, dict[str, bool]]] = {}

    def wrong(self, request: Request) -> list[WrongParameter]:
        """See ``wrong_parameters``."""
        if not request.scope.get("query_string"):
            return []
        route = request.scope.get("route")
        if id(route) not in self._taken:
            self._taken[id(route)] = route, taken_by(route)
        return wrong_parameters(request, self._taken[id(route)][1])
