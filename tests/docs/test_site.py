"""The documentation as a site: MkDocs builds it strictly, it shows what is in the code, and it needs no network.

Needs the extra `docs`, which `make test` installs; in a loop of your own: pip install -c constraints.txt -e '.[docs]'.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest
from browsers import opened_page
from markdown import ROOT

# Looked for, not imported: mkdocstrings imports `markdown`, and here that is a module of tests/support.
if not all(importlib.util.find_spec(name) for name in ("mkdocs", "material", "mkdocstrings")):
    pytest.skip("needs the extra `docs`", allow_module_level=True)

PROGRAMS = ("circuits", "cnn_eval", "dse", "studies")
_RESOURCES = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}
"""Elements that make a browser fetch something, and the attribute that says what."""


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """docs/site/generated_pages.py, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("generated_pages", ROOT / "docs" / "site" / "generated_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class References(HTMLParser):
    """Collects what a page makes a browser fetch, and where its links lead."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.identifiers: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.identifiers |= {values[name] or "" for name in ("id", "name") if name in values}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"] or "")
        canonical = tag == "link" and values.get("rel") in ("canonical", "next", "prev")
        if tag in _RESOURCES and values.get(_RESOURCES[tag]) and not canonical:
            self.fetched.append(values[_RESOURCES[tag]] or "")


@pytest.mark.slow
def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 35
    for page in pages:
        for target in References(page).fetched:
            assert not urlsplit(target).scheme or target.startswith("data:"), (page, target)
            assert not target.startswith("//"), (page, target)
    for style in site.rglob("*.css"):
        for target in re.findall(r"(?:url\(|@import\s*)[\"']?((?:https?:)?//[^)\"']+)", style.read_text("utf-8")):
            raise AssertionError((style, target))


@pytest.mark.slow
def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    pages = {page: References(page) for page in site.rglob("*.html") if page.name != "404.html"}
    for page, references in pages.items():
        for link in [*references.links, *references.fetched]:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("data:"):
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert target.is_file(), (page, link)
            if parts.fragment and target in pages:
                anchors = pages[target].identifiers
                assert unquote(parts.fragment) in anchors or parts.fragment.startswith("__"), (page, link)


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_and_option_has_its_line(site: Path, generator: ModuleType, program: str) -> None:
    text = (site / "reference" / "commands" / f"{program}.html").read_text(encoding="utf-8")
    commands = dict(generator.parsers(program))
    assert commands
    for name, parser in commands.items():
        assert f'id="{name.replace(" ", "-")}"' in text, name
        for action in parser._actions:
            assert all(option in text for option in action.option_strings if option not in ("-h", "--help")), name


@pytest.mark.slow
@pytest.mark.parametrize("package", ["circuits", "cnn_eval", "dse"])
def test_every_name_of_a_face_has_its_place(site: Path, package: str) -> None:
    text = (site / "reference" / "python" / f"{package}.html").read_text(encoding="utf-8")
    for name in importlib.import_module(package).__all__:
        assert re.search(rf'id="[\w.]+\.{name}"', text), name


@pytest.mark.slow
def test_every_page_stands_in_the_navigation_and_every_score_in_its_table(site: Path) -> None:
    from dse import COLUMNS

    home = (site / "index.html").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        address = page.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        assert address == "README.html" or f'href="{address}"' in home, address
    columns = (site / "reference" / "columns.html").read_text(encoding="utf-8")
    assert all(f"<code>{name}</code>" in columns for name in COLUMNS)
    assert "<!-- scores -->" not in columns
    assert "varies with the processor" in (site / "tutorials" / "attack_it.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_search_works_in_a_browser_that_opened_a_file(site: Path) -> None:
    """From the file system and with no network: pages ask for nothing else, and the search finds a page."""
    with opened_page((site / "index.html").as_uri()) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.reload()
        page.locator("input[name=query]").click()
        page.locator("input[name=query]").press_sequentially("kogge")
        page.wait_for_selector(".md-search-result__link[href*='comparison']", timeout=20_000)
        assert asked
        assert not [address for address in asked if not address.startswith(("file:", "data:", "blob:", "about:"))]


@pytest.mark.slow
def test_the_build_refuses_a_broken_link(tmp_path: Path) -> None:
    """A strict build that accepts anything would say nothing."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# One\n\n[nowhere](nosuch.md)\n", encoding="utf-8")
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    validation = settings[settings.index("validation:") : settings.index("nav:\n  - Start")]
    (tmp_path / "mkdocs.yml").write_text(f"site_name: x\nstrict: true\n{validation}", encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "nosuch.md" in done.stderr


def test_the_versions_of_the_extra_are_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = {
        line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    }
    for requirement in project["project"]["optional-dependencies"]["docs"]:
        assert re.split(r"[\[<>=]", requirement)[0].lower() in pinned
