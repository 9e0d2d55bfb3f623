"""Sentences on their way to a person that do not go through gettext, found in the source.

What is given to a *mouth* (an output stream, a refusal, a message of a page, `help=`) is followed
back: through names, conditions and concatenations, into the functions that return it, and to the
callers of a function that says what it is given.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cached_property

from tests.architecture import Source, absolute, called

GETTEXT = frozenset({"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy"})
REFUSALS = frozenset({"CommandError", "ActionRefused", "Detail", "FileRefused"})
CHECKS = frozenset({"Error", "Warning"})
PAGE_MESSAGES = frozenset({"message_user", "add_message"})
KEYWORDS = frozenset({"help", "hint"})

Function = ast.FunctionDef | ast.AsyncFunctionDef
Found = tuple[str, int, str]
"""Module, line and words of a sentence that is not translated."""


def unwrapped(modules: Iterable[Source]) -> list[str]:
    """`module:line “words”` for each literal sentence that is said and not translated."""
    spoken = {source.module: Module(source) for source in modules}
    mouths = _with_subclasses(spoken.values()) | CHECKS | PAGE_MESSAGES
    found: set[Found] = set()
    for module in spoken.values():
        found |= module.unwrapped(mouths, spoken)
    return [f"{name}:{line} “{text}”" for name, line, text in sorted(found)]


def is_sentence(text: str) -> bool:
    return " " in text and any(character.isalpha() for character in text)


class Module:
    """One module, what it says, and where that comes from."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.nodes = list(ast.walk(source.tree))
        self.parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}
        self.functions = {node.name: node for node in self.nodes if isinstance(node, Function)}
        self.scopes: dict[ast.AST, dict[str, list[ast.expr]]] = {}
        self.passed_on: set[tuple[str, str]] = set()
        """(function, parameter) of the functions that say what they are given."""

    def unwrapped(self, mouths: frozenset[str], others: dict[str, Module]) -> set[Found]:
        found: set[Found] = set()
        known = -1
        while known != len(self.passed_on):  # until no further function is seen to pass on
            known = len(self.passed_on)
            seen: set[ast.AST] = set()
            for said in self.said(mouths):
                found |= set(self.literals(said, others, seen))
        return found

    def said(self, mouths: frozenset[str]) -> Iterator[ast.expr]:
        """Every expression whose value a person reads."""
        for node in self.nodes:
            if isinstance(node, ast.ClassDef):
                yield from (value for name, value in bindings(node.body) if name == "help")
            elif isinstance(node, ast.Call):
                yield from (one.value for one in node.keywords if one.arg in KEYWORDS)
                if called(node) in mouths or is_stream(node.func):
                    yield from (*node.args, *(one.value for one in node.keywords))
                yield from self.given_to_pass_on(node)

    def given_to_pass_on(self, call: ast.Call) -> Iterator[ast.expr]:
        function = self.functions.get(called(call))
        if function is None:
            return
        names = [name for name in parameters(function) if name not in {"self", "cls"}]
        given = dict(zip(names, call.args, strict=False))
        given |= {one.arg: one.value for one in call.keywords if one.arg}
        for name, value in given.items():
            if (function.name, name) in self.passed_on:
                yield value

    def literals(
        self, node: ast.AST, others: dict[str, Module], seen: set[ast.AST]
    ) -> Iterator[Found]:
        """The sentences that the value of `node` may be made of, but for what was `seen` before."""
        if node in seen:
            return
        seen.add(node)
        if isinstance(node, ast.Constant | ast.JoinedStr) and is_sentence(words(node)):
            yield self.source.module, node.lineno, words(node)
        for part in self.parts(node):
            yield from self.literals(part, others, seen)
        if isinstance(node, ast.Call):
            home, name = self.imported.get(called(node), ("", ""))
            if home in others and name in others[home].functions:
                for part in results(others[home].functions[name]):
                    yield from others[home].literals(part, others, seen)

    def parts(self, node: ast.AST) -> list[ast.AST]:
        """What the value of `node` is made of; nothing where it does not show in the words."""
        match node:
            case ast.Name():
                return self.values_of(node)
            case ast.Attribute(attr=name):
                return list(self.attributes.get(name, ()))
            case ast.Call() if called(node) in GETTEXT:
                # makemessages finds plain literals only, so anything else is looked into.
                return [one for one in node.args if not isinstance(one, ast.Constant)]
            case ast.Call(func=ast.Name() | ast.Attribute(value=ast.Name(id="self" | "cls"))) if (
                called(node) in self.functions
            ):
                return results(self.functions[called(node)])
            case ast.Call(func=ast.Attribute(value=value)):  # "…".format(…), ", ".join(…)
                return [value, *node.args]
            case ast.Call():  # the house gives options by keyword, words by position
                return list(node.args)
            case ast.IfExp():
                return [node.body, node.orelse]
            case ast.Dict():
                return list(node.values)
            case ast.JoinedStr():
                return [one for one in node.values if isinstance(one, ast.FormattedValue)]
            case ast.FormattedValue() | ast.Subscript():
                return [node.value]
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                return [node.elt]
            case ast.Compare() | ast.Lambda():
                return []
            case _:
                return list(ast.iter_child_nodes(node))

    def values_of(self, name: ast.Name) -> list[ast.AST]:
        """What `name` may stand for here. That of a parameter is for the callers to say."""
        node: ast.AST = name
        while node in self.parents:
            node = self.parents[node]
            if not isinstance(node, Function | ast.Module):
                continue
            if found := self.bound_in(node).get(name.id):
                return list(found)
            if isinstance(node, Function) and name.id in parameters(node):
                self.passed_on.add((node.name, name.id))
                return []
        return []

    def bound_in(self, scope: ast.AST) -> dict[str, list[ast.expr]]:
        if scope not in self.scopes:
            found: dict[str, list[ast.expr]] = {}
            for name, value in bindings(ast.walk(scope)):
                found.setdefault(name, []).append(value)
            self.scopes[scope] = found
        return self.scopes[scope]

    @cached_property
    def attributes(self) -> dict[str, list[ast.expr]]:
        """What the attributes of the module's own classes are set to."""
        found: dict[str, list[ast.expr]] = {}
        for node in self.nodes:
            if isinstance(node, ast.ClassDef):
                for name, value in bindings(node.body):
                    found.setdefault(name, []).append(value)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Attribute):
                        found.setdefault(target.attr, []).append(node.value)
        return found

    @cached_property
    def imported(self) -> dict[str, tuple[str, str]]:
        """Name here -> (module, name there) of what is imported by name."""
        return {
            alias.asname or alias.name: (absolute(self.source, node), alias.name)
            for node in self.nodes
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }


