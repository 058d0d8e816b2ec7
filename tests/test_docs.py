"""The documentation's Python runs, page by page, and its pages link to what is there."""

import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.filterwarnings("ignore::boundary_research.classifier.model.ThinCategoryWarning")
def test_every_example_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.S | re.M)
    names = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{page.name}, block {number + 1}", "exec"), names)
    printed = capsys.readouterr().out
    assert blocks
    assert printed.count("\n") >= sum("print(" in block for block in blocks)


def test_commands_named_in_the_documentation_exist():
    from boundary_research.cli import app

    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    names |= {group.name for group in app.registered_groups}
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("*/*.md")]
    for page in pages:
        for command in re.findall(r"`boundary-research ([\w-]+)", page.read_text("utf-8")):
            assert command in names, (page.name, command)


def test_the_documentation_builds_without_a_warning(tmp_path):
    ignored = shutil.ignore_patterns("_build", "_api", "_notebooks")
    pages = shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=ignored)
    for name in ("notebooks", "data", "README.md", "CHANGELOG.md"):
        (tmp_path / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(pages), "built"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert not done.returncode, done.stderr[-2000:]
    assert (tmp_path / "built" / "index.html").is_file()
