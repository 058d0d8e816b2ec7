"""ARCHITECTURE.md's map of modules is the code's, and the code keeps its own rules."""

import ast
import re

from conftest import ROOT

PACKAGE = ROOT / "boundary_research"


def modules():
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }


def test_every_module_is_on_the_map_and_the_map_names_no_other():
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    assert set(re.findall(r"^\| `([\w/]+\.py)` \|", text, re.M)) == modules()


def test_no_category_of_the_bundled_codebook_is_written_in_code():
    from boundary_research import load_codebook

    names = set(load_codebook().category_ids)
    for name in sorted(modules()):
        tree = ast.parse((PACKAGE / name).read_text("utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in docstrings
            ):
                assert node.value not in names, f"{name}: {node.value}"


def test_no_public_module_is_named_like_a_function_of_its_own():
    for name in sorted(modules()):
        stem = name.rsplit("/", 1)[-1].removesuffix(".py")
        if stem.startswith("_"):
            continue
        tree = ast.parse((PACKAGE / name).read_text("utf-8"))
        assert stem not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_global_generator_is_never_used():
    for name in sorted(modules()):
        text = (PACKAGE / name).read_text("utf-8")
        assert not re.search(
            r"np\.random\.(seed|rand|normal|choice|shuffle|permutation)\b", text
        ), name