def _with_subclasses(modules: Iterable[Module]) -> frozenset[str]:
    """The refusals, and the exceptions derived from them anywhere."""
    classes = [node for one in modules for node in one.nodes if isinstance(node, ast.ClassDef)]
    found = set(REFUSALS)
    while more := {
        one.name
        for one in classes
        if one.name not in found and any(last_name(base) in found for base in one.bases)
    }:
        found |= more
    return frozenset(found)


def is_stream(function: ast.expr) -> bool:
    """`….stdout.write`, `….stderr.write`, and what `messages` has to say to a page."""
    if not isinstance(function, ast.Attribute):
        return False
    owner = last_name(function.value)
    return owner == "messages" or (function.attr == "write" and owner in {"stdout", "stderr"})


def last_name(node: ast.expr) -> str:
    """`stdout` for `self.stdout`."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def words(node: ast.Constant | ast.JoinedStr) -> str:
    """The words of a literal, with {} for what an f-string puts in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(words(one) if isinstance(one, ast.Constant) else "{}" for one in node.values)


def bindings(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    """(name, expression) of everything that gives a name a value, or adds to a list of it."""
    for node in nodes:
        match node:
            case ast.Assign(targets=targets, value=value):
                yield from ((one.id, value) for one in targets if isinstance(one, ast.Name))
            case (
                ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                | ast.AugAssign(target=ast.Name(id=name), value=value)
                | ast.NamedExpr(target=ast.Name(id=name), value=value)
                | ast.For(target=ast.Name(id=name), iter=value)
                | ast.comprehension(target=ast.Name(id=name), iter=value)
                | ast.Call(
                    func=ast.Attribute(value=ast.Name(id=name), attr="append" | "extend"),
                    args=[value],
                )
            ):
                yield name, value


def results(function: Function) -> list[ast.AST]:
    """Every expression that the function returns or yields."""
    return [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) and node.value is not None
    ]


def parameters(function: Function) -> list[str]:
    every = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    return [one.arg for one in every]
