"""Rolling windows as people write them, e.g. "5 hours", and the steps in which they move. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_SECONDS: Final = {"minute": 60, "hour": 3600, "day": 86_400}
_TEXT: Final = re.compile(r"(\d{1,9}) ?([a-z]{1,20})", re.ASCII)
_MOST: Final = 366 * 86_400
_STEPS: Final = (86_400, 43_200, 21_600, 3600, 900, 300, 60, 15, 5, 1)
_LEAST_STEPS: Final = 60
_HELP: Final = "write minutes, hours or days, such as 5 hours or 30 days"


def seconds_of(window: str) -> int:
    """The length of a rolling window in seconds. Raises ValueError, with the remedy, for anything that is none."""
    match = _TEXT.fullmatch(window.strip())
    if match is None:
        raise ValueError(f"{window[:40]!r} is no rolling window; {_HELP}")
    unit = _SECONDS.get(match[2].removesuffix("s"))
    if unit is None:
        raise ValueError(f"{match[2]!r} is no unit of a rolling window; {_HELP}")
    seconds = int(match[1]) * unit
    if not 0 < seconds <= _MOST:
        raise ValueError(f"{window[:40]!r} is not between 1 minute and 366 days; {_HELP}")
    return seconds


def step_seconds(window_seconds: int) -> int:
    """The step in which a rolling window moves, the longest of a few that is at most a sixtieth of it; a window that it
    does not divide is prolonged to the next whole step, so no window has more than 366."""
    return next(step for step in _STEPS if window_seconds >= step * _LEAST_STEPS)


def _canonical(value: Any) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("rolling", "{text}", {"text": f"{str(value)[:40]} is no text; {_HELP}"})
    try:
        seconds = seconds_of(value)
    except ValueError as error:
        raise PydanticCustomError("rolling", "{text}", {"text": str(error)}) from None
    match = _TEXT.fullmatch(value.strip())
    assert match is not None, "seconds_of has read it"
    unit = match[2].removesuffix("s")
    count = seconds // _SECONDS[unit]
    return f"{count} {unit}{'' if count == 1 else 's'}"


RollingWindow = Annotated[
    str,
    BeforeValidator(_canonical),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,9} ?(minute|hour|day)s?$", "examples": ["5 hours"]}),
]
