"""The package's docstrings as reStructuredText, and the directive that documents the public names of a module.

The docstrings are plain text in Google style: `code` in single backticks, equations as indented blocks, and bare *, |
and trailing _ in formulas. reStructuredText reads these as markup, so they are translated before Sphinx sees them.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.util.docutils import SphinxDirective

SECTION = re.compile(r"(Args|Arguments|Attributes|Returns|Raises|Yields|Example|Examples|Note):$")
ITEM = re.compile(r"(\s+)([\w*, .\[\]]+(?:\s\([^)]*\))?): (.*)")
CODE = re.compile(r"(``.+?``|`[^`\n]+`)")
EMPHASIS = re.compile(r"(?<![\w*])\*(\w[\w ,'-]*)\*(?![\w*])|\*")
"""Emphasised words, or else a star."""
NAME = re.compile(r"[A-Za-z_][\w.]*(\(\))?")
NOT_OURS = "Module, BaseEstimator, TransformerMixin, DensityMixin, ABC, Protocol, Generic, tuple, dict"
"""Classes whose members, inherited from other projects, are not repeated here."""
OF_SCIKIT_LEARN = "get_metadata_routing, set_score_request, set_output"
"""Methods that scikit-learn puts into the classes themselves."""


def text(line: str) -> str:
    """One line of prose: code as literals or links, all else without markup.

    >>> text("`rate` is ‖z‖² · |w_j| of x_ * y, see `f(x)`")
    ':py:obj:`rate` is ‖z‖² · \\\\|w_j\\\\| of x\\\\_ \\\\* y, see ``f(x)``'
    """
    pieces = CODE.split(line)
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            escaped = re.sub(r"([|\\])", r"\\\1", piece)
            escaped = EMPHASIS.sub(lambda found: found[0] if found[1] else r"\*", escaped)
            pieces[place] = re.sub(r"(?<=\w)_(?!\w)", r"\\_", escaped)
        elif not piece.startswith("``"):
            inner = piece[1:-1]
            pieces[place] = f":py:obj:`{inner}`" if NAME.fullmatch(inner) else f"``{inner}``"
    line = pieces[0]
    # Markup that touches a letter has to be set off by an escaped blank.
    for code, prose in zip(pieces[1::2], pieces[2::2], strict=True):
        before = "\\ " if line and (line[-1].isalnum() or line[-1] in "_`") else ""
        after = "\\ " if prose and (prose[0].isalnum() or prose[0] == "_") else ""
        line += before + code + after + prose
    return line


def translated(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText, Google sections still as they are.

    >>> translated(["The sum:", "", "    a = b * c", "", "Args:", "    x_: of `f`, a * b"])
    ['The sum:', '', '::', '', '    a = b * c', '', 'Args:', '    x_: of :py:obj:`f`, a \\\\* b']
    """
    out: list[str] = []
    section = doctest = literal = False
    for place, line in enumerate(lines):
        bare = line.strip()
        indent = len(line) - len(line.lstrip())
        if not bare:
            doctest = False
            out.append(line)
            continue
        if indent == 0:
            section, literal = bool(SECTION.match(bare)), False
        if doctest or bare.startswith(">>> "):
            doctest = True
            out.append(line)
        elif literal:
            out.append(line)
        elif indent >= 4 and not section and place and not lines[place - 1].strip():
            literal = True
            out += ["::", "", line]
        elif section and indent and (item := ITEM.fullmatch(line)):
            out.append(f"{item[1]}{item[2]}: {text(item[3])}")
        elif SECTION.match(bare):
            out.append(line)
        elif bare.startswith("* "):
            out.append(line[:indent] + "* " + text(bare[2:]))
        else:
            out.append(line[:indent] + text(bare))
    return out


def process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Translate a docstring in place; connected to `autodoc-process-docstring`."""
    if what == "data" and lines and lines[0] == str(type(obj).__doc__).split("\n")[0]:
        lines[:] = [f"``{obj!r}``"]
    fields = [("Attributes", "params_style")]
    config = Config(napoleon_custom_sections=fields, napoleon_use_rtype=False, napoleon_use_param=False)
    lines[:] = GoogleDocstring(translated(lines), config, app, what, name, obj, options).lines()


def signature(app: Sphinx, what: str, name: str, obj: Any, options: Any, text: str | None, returned: str | None) -> Any:
    """A default that a factory makes is an ellipsis, so that the signature can be parsed and its types become links."""
    return None if text is None else (text.replace("<factory>", "..."), returned)


class Public(SphinxDirective):
    """A table of the names in `__all__` of a module, then each of them in full.

    `:elsewhere:` names the ones that another page of the reference documents.
    """

    required_arguments = 1
    option_spec = {"elsewhere": directives.unchanged}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        module = import_module(self.arguments[0])
        elsewhere = set(self.options.get("elsewhere", "").split())
        if unknown := elsewhere - set(module.__all__):
            raise self.error(f"{module.__name__} has no public {', '.join(sorted(unknown))}")
        names = [name for name in module.__all__ if name not in elsewhere]
        origins = [(name, getattr(module, name)) for name in module.__all__ if name in elsewhere]
        lines = [f".. automodule:: {module.__name__}", "", ".. autosummary::", "   :nosignatures:", ""]
        lines += [f"   {name}" for name in names] + [""]
        for name in names:
            value = getattr(module, name)
            setattr(module, name, value)  # what the module imports on first use becomes visible to autodoc
            lines += [f".. {directive(value)}:: {name}", *options(value), ""]
        if origins:
            links = [f":py:obj:`{name} <{value.__module__}.{value.__qualname__}>`" for name, value in origins]
            lines += ["Also here, and documented with the module they come from: " + ", ".join(links) + ".", ""]
        content = "\n".join(["```{eval-rst}", f".. currentmodule:: {module.__name__}", "", *lines, "```"])
        return self.parse_text_to_nodes(content, allow_section_headings=True)


def directive(value: Any) -> str:
    """The directive of autodoc that documents a value.

    >>> directive(ValueError), directive(int), directive(print), directive(3)
    ('autoexception', 'autoclass', 'autofunction', 'autodata')
    """
    if isinstance(value, type):
        return "autoexception" if issubclass(value, BaseException) else "autoclass"
    return "autofunction" if callable(value) else "autodata"


def options(value: Any) -> list[str]:
    """The options of that directive."""
    if directive(value) != "autoclass":
        return []
    return ["   :members:", f"   :inherited-members: {NOT_OURS}", f"   :exclude-members: {OF_SCIKIT_LEARN}"]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("public", Public)
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-signature", signature)
    return {"parallel_read_safe": True}
