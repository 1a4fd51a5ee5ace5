"""A browser for the tests of the page; nothing is downloaded, the system's Chromium is driven."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.export.conftest import untrained as untrained

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Set where a browser is installed for the tests, as by the checks that everything has to pass.
_REQUIRED = "AECLI_REQUIRE_BROWSER"
_SOFTWARE_GL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
_NO_GL = ("--disable-gpu", "--disable-3d-apis")


@dataclass
class Opened:
    """A page in a browser without a network: what it asked for, and what went wrong."""

    page: "Page"
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def call(self, expression: str, argument: Any = None) -> Any:
        """Evaluate an expression in the page."""
        return self.page.evaluate(expression, argument)

    def wait(self, expression: str) -> None:
        """Wait until an expression is true; Playwright's own way is one that the policy refuses."""
        for _ in range(200):
            if self.call(expression):
                return
            self.page.wait_for_timeout(50)
        pytest.fail(f"not true in time: {expression}")


@pytest.fixture(scope="module")
def launch() -> Iterator["Callable[[tuple[str, ...]], Browser]"]:
    """Return a function that starts the browser with flags; skip, or fail, where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        if os.environ.get(_REQUIRED):
            pytest.fail(f"no chromium, and ${_REQUIRED} is set")
        pytest.skip("no chromium on the path: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield lambda flags: playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", *flags]
        )


@pytest.fixture(scope="module")
def chromium(launch: "Callable[[tuple[str, ...]], Browser]") -> Iterator["Browser"]:
    browser = launch(_SOFTWARE_GL)
    yield browser
    browser.close()


Open = Callable[..., Opened]


def opener(browser: "Browser") -> Iterator[Open]:
    contexts = []

    def opened(path: Path, fragment: str = "", **options: Any) -> Opened:
        context = browser.new_context(offline=True, accept_downloads=True, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        one = Opened(context.new_page())
        one.page.on("request", lambda request: one.requests.append(request.url))
        one.page.on("pageerror", lambda error: one.errors.append(str(error)))
        one.page.on("dialog", lambda dialog: one.errors.append(f"dialog {dialog.message}"))
        one.page.goto(path.resolve().as_uri() + fragment)
        one.page.wait_for_selector("html[data-ready=yes]")
        return one

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def open_page(chromium: "Browser") -> Iterator[Open]:
    """Return a function that opens a page from the disk, with the network cut off."""
    yield from opener(chromium)


@pytest.fixture
def open_without_gl(launch: "Callable[[tuple[str, ...]], Browser]") -> Iterator[Open]:
    """Return the same for a browser that has no WebGL."""
    browser = launch(_NO_GL)
    yield from opener(browser)
    browser.close()
