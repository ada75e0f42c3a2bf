"""Records the functions on the road and their statements, in the order in which a program first runs them."""

from __future__ import annotations

import dis
import inspect
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any, Final

from marks import PACKAGES, Marks, is_ours
from statements import is_single, statement_at

_NESTED: Final = re.compile(r"<(genexpr|listcomp|lambda|dictcomp|setcomp)>$")
_LOCALS: Final = re.compile(r"\.<locals>\.<[a-z]+>")
_SUSPENDED: Final = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
Function = tuple[str, str]
"""(file, qualified name)."""


@dataclass(eq=False)
class Reading:
    """A function as it is read: at its first run with the thing."""

    function: Function
    module: str
    first_line: int
    frame: FrameType
    caller: Reading | None
    on_road: bool
    nested: set[CodeType] = field(default_factory=set)
    statements: set[int] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)
    suspended: bool = False
    """A generator that has given a value: what it does afterwards is not a turn."""

    @property
    def name(self) -> str:
        """Its qualified name."""
        return self.function[1]


class Tracer:
    """``checkout``: the folder with the packages; ``left_out``: of ``module:function``, what is not on the road with
    all that it calls."""

    def __init__(self, checkout: str, marks: Marks, left_out: str) -> None:
        self._root = os.path.realpath(checkout) + "/"
        self._marks = marks
        self._left_out = re.compile(left_out)
        self._read: dict[Function, Reading] = {}
        self._running: dict[int, Reading] = {}
        self._open: list[Reading] = []
        self._events: list[Reading] = []
        self._modules: dict[str, str | None] = {}

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """What runs within is recorded, in all threads."""
        threading.settrace(self._called)
        sys.settrace(self._called)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)
        for reading in self._open:  # generators that were left
            if reading.on_road:
                self._read.setdefault(reading.function, reading)

    def road(self) -> list[Reading]:
        """The functions on the road, one entry for each statement that is first run, in order."""
        readings = [item for item in self._read.values() if not self._is_left_out(item.module, item.name)]
        while True:
            leading = {id(item.caller) for item in readings if item.caller and item.caller.module != item.module}
            kept = [item for item in readings if id(item) in leading or not is_single(item.function, item.first_line)]
            if len(kept) == len(readings):
                break
            readings = kept
        on_road = {id(item) for item in readings}
        return [item for item in self._events if id(item) in on_road]

    def _is_left_out(self, module: str, name: str) -> bool:
        return self._left_out.search(f"{module}:{name}") is not None

    def _module(self, code: CodeType) -> str | None:
        """The module of the packages that the code is in."""
        file = code.co_filename
        if file not in self._modules:
            path = os.path.realpath(file)
            inside = path.removeprefix(self._root)
            ours = path.startswith(self._root) and inside.split("/")[0] in PACKAGES
            self._modules[file] = inside[:-3].replace("/", ".").removesuffix(".__init__") if ours else None
        return self._modules[file]

    def _called(self, frame: FrameType, _event: str, _value: Any) -> Any:
        code = frame.f_code
        module = self._module(code)
        if module is None or code.co_name == "<module>":
            return None
        function = code.co_filename, _LOCALS.sub("", code.co_qualname)
        if _NESTED.search(code.co_qualname):
            return self._part_of(function, code)
        running = self._running.get(id(frame))
        if running is not None and running.frame is frame:  # a generator goes on
            return self._line_by_line(running)
        if function in self._read or any(item.function == function for item in self._open):
            return None
        caller: Reading | None = None
        above = frame.f_back
        while above is not None:
            of = self._module(above.f_code)
            if of is not None and self._is_left_out(of, above.f_code.co_qualname):
                return None
            running = self._running.get(id(above))
            if caller is None and running is not None and running.frame is above:
                caller = running
            above = above.f_back
        holds = self._marks.holds(dict(frame.f_locals))
        reading = Reading(function, module, code.co_firstlineno, frame, caller, holds)
        self._note_names(reading, frame)
        self._running[id(frame)] = reading
        self._open.append(reading)
        self._events.append(reading)
        return self._line_by_line(reading)

    def _part_of(self, function: Function, code: CodeType) -> Any:
        """A comprehension or lambda is part of the function that holds it, and traced once."""
        holder = self._read.get(function) or next((r for r in reversed(self._open) if r.function == function), None)
        if holder is None or code in holder.nested:
            return None
        holder.nested.add(code)

        def ignore(_frame: FrameType, _event: str, _value: Any) -> Any:
            return ignore

        return ignore

    def _line_by_line(self, reading: Reading) -> Any:
        def step(frame: FrameType, event: str, value: Any) -> Any:
            if event == "line":
                at = statement_at(frame.f_code.co_filename, frame.f_lineno)
                if not reading.suspended and at not in reading.statements:
                    reading.statements.add(at)
                    self._events.append(reading)
            elif event == "return":
                self._returned(reading, frame, value)
            return step

        return step

    def _returned(self, reading: Reading, frame: FrameType, value: Any) -> None:
        if frame.f_code.co_flags & inspect.CO_GENERATOR:
            reading.suspended = True
        reading.on_road = reading.on_road or self._marks.holds(value)
        self._note_names(reading, frame)
        if value is not None and self._is_whole(value):
            self._note_class(reading, value)
        for_good = frame.f_code.co_code[frame.f_lasti] == dis.opmap["RETURN_VALUE"]
        if for_good or not frame.f_code.co_flags & _SUSPENDED:
            self._running.pop(id(frame), None)
            if reading in self._open:
                self._open.remove(reading)
            if reading.on_road:
                self._read[reading.function] = reading

    def _is_whole(self, value: Any) -> bool:
        """Whether a value, not a text alone, is the thing or has it near its surface."""
        return not isinstance(value, (str, bytes, int)) and self._marks.holds(value, 2)

    def _note_names(self, reading: Reading, frame: FrameType) -> None:
        for name, value in frame.f_locals.items():
            if name in ("self", "cls") or name.startswith("."):
                continue
            if isinstance(value, bytes) and self._marks.names(value):
                reading.names.add(name)
            elif self._is_whole(value) and not callable(value):
                reading.names.add(name)
                self._note_class(reading, value)

    def _note_class(self, reading: Reading, value: Any) -> None:
        if isinstance(value, (list, tuple)) and not is_ours(value) and value and self._marks.holds(value[0], 4):
            value = value[0]
        if is_ours(value):
            reading.classes.add(type(value).__name__)
