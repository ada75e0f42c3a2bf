"""A Chromium over the console: what of a page some people could not use, and pages followed by their links."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

PHONE: Final = {"width": 390, "height": 844}
DESK: Final = {"width": 1280, "height": 900}
SERIOUS: Final = ("serious", "critical")
_STANDARD: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
# What depends on colours and on the width; all else was looked at once already.
_RULES_OF_LOOKS: Final = ("color-contrast", "scrollable-region-focusable", "link-in-text-block")
_AXE_RUN: Final = """async (runOnly) => {
  const found = await axe.run(document, {resultTypes: ["violations"], runOnly});
  return found.violations.map((v) => [v.id, v.impact, v.nodes[0].html.slice(0, 120)]);
}"""
_LINKS: Final = "() => [...document.querySelectorAll('a[href]')].map((a) => a.href)"


def chromium() -> str:
    """The program, as Debian installs it. Skips the test where there is none."""
    for name in (os.environ.get("WEIR_TEST_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        if name and (path := shutil.which(name)):
            return path
    if os.environ.get("CI"):
        pytest.fail("CI has no Chromium: .ci/run installs it")
    pytest.skip("there is no Chromium: apt-get install chromium, or WEIR_TEST_CHROMIUM=PROGRAM")


@cache
def _axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text("utf8")


@dataclass(slots=True)
class Browser:
    """One tab. ``troubles``: what the console of the browser said, scripts threw, and requests that failed."""

    page: Any
    base_url: str
    troubles: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """What is wrong with the page that is open: on a desk in light colours, on a phone in dark ones."""
        page = self.page
        page.evaluate(_axe())
        found = page.evaluate(_AXE_RUN, {"type": "tag", "values": list(_STANDARD)})
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size(PHONE)
        found += page.evaluate(_AXE_RUN, {"type": "rule", "values": list(_RULES_OF_LOOKS)})
        width = page.evaluate("document.documentElement.scrollWidth")
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(DESK)
        faults = [f"{rule} ({impact}): {html}" for rule, impact, html in found if impact in SERIOUS]
        if width > PHONE["width"]:
            faults.append(f"is {width} px wide on a phone")
        faults += self.troubles
        self.troubles.clear()
        return faults

    def text(self) -> str:
        """What the page says, all of it, without what stands around it."""
        self.page.wait_for_load_state("load")
        return str(self.page.locator("main").inner_text())

    def links(self) -> list[str]:
        """Paths with query of the links to pages of the console."""
        addresses = [urlsplit(address) for address in self.page.evaluate(_LINKS)]
        host = urlsplit(self.base_url).netloc
        return [f"{of.path}?{of.query}" for of in addresses if of.netloc == host]

    def follow(self, text: str) -> None:
        """Click the first link or button that is called so."""
        self.page.get_by_text(text, exact=True).and_(self.page.locator("a, button")).first.click()

    def fill(self, **fields: str) -> None:
        """Type into fields by name, with two underscores for a dot; choose where a field is a list."""
        for name, value in fields.items():
            box = self.page.locator(f'[name="{name.replace("__", ".")}"]').last
            if box.evaluate("(box) => box.tagName") == "SELECT":
                box.select_option(value)
            else:
                box.fill(value)

    def save(self) -> None:
        """Press the page's main button."""
        self.page.locator("main button.first").first.click()


@contextmanager
def opened_browser(base_url: str, key: str) -> Iterator[Browser]:
    """A browser that has logged in at ``base_url`` with the key."""
    program = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        running = playwright.chromium.launch(executable_path=program, args=flags)
        page = running.new_page(base_url=base_url, viewport=DESK)
        page.set_default_timeout(120_000)  # milliseconds; other tests may have the processors
        browser = Browser(page, base_url)
        page.on(
            "console", lambda said: browser.troubles.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: browser.troubles.append(str(error)))
        page.goto("/login")
        page.locator('[name="key"]').fill(key)
        browser.follow("Log in")
        try:
            yield browser
        finally:
            running.close()
