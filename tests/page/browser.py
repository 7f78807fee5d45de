"""A headless Chromium, if there is one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")


def program() -> str | None:
    """The browser's program; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


needs_browser = pytest.mark.skipif(
    program() is None, reason="there is no Chromium (Debian's package chromium)"
)


@contextmanager
def browser() -> Iterator[Browser]:
    """One for many pages: it takes about a second to start."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program(), args=["--no-sandbox"])
        yield started
        started.close()


class Opened:
    """A page of a file, and what it complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, file: Path, event: int | None = None) -> None:
        """Show a file; the state after so many events."""
        fragment = "" if event is None else f"#event={event}"
        self.page.goto("about:blank")
        self.page.goto(file.as_uri() + fragment)

    def nodes(self) -> dict[str, str]:
        """What is drawn of each node, in words, by its name."""
        drawn = self.page.locator("#ring").get_by_role("img").all()
        labels = [one.get_attribute("aria-label") or "" for one in drawn]
        return {label.partition(":")[0]: label for label in labels}
