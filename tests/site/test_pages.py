"""Every page of the built site, as a browser shows it: on a desktop and on a phone, light and dark."""

import re
import shutil
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import sync_playwright

from support.repository import ROOT

SITE = ROOT / "site"
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("index.html"))
"""All but 404.html, whose links begin with the address of the site, which is not that of this server."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
READERS = {
    "default": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "slate": {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}},
}
"""The schemes of the theme, and who sees them: each with one width, for no width depends on a scheme."""

CUT_OFF = """() => {
    const column = document.querySelector(".md-content__inner")
    const padding = 5  // of code within a line, which may end behind the line
    const right = column.parentElement.getBoundingClientRect().right + padding
    const seen = element => element.getClientRects().length && getComputedStyle(element).display !== "inline"
    const isCut = element => element.clientWidth && element.scrollWidth > element.clientWidth + padding
    return [...column.querySelectorAll("*")]
        .filter(seen)
        .filter(it => isCut(it) || it.getBoundingClientRect().right > right)
        .map(it => `${it.tagName} ${it.className}: ${it.textContent.slice(0, 60)}`)
        .concat(document.documentElement.scrollWidth > innerWidth ? ["the page scrolls sideways"] : [])
}"""
"""Lists what is wider than its column, or has more in it than it shows."""

BROKEN_PICTURES = "() => [...document.images].filter(it => !it.complete || !it.naturalWidth).map(it => it.src)"
LINKS = "() => [...new Set([...document.links].map(it => it.href))]"
SCHEME = "() => document.body.dataset.mdColorScheme"


class Quiet(SimpleHTTPRequestHandler):
    """Serves the site, and logs nothing."""

    def log_message(self, *_):
        """Log nothing."""


@pytest.fixture(scope="module")
def address():
    """Serve the site on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    """Start a browser that knows no other host. Without its sandbox, it runs as root in a container."""
    path = next(filter(None, map(shutil.which, BROWSERS)))
    arguments = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def tabs(browser, address):
    """Open a tab for each reader, with the list of what goes wrong in it."""

    def tab(reader):
        page, trouble = browser.new_context(**reader).new_page(), []
        page.on("request", lambda it: it.url.startswith((address, "data:", "blob:")) or trouble.append(f"to {it.url}"))
        page.on("requestfailed", lambda it: trouble.append(f"failed {it.url}: {it.failure}"))
        page.on("response", lambda it: it.status < 400 or trouble.append(f"{it.status} {it.url}"))
        page.on("console", lambda it: it.type in {"error", "warning"} and trouble.append(f"{it.type} {it.text}"))
        page.on("pageerror", lambda it: trouble.append(f"error {it}"))
        return page, trouble

    return {scheme: tab(reader) for scheme, reader in READERS.items()}


@cache
def anchors(path):
    """List the anchors of a file of the site, or nothing for a file that is not there."""
    file = SITE / path / "index.html" if path.endswith("/") or not path else SITE / path
    if not file.is_file():
        return None
    return {"", *re.findall(r'id="([^"]+)"', file.read_text(encoding="utf-8"))} if file.suffix == ".html" else {""}


def is_dead(link, address):
    """Return whether a link within the site leads nowhere."""
    if not link.startswith(address):
        return False
    parts = urlsplit(link)
    there = anchors(unquote(parts.path[1:]))
    return there is None or unquote(parts.fragment) not in there


def test_the_whole_site_is_looked_at():
    """As many pages as the menu names are there."""
    named = re.findall(r" ([\w/-]+)\.md$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(PAGES) == len(named)


def test_the_reference_shows_values():
    """Defaults are values, and neither the calls that declare a field nor names of constants."""
    pages = [path.read_text(encoding="utf-8") for path in (SITE / "reference").rglob("*.html")]
    assert len(pages) > 10
    assert [found for page in pages for found in re.findall("Field|DEFAULT_MODEL|MAX_BATCH_SIZE", page)] == []


@pytest.mark.parametrize("path", PAGES)
def test_page(path, tabs, address):
    """Nothing is broken, missing, cut off or taken from elsewhere, and no link within the site is dead."""
    for scheme, (page, trouble) in tabs.items():
        trouble.clear()
        page.goto(address + path.removesuffix("index.html"))
        assert page.evaluate(SCHEME) == scheme
        assert page.evaluate(BROKEN_PICTURES) == []
        assert [link for link in page.evaluate(LINKS) if is_dead(link, address)] == []
        assert page.evaluate(CUT_OFF) == []
        assert trouble == []
