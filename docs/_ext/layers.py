"""The directive that draws the layers of a package, read from its import contract so that they cannot go stale."""

from __future__ import annotations

import ast
import re
import tomllib
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]


def contracts() -> dict[str, list[list[str]]]:
    """The layers of each package, top to bottom; a layer is a list of modules that do not see each other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layered: dict[str, list[list[str]]] = {}
    for contract in project["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "layers":
            container = contract.get("containers", [""])[0]
            layers = [layer.split(":") for layer in contract["layers"]]
            names = [[f"{container}.{part.strip()}".strip(".") for part in layer] for layer in layers]
            layered[container or "sfumato"] = names
    return layered


def summary(module: str) -> str:
    """The first sentence of a module's docstring."""
    path = ROOT / "src" / Path(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split())


def code(text: str) -> str:
    """Text as HTML, what stands in backticks as code.

    >>> code("`fit` & co")
    '<code>fit</code> &amp; co'
    """
    return re.sub(r"`(.+?)`", r"<code>\1</code>", escape(text))


class Layers(SphinxDirective):
    """The layers of the package that is the argument, the one that may import all others on top."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        rows = []
        for layer in contracts()[self.arguments[0]]:
            cells = [f"<div><code>{escape(name)}</code><p>{code(summary(name))}</p></div>" for name in layer]
            rows.append(f'<div class="layer">{"".join(cells)}</div>')
        return [nodes.raw("", f'<div class="layers">{"".join(rows)}</div>', format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("layers", Layers)
    return {"parallel_read_safe": True}
