"""The rules of the layout as functions over source text, so that each can be shown to fail."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from tests.support import ROOT

PACKAGES = (
    "annotation_site",
    "labeling",
    "rerank_engine",
    "llm_worker",
    "countersign",
    "bench",
    "tests",
)
CORES = ("rerank_engine", "llm_worker")
SEAM = ("llm_worker.pipeline", "llm_worker.tasks")
FRAMEWORKS = ("django", "celery", "kombu", "redis", "rest_framework", "allauth", "drf_spectacular")
OURS = PACKAGES
SIGNALS = ("django.dispatch", "django.db.models.signals", "django.core.signals")
QUEUES = frozenset({"default", "rerank", "llm", "webhooks"})
JOB_DECORATORS = frozenset({"shared_task", "task"})
SENDERS = frozenset({"send_task", "apply_async", "delay", "delay_on_commit", "signature"})
JOB_STATEMENTS = 6


@dataclass(frozen=True)
class Source:
    """One module: its dotted name, its text, and whether it is a package's `__init__`."""

    module: str
    text: str
    is_package: bool = False

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)


@dataclass(frozen=True)
class Rule:
    """Modules under `scope` but not under `but_not` import nothing under `forbidden`."""

    scope: tuple[str, ...]
    forbidden: tuple[str, ...]
    but_not: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


MIDDLE = (
    "labeling.actions",
    "labeling.formats",
    "labeling.quality",
    "labeling.access",
    "labeling.dispatch",
)
OUTER = ("labeling.api", "labeling.views", "labeling.admin", "labeling.management", "labeling.urls")

NOT_THE_SITE = ("rerank_engine", "llm_worker", "countersign", "bench")

RULES = (
    # The cores could be published as libraries.
    Rule(
        scope=("rerank_engine",),
        forbidden=(*FRAMEWORKS, *OURS),
        allowed=("rerank_engine",),
    ),
    Rule(
        scope=("llm_worker",),
        but_not=SEAM,
        forbidden=(*FRAMEWORKS, *OURS),
        allowed=("llm_worker",),
    ),
    Rule(scope=("llm_worker",), but_not=SEAM, forbidden=SEAM),
    # The client is installed by itself, where there is no server.
    Rule(scope=("countersign",), forbidden=(*FRAMEWORKS, *OURS), allowed=("countersign",)),
    # The site reaches the cores through rows and messages only.
    Rule(
        scope=("labeling", "annotation_site"),
        forbidden=NOT_THE_SITE,
    ),
    Rule(scope=("labeling", "annotation_site", *CORES), forbidden=("tests",)),
    # statistics, rules <- models <- actions, formats <- api, views, admin
    Rule(
        scope=("labeling.statistics",),
        forbidden=(*FRAMEWORKS, *OURS),
        allowed=("labeling.statistics",),
    ),
    Rule(
        scope=("labeling.rules",),
        forbidden=(*FRAMEWORKS, *OURS),
        allowed=("labeling.statistics", "labeling.rules", "django.utils.translation"),
    ),
    Rule(
        scope=("labeling.models",),
        forbidden=(*MIDDLE, *OUTER),
    ),
    Rule(
        scope=MIDDLE,
        forbidden=OUTER,
    ),
    Rule(scope=("labeling",), forbidden=SIGNALS),
)


def under(name: str, prefixes: Iterable[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


@cache
def sources(*packages: str) -> tuple[Source, ...]:
    """Every module of `packages` (all of ours without arguments), migrations left out."""
    found = []
    for package in packages or PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if "migrations" in parts:
                continue
            is_package = parts[-1] == "__init__"
            module = ".".join(parts[:-1] if is_package else parts)
            found.append(Source(module, path.read_text(encoding="utf-8"), is_package))
    return tuple(found)


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported anywhere in the module, also inside functions.

    `from a import b` gives both `a` and `a.b`, for `b` may be a module.
    """
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(source, node)
            yield node.lineno, base
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "__import__"}:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def absolute(source: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = source.module.split(".")
    kept = parts[: len(parts) - node.level + (1 if source.is_package else 0)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def called(node: ast.Call) -> str:
    """The last name of what is called: `task` for `app.task(...)`."""
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def wrong_imports(source: Source, rules: Iterable[Rule] = RULES) -> list[str]:
    problems = []
    for rule in rules:
        if not under(source.module, rule.scope) or under(source.module, rule.but_not):
            continue
        for line, name in imports(source):
            if under(name, rule.forbidden) and not allowed(name, rule.allowed):
                problems.append(f"{source.module}:{line} imports {name}")
    return sorted(set(problems))


def allowed(name: str, exceptions: Iterable[str]) -> bool:
    """`name` is an exception, or a package on the way to one (`labeling` of `labeling.rules`)."""
    exceptions = tuple(exceptions)
    return under(name, exceptions) or any(one.startswith(f"{name}.") for one in exceptions)


def named_jobs(source: Source) -> list[str]:
    """Places of `labeling` outside its dispatch that name or send a Celery job."""
    if not under(source.module, ("labeling",)) or source.module == "labeling.dispatch":
        return []
    problems = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and "llm_worker.tasks" in str(node.value):
            problems.append(f"{source.module}:{node.lineno} names a job")
        elif isinstance(node, ast.Call) and called(node) in SENDERS:
            problems.append(f"{source.module}:{node.lineno} calls {called(node)}")
    return problems


def jobs(source: Source) -> Iterator[tuple[ast.FunctionDef, ast.expr]]:
    """Every function that a Celery decorator makes a job, with that decorator."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
            if name in JOB_DECORATORS:
                yield node, decorator


def wrong_jobs(source: Source) -> list[str]:
    """Jobs outside `llm_worker.tasks`, without a queue of ours, or longer than a few statements."""
    problems = []
    for function, decorator in jobs(source):
        place = f"{source.module}:{function.lineno} {function.name}"
        if source.module != "llm_worker.tasks":
            problems.append(f"{place}: jobs live in llm_worker.tasks")
        if queue_of(decorator) not in QUEUES:
            problems.append(f"{place}: names none of the queues {', '.join(sorted(QUEUES))}")
        if statements(function) > JOB_STATEMENTS:
            problems.append(f"{place}: a job is at most {JOB_STATEMENTS} statements")
    return problems


def queue_of(decorator: ast.expr) -> object:
    if isinstance(decorator, ast.Call):
        for keyword in decorator.keywords:
            if keyword.arg == "queue" and isinstance(keyword.value, ast.Constant):
                return keyword.value.value
    return None


def statements(function: ast.FunctionDef) -> int:
    """Statements in a function at any depth, without its docstring."""
    count = sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 1
    return count - (ast.get_docstring(function) is not None)


def function_lengths(source: Source) -> Iterator[tuple[str, int]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield f"{source.module}.{node.name}", node.end_lineno - node.lineno + 1


def too_long(
    modules: Iterable[Source], *, file_lines: int = 400, function_lines: int = 35, most: int = 80
) -> list[str]:
    """One sentence per broken budget: nine in ten files and functions, and no function over."""
    modules = tuple(modules)
    files = [(source.module, source.text.count("\n")) for source in modules]
    functions = [length for source in modules for length in function_lengths(source)]
    problems = [f"{name} has {lines} lines" for name, lines in functions if lines > most]
    for kind, sizes, limit in (
        ("files", files, file_lines),
        ("functions", functions, function_lines),
    ):
        over = [f"{name} ({lines})" for name, lines in sizes if lines > limit]
        if len(over) * 10 > len(sizes):
            problems.append(f"more than one in ten {kind} exceed {limit} lines: {', '.join(over)}")
    return problems
