"""The site builds without a warning, has every public name, and every link in it leads somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

import sfumato

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

pytest.importorskip("sphinx", reason="what the docs need is not installed: pip install 'sfumato[docs]'")
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages."""
    folder = tmp_path_factory.mktemp("site")
    # With a proxy that is not there: what would reach for the network fails.
    environment = os.environ | {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        str(DOCS),
        str(folder / "html"),
    ]
    built = subprocess.run([*command, "-d", str(folder / "cache")], env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert not built.stderr
    return folder / "html"


class Page(HTMLParser):
    """Where a page links to, what can be linked to in it, and names of code that are links to nowhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.loose: list[str] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.anchors |= {values[name] or "" for name in ("id", "name") if name in values}
        self.links |= {values[name] or "" for name in ("href", "src") if name in values}
        if tag == "code" and "xref" in (values.get("class") or "") and "a" not in self._open:
            self.loose.append(values.get("class") or "")
        if tag in ("a", "code"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("a", "code") and tag in self._open:
            self._open.remove(tag)


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Every page by its path."""
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def test_every_link_leads_to_a_file_and_an_anchor_that_are_there(pages: dict[Path, Page], site: Path) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else set()
            if not target.is_file() or (target in pages and parts.fragment and unquote(parts.fragment) not in anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert len(pages) > 60
    assert not broken


def test_nothing_is_fetched_from_elsewhere(pages: dict[Path, Page], site: Path) -> None:
    fetched = re.compile(r"<(?:script|link|img|iframe)[^>]*\s(?:src|href)=\"(?:https?:)?//", re.IGNORECASE)
    assert not [str(path.relative_to(site)) for path in pages if fetched.search(path.read_text(encoding="utf-8"))]


def test_names_that_pages_refer_to_are_in_the_reference(pages: dict[Path, Page], site: Path) -> None:
    prose = {
        path: page for path, page in pages.items() if path.relative_to(site).parts[0] not in ("reference", "_modules")
    }
    assert not {str(path.relative_to(site)): page.loose for path, page in prose.items() if page.loose}


def public_modules() -> list[str]:
    """The modules that define `__all__`."""
    source = ROOT / "src"
    found = [
        path for path in (source / "sfumato").rglob("*.py") if re.search(r"^__all__", path.read_text("utf-8"), re.M)
    ]
    return sorted(".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__") for path in found)


def documented(site: Path) -> dict[str, Any]:
    """Every name of the reference, with what it is."""
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, path: path)
    found = {}
    for kind, entries in inventory.items():
        for name in entries if kind in ("py:class", "py:function", "py:data", "py:exception") else ():
            module, _, last = name.rpartition(".")
            try:
                found[name] = getattr(import_module(module), last)
            except (ImportError, AttributeError):  # a name inside a class
                continue
    return found


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    there = documented(site)
    objects = {id(value) for value in there.values() if callable(value)}
    modules = public_modules()
    assert {"sfumato", "sfumato.models.base", "sfumato.evaluation"} <= set(modules)
    missing = []
    for module in modules:
        for name in import_module(module).__all__:
            full, value = f"{module}.{name}", getattr(import_module(module), name)
            if full not in there and not (callable(value) and id(value) in objects):
                missing.append(full)
    assert not missing


def test_lines_of_the_sources_are_at_most_120_characters() -> None:
    sources = [*DOCS.rglob("*.md"), *ROOT.glob("[CS]*.md")]
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources
        if path.name != "CHANGELOG.md"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 120 and not line.startswith("|")
    ]
    assert not long


def test_every_image_is_shown(pages: dict[Path, Page]) -> None:
    shown = {Path(link).name for page in pages.values() for link in page.links}
    assert {path.name for path in (DOCS / "images").iterdir()} <= shown


def test_the_citation_is_of_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, re.M)[1] == sfumato.__version__


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_a_phone_and_a_screen(site: Path, browser: Any, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900})
    sheet = context.new_page()
    failed: list[str] = []
    sheet.on("requestfailed", lambda request: failed.append(request.url))
    wide = []
    for name in ("index", "guide/models/index", "guide/doctor", "results/papers", "architecture", "reference/sfumato"):
        sheet.goto((site / f"{name}.html").as_uri())
        if sheet.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(name)
        assert sheet.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)"), name
    context.close()
    assert not wide
    assert not failed
