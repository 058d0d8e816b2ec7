"""The code that a function rests on, found by its imports, hashed without comments and layout."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

# Libraries whose version may move a number, by the name they are imported under.
LIBRARIES = {
    "formulaic": "formulaic",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "pandas": "pandas",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "statsmodels": "statsmodels",
    "tokenizers": "tokenizers",
}
# What every stage rests on, whether it names them or not.
_ALWAYS = ("numpy", "pandas", "scipy", "sklearn")
_FILE_NAME = re.compile(r"[\w-]+(\.[\w-]+)+")
_SOURCES = ("*.py", "*.pyi", "*.c", "*.yaml", "*.json", "*.html", "*.css", "*.js")


def _digest(content: bytes | str) -> str:
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()


def _without_docstrings(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tree


def _live_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes except those that only a type checker sees."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        typing_only = (
            isinstance(child, ast.If)
            and isinstance(child.test, ast.Name)
            and child.test.id == "TYPE_CHECKING"
        )
        if not typing_only:
            yield from _live_nodes(child)


class _Module:
    """One module of a package, parsed."""

    def __init__(self, file: Path, base: CodeBase) -> None:
        self.file = file
        self._base = base
        self.tree = _without_docstrings(ast.parse(file.read_bytes()))

    @cached_property
    def imports(self) -> dict[str, str]:
        """The names that imports bind, with the dotted name of what they stand for."""
        found = {}
        for node in _live_nodes(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found[alias.asname or alias.name.split(".")[0]] = alias.name
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        return found

    @cached_property
    def definitions(self) -> dict[str, list[ast.stmt]]:
        """The top-level statements that define each name."""
        found: dict[str, list[ast.stmt]] = {}
        for node in getattr(self.tree, "body", []):
            names = []
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names = [node.name]
            elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
                stored = (n for n in ast.walk(node) if isinstance(n, ast.Name))
                names = [n.id for n in stored if isinstance(n.ctx, ast.Store)]
            for name in names:
                found.setdefault(name, []).append(node)
        return found

    @cached_property
    def data_files(self) -> list[Path]:
        """Files beside the module that it names."""
        named = {
            node.value
            for node in _live_nodes(self.tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and _FILE_NAME.fullmatch(node.value)
        }
        return [path for name in sorted(named) if (path := self.file.parent / name).is_file()]

    @cached_property
    def sha256(self) -> str:
        """Hash of the code without comments, layout and docstrings, and of the files it names."""
        parts = [_digest(ast.dump(self.tree)), *(_digest(f.read_bytes()) for f in self.data_files)]
        return _digest("\n".join(parts))


class CodeBase:
    """The source of a package.

    Parameters
    ----------
    root : pathlib.Path
        Folder of the package; its name is the package's.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._modules: dict[str, _Module | None] = {}

    def module(self, name: str) -> _Module | None:
        """Return a module by its dotted name; None where there is no such source file."""
        if name not in self._modules:
            package, *parts = name.split(".")
            file = self.root.joinpath(*parts).with_suffix(".py") if parts else self.root
            there = package == self.root.name and bool(parts) and file.is_file()
            self._modules[name] = _Module(file, self) if there else None
        return self._modules[name]

    def _resolve(self, target: str) -> str | None:
        """Return the module that an imported dotted name lies in, or is; None if of no package."""
        if target.split(".")[0] != self.root.name:
            return None
        for name in (target, target.rpartition(".")[0]):
            if self.module(name) is not None or self._binaries(name):
                return name
        return None

    def _binaries(self, name: str) -> list[Path]:
        *parents, stem = name.split(".")[1:] or [""]
        folder = self.root.joinpath(*parents)
        found = [
            *folder.glob(f"{stem}.*.so"),
            *folder.glob(f"{stem}.*pyd"),
            *folder.glob(f"{stem}.so"),
        ]
        return sorted(found) if stem else []

    def _close(self, targets: Iterator[str] | list[str]) -> tuple[dict[str, str], set[str]]:
        """Return hashes of all modules behind imported names, and the libraries they import."""
        hashes: dict[str, str] = {}
        libraries: set[str] = set()
        waiting = list(targets)
        while waiting:
            target = waiting.pop()
            top = target.split(".")[0]
            libraries |= {top} & set(LIBRARIES)
            name = self._resolve(target)
            if name is None or name in hashes:
                continue
            module = self.module(name)
            if module is None:
                hashes[name] = _digest(
                    "".join(_digest(p.read_bytes()) for p in self._binaries(name))
                )
                continue
            hashes[name] = module.sha256
            waiting += module.imports.values()
        return hashes, libraries

    def trace(self, module_name: str, function_name: str) -> tuple[dict[str, str], set[str]]:
        """Return what a function rests on.

        Of its own module only what it uses counts: itself, and the functions and constants it
        names, and those they name. Of other modules all counts.

        Returns
        -------
        hashes : dict of str to str
            SHA-256 by module name; that of the function's own part under ``module:function``.
        libraries : set of str
            Those of `LIBRARIES` that are imported on the way.
        """
        module = self.module(module_name)
        if module is None:
            return {}, set()
        own: dict[str, str] = {}
        outside: list[str] = []
        waiting = [function_name]
        while waiting:
            name = waiting.pop()
            if name in own:
                continue
            nodes = module.definitions.get(name, [])
            if nodes:
                own[name] = "".join(ast.dump(node) for node in nodes)
            elif name in module.imports:
                outside.append(module.imports[name])
            for node in nodes:
                for part in _live_nodes(node):
                    if isinstance(part, ast.Name):
                        waiting.append(part.id)
                    elif isinstance(part, ast.ImportFrom) and part.module:
                        outside += [f"{part.module}.{alias.name}" for alias in part.names]
                    elif isinstance(part, ast.Import):
                        outside += [alias.name for alias in part.names]
        hashes, libraries = self._close(outside)
        text = "\n".join(f"{name} {own[name]}" for name in sorted(own))
        return {f"{module_name}:{function_name}": _digest(text), **hashes}, libraries

    @cached_property
    def sources_sha256(self) -> str:
        """One hash over all source files of the package, byte for byte."""
        files = {
            path.relative_to(self.root).as_posix(): path
            for pattern in _SOURCES
            for path in self.root.rglob(pattern)
            if "__pycache__" not in path.parts
        }
        # Line ends may have been changed by a checkout on another system.
        texts = {name: files[name].read_bytes().replace(b"\r\n", b"\n") for name in sorted(files)}
        return _digest("\n".join(f"{name} {_digest(text)}" for name, text in texts.items()))


@lru_cache(maxsize=1)
def own_code() -> CodeBase:
    """Return the source of this package."""
    return CodeBase(Path(__file__).resolve().parents[1])


@lru_cache(maxsize=64)
def trace_function(function: Callable[..., Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the hashes of the code that a function of this package rests on, and versions.

    Returns
    -------
    code : dict of str to str
        See `CodeBase.trace`.
    versions : dict of str to str
        Of the libraries whose version may move its result.
    """
    code, libraries = own_code().trace(function.__module__, function.__name__)
    if not code:
        # Without source files the version stands for the code.
        code = {"boundary_research": metadata.version("boundary-research")}
    names = sorted(LIBRARIES[name] for name in {*libraries, *_ALWAYS})
    return dict(sorted(code.items())), {name: version(name) for name in names}


def version(package: str) -> str:
    """Return the version of an installed package, or ``not installed``."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
