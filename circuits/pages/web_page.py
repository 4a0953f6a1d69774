"""Assembles a page: one HTML file that works offline, with its data, styles, scripts and plotting library inlined.

A page is data and browser code. The data is JSON in a script element that no browser executes; the code reads it and
puts every name into the page as text. So nothing that a user wrote is ever parsed as HTML or as a script:

    embedded(data)      JSON in which <, > and & are written as \\u003c, \\u003e and \\u0026: no name ends the element
    a template          Jinja with autoescape, for what stands in the page before any code runs
    the page's policy   nothing is loaded from anywhere, whatever the page holds

The plotting library is Plotly, which its Python package ships as one file. It is most of the page's size, so it is
compressed; the browser unpacks it (`plotting_library.js`) after the tables have been shown.
"""

from __future__ import annotations

import base64
import gzip
import importlib.util
import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["embedded", "finite", "packed", "page_text"]

_SHARED = "circuits.pages"
_STYLES = ("page.css",)
_SCRIPTS = ("elements.js", "appearance.js", "plotting_library.js", "drawings.js", "data_table.js")
"""The shared browser code, in the order in which its parts build on each other."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"


def page_text(
    template: str,
    package: str,
    *,
    title: str,
    data: Any,
    scripts: Sequence[str],
    packed_data: Mapping[str, str] = {},
    live: bool = False,
    **context: Any,
) -> str:
    """The page that `template` of `package` gives; it extends "page.html", the shell.

    `data`: JSON-ready, the browser code's `pageData`. `scripts`: files of `package`, after the shared ones.
    `packed_data`: element id -> `packed` text, for data that is unpacked only when it is needed. `live`: the page may
    ask its own server for newer data. `context`: further variables of the template. Raises ImportError where the
    plotting library is not installed.
    """
    texts = [*(_file(_SHARED, name) for name in _SCRIPTS), *(_file(package, name) for name in scripts)]
    assert not any("</script" in text for text in texts)
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "."), PackageLoader(_SHARED, ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        title=title,
        policy=f"{_POLICY}; connect-src 'self'" if live else _POLICY,
        styles=Markup("\n".join(_file(_SHARED, name) for name in _STYLES)),
        script=Markup('"use strict";\n' + "\n".join(texts)),
        page_data=Markup(embedded(data)),
        packed={"plotting-library": Markup(_plotting_library()), **{k: Markup(v) for k, v in packed_data.items()}},
        **context,
    )


def embedded(data: Any) -> str:
    """`data` as JSON that may stand inside a script element; NaN and infinity are refused (`finite`)."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def packed(text: str) -> str:
    """`text`, compressed by gzip and in base 64; the same text gives the same characters."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def finite(value: float | None) -> float | None:
    """The value where JSON has it; None for NaN and infinities."""
    return value if value is not None and math.isfinite(value) else None


@lru_cache(maxsize=64)
def _file(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _plotting_library() -> str:
    """Plotly's browser bundle, packed. Its Python package is found, not imported: only this file is needed."""
    found = importlib.util.find_spec("plotly")
    if found is None or not found.submodule_search_locations:
        raise ImportError("a page needs the package plotly, but it is not installed; run `pip install plotly`.")
    file = Path(found.submodule_search_locations[0]) / "package_data" / "plotly.min.js"
    return packed(file.read_text(encoding="utf-8"))
