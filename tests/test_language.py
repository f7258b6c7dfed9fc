"""Names in the source: what they hold, and one meaning each."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import sfumato

FOLDER = Path(sfumato.__file__).parent
SAY_NOTHING = {"found", "told", "said", "asked", "made", "held", "one"}
MOST_OF_BINDINGS = 0.01
MOST_FILES = 14
SAME_IDEA = {"FAMILY", "KIND"}
"""Constants that each package of its kind has: a family of measures, a kind of data."""


@cache
def trees() -> dict[str, ast.Module]:
    """Every file of the package, by its path."""
    return {str(path.relative_to(FOLDER)): ast.parse(path.read_text("utf-8")) for path in sorted(FOLDER.rglob("*.py"))}


def bindings(tree: ast.AST) -> Iterator[str]:
    """Every name that is given a value: assigned, a parameter, the target of a loop, an attribute, a function, a class.

    >>> sorted(bindings(ast.parse("def f(a, *, b=1):\\n    self.c = [d for d in a]\\n    return lambda e: e")))
    ['a', 'b', 'c', 'd', 'e', 'f']
    """
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name


def constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The constants of a file and the text of their values."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                paired = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                pairs = zip(target.elts, node.value.elts, strict=True) if paired else [(target, node.value)]
                for name, value in pairs:
                    if isinstance(name, ast.Name) and name.id.isupper() and not name.id.startswith("_"):
                        yield name.id, ast.unparse(value)


def test_names_say_what_they_hold() -> None:
    """At most one in a hundred names is a word that says nothing of what it holds."""
    counts = Counter(name for tree in trees().values() for name in bindings(tree))
    used = {name: counts[name] for name in SAY_NOTHING}
    assert counts.total() > 10_000
    assert sum(used.values()) <= MOST_OF_BINDINGS * counts.total(), used


def test_no_public_class_name_is_used_twice() -> None:
    files = defaultdict(list)
    for path, tree in trees().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                files[node.name].append(path)
    assert {name: paths for name, paths in files.items() if len(paths) > 1} == {}


def test_a_constant_of_one_name_has_one_value() -> None:
    """A name such as `MOST` in several files would limit something else in each."""
    values = defaultdict(set)
    for tree in trees().values():
        for name, value in constants(tree):
            values[name].add(value)
    several = {name: texts for name, texts in values.items() if len(texts) > 1 and name not in SAME_IDEA}
    assert several == {}, "give the constant of the new file a name that says more"


def test_a_folder_holds_what_can_be_taken_in_at_a_look() -> None:
    sizes = Counter(Path(path).parent for path in trees())
    assert {str(folder): size for folder, size in sizes.items() if size > MOST_FILES} == {}
