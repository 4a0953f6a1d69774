"""A real browser for tests of pages, driven by Playwright; tests are skipped, with the reason, where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
"""Browsers on PATH; else the one that `playwright install chromium` fetched."""


@contextmanager
def opened_page(address: str, *, width: int = 1400, scheme: str = "light", wait: str = "body") -> Iterator[Any]:
    """Opens `address` in a headless browser and yields the page once the selector `wait` matches.

    An error or warning that the page reports, a blocked load for instance, fails the test.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        pytest.skip("no browser driver: pip install 'approximate-dse[browser]'")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    with sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        except Error:
            pytest.skip(f"no headless browser on PATH ({', '.join(NAMES)}), and none of Playwright's")
        try:
            context = browser.new_context(
                viewport={"width": width, "height": 900},
                color_scheme=scheme,  # type: ignore[arg-type]
                permissions=["clipboard-read", "clipboard-write"],
                accept_downloads=True,
            )
            page = context.new_page()
            complaints: list[str] = []
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(address)
            page.wait_for_selector(wait, timeout=60_000)
            yield page
            assert not complaints
        finally:
            browser.close()
