"""Every pattern of ours takes steps that grow with its text and no faster: counted, by a matcher that backtracks as
Python's does."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from re import _constants as c  # type: ignore[attr-defined]  # the standard library's own reading of a pattern
from re import _parser as parser  # type: ignore[attr-defined]  # has no types, as it is no public module
from typing import Any

import pytest

from tests.trees import nodes_of, sources

OWN_TEXT = {"deploy/local/kafka.py", "deploy/demo/data.py", "deploy/demo/events.py", "schemas/migrations/__init__.py"}
"""Files whose patterns read what we wrote ourselves."""
_FROM_ANYWHERE = ("search", "sub", "subn", "finditer", "findall", "split")


@dataclass(frozen=True)
class Found:
    """A pattern in the source; ``anywhere``: it is looked for at every place of the text; ``whole``: it must match all
    of it."""

    place: str
    pattern: str
    flags: int
    anywhere: bool
    whole: bool = False


def constant(node: ast.expr, known: dict[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = constant(node.left, known), constant(node.right, known)
        return None if left is None or right is None else left + right
    return None


def patterns() -> Iterator[Found]:
    for path, source in sources().items():
        if path not in OWN_TEXT and "import re\n" in source:
            yield from _patterns_of(path, source)


def _patterns_of(path: str, source: str) -> Iterator[Found]:
    known: dict[str, Any] = {}
    names: dict[int, str] = {}
    for node in nodes_of(path):
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign)
            else node.target
            if isinstance(node, ast.AnnAssign)
            else None
        )
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(target, ast.Name) and node.value is not None:
            known[target.id] = constant(node.value, known)
            names[id(node.value)] = target.id
    for node in nodes_of(path):
        if not (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            continue
        if node.func.value.id != "re" or node.func.attr not in ("compile", "match", "fullmatch", *_FROM_ANYWHERE):
            continue
        text = constant(node.args[0], known)
        assert text is not None, f"{path}:{node.lineno}: a pattern that is not constant cannot be looked at"
        flags = sum(
            getattr(re, part.attr) for arg in (*node.args[1:], *node.keywords)
            for part in ast.walk(arg) if isinstance(part, ast.Attribute) and part.attr.isupper()
        )  # fmt: skip
        name = names.get(id(node), "")
        calls = "|".join(_FROM_ANYWHERE)
        anywhere = node.func.attr in _FROM_ANYWHERE or bool(name and re.search(rf"\b{name}\.(?:{calls})\(", source))
        full_value = node.func.attr == "fullmatch" or bool(name and f"{name}.fullmatch(" in source)
        yield Found(
            f"{path}:{node.lineno}",
            text.decode("latin-1") if isinstance(text, bytes) else text,
            flags,
            anywhere,
            full_value,
        )


class Matcher:
    """Counts the steps of a match, as a backtracking matcher takes them."""

    def __init__(self, found: Found) -> None:
        self._tree = parser.parse(found.pattern, found.flags)
        self._flags = found.flags
        self._anywhere, self._whole = found.anywhere, found.whole
        self.steps = 0

    def run(self, text: str, limit: int) -> int:
        self.steps, self._limit, self._text = 0, limit, text
        start = 0
        while start <= len(text):
            ends = (end for end in self._sequence(list(self._tree), start) if not self._whole or end == len(text))
            end = next(ends, None)
            if not self._anywhere:
                break
            start = start + 1 if end is None or end == start else end
        return self.steps

    def _sequence(self, items: list[Any], at: int) -> Iterator[int]:
        if not items:
            yield at
            return
        for end in self._one(items[0], at):
            yield from self._sequence(items[1:], end)

    def _one(self, item: Any, at: int) -> Iterator[int]:
        self.steps += 1
        assert self.steps < self._limit, "too many steps"
        kind, value = item
        text = self._text
        if kind in (c.LITERAL, c.NOT_LITERAL, c.ANY, c.IN):
            if at < len(text) and self._takes(kind, value, text[at]):
                yield at + 1
        elif kind is c.SUBPATTERN:
            yield from self._sequence(list(value[3]), at)
        elif kind is c.BRANCH:
            for branch in value[1]:
                yield from self._sequence(list(branch), at)
        elif kind is c.ATOMIC_GROUP:
            yield from self._first(lambda: self._sequence(list(value), at))
        elif kind is c.POSSESSIVE_REPEAT:
            yield from self._possessive(value, at)
        elif kind in (c.MAX_REPEAT, c.MIN_REPEAT):
            yield from self._repeat(value, at, greedy=kind is c.MAX_REPEAT)
        elif kind is c.AT:
            if value not in (c.AT_BEGINNING, c.AT_BEGINNING_STRING, c.AT_END, c.AT_END_STRING) or (
                at == 0 if value in (c.AT_BEGINNING, c.AT_BEGINNING_STRING) else at == len(text)
            ):
                yield at
        else:
            raise AssertionError(f"{kind} is not known here")

    def _first(self, ways: Callable[[], Iterator[int]]) -> Iterator[int]:
        end = next(ways(), None)
        if end is not None:
            yield end

    def _possessive(self, value: Any, at: int) -> Iterator[int]:
        low, high, body = value
        count = 0
        while count < high and (end := next(self._sequence(list(body), at), None)) is not None and end != at:
            at, count = end, count + 1
        if count >= low:
            yield at

    def _repeat(self, value: Any, at: int, *, greedy: bool) -> Iterator[int]:
        low, high, body = value
        single = len(body) == 1 and body[0][0] in (c.LITERAL, c.NOT_LITERAL, c.ANY, c.IN)
        if single and greedy:
            ends = [at]
            while len(ends) <= min(high, len(self._text)) and next(self._one(body[0], ends[-1]), None) is not None:
                ends.append(ends[-1] + 1)
            yield from reversed(ends[low:])
            return
        if single:
            count = 0
            while True:
                if count >= low:
                    yield at
                if count >= high or next(self._one(body[0], at), None) is None:
                    return
                at, count = at + 1, count + 1
        yield from self._again(list(body), at, low, high, greedy)

    def _again(self, body: list[Any], at: int, low: int, high: int, greedy: bool) -> Iterator[int]:
        if not greedy and low <= 0:
            yield at
        if high > 0:
            for end in self._sequence(body, at):
                if end != at:
                    yield from self._again(body, end, low - 1, high - 1, greedy)
        if greedy and low <= 0:
            yield at

    def _takes(self, kind: Any, value: Any, character: str) -> bool:
        if kind is c.ANY:
            return bool(self._flags & re.DOTALL) or character != "\n"
        if kind is c.LITERAL and self._flags & re.IGNORECASE:
            return chr(value).lower() == character.lower()
        if kind in (c.LITERAL, c.NOT_LITERAL):
            return (ord(character) == value) is (kind is c.LITERAL)
        negated, hit = False, False
        for what, argument in value:
            if what is c.NEGATE:
                negated = True
            elif what is c.LITERAL:
                hit |= ord(character) == argument
            elif what is c.RANGE:
                hit |= argument[0] <= ord(character) <= argument[1]
            else:
                hit |= bool(re.match(CATEGORIES[argument], character))
        return hit is not negated


CATEGORIES = {
    c.CATEGORY_DIGIT: r"\d", c.CATEGORY_NOT_DIGIT: r"\D", c.CATEGORY_SPACE: r"\s", c.CATEGORY_NOT_SPACE: r"\S",
    c.CATEGORY_WORD: r"\w", c.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip
PIECES = (
    *(
        " ",
        "\n",
        "0",
        "a",
        "A",
        "_",
        ".",
        "'",
        '"',
        "`",
        "\\",
        "/",
        "/*",
        "--",
        "--\n",
        "(",
        ",",
        ":",
        "[",
        "-",
        "/**/",
        "\\'",
        " \n",
    ),
    *("'\\", 'name="', "boundary=", " - at `", "#corrected", "Code: 1. DB::Exception: ", "0.0", "1e", "$.events[0].a"),
)
PREFIXES = ("", "a", "0", ".", "'", "/*", "$.events[0].data", "Code: ", "INSERT INTO ", ":", "[")


def steps(matcher: Matcher, size: int) -> dict[tuple[str, str], int]:
    return {
        (prefix, piece): matcher.run(prefix + piece * size + "\x01", 200_000) for prefix in PREFIXES for piece in PIECES
    }


ALL = sorted(set(patterns()), key=lambda item: item.place)


@pytest.mark.parametrize("expected", ALL, ids=lambda item: item.place)
def test_three_times_the_text_takes_about_three_times_the_steps(expected: Found) -> None:
    matcher = Matcher(expected)
    small, large = steps(matcher, 12), steps(matcher, 36)
    for text, count in large.items():
        # A square would be nine times as many.
        assert count <= 5 * small[text] + 60, (text, small[text], count)


@pytest.mark.parametrize("pattern", [r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*INSERT", r"\s*\s*x", r"(a+)+b"])
def test_a_pattern_that_goes_back_and_forth_is_seen(pattern: str) -> None:
    with pytest.raises(AssertionError):
        test_three_times_the_text_takes_about_three_times_the_steps(Found("here", pattern, re.DOTALL, anywhere=False))


def test_the_patterns_are_found() -> None:
    places = {item.place.partition(":")[0] for item in ALL}
    assert {"deploy/local/clickhouse/request.py", "schemas/events/acceptance.py", "ingest/protocols/lago.py"} <= places
