"""What README promises is there and runs."""

import re

import pytest
from conftest import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def test_every_link_and_picture_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_every_notebook_named_is_there_and_executed():
    import json

    named = re.findall(r"^\| `(\d\d-[\w-]+)` \|", README, re.M)
    assert len(named) >= 5
    for name in named:
        notebook = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text("utf-8"))
        cells = [c for c in notebook["cells"] if c["cell_type"] == "code"]
        assert all(c["execution_count"] for c in cells), name
        assert any(c["outputs"] for c in cells), name
        assert len(notebook["cells"]) <= 40, name


def test_make_targets_and_commands_exist():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^make (\w+)$", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
    from boundary_research.cli import app

    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    for command in re.findall(r"boundary-research (\w+) ", README):
        assert command in names, command


@pytest.mark.filterwarnings("ignore::boundary_research.classifier.model.ThinCategoryWarning")
def test_first_python_example_runs(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    block = re.findall(r"```python\n(.*?)```", README, re.S)[0]
    exec(compile(block, "README.md", "exec"), {})
    shares, odds = map(int, capsys.readouterr().out.split())
    assert shares == 14 * 4
    assert odds == 14 * 4 * 2


def test_fictional_origin_is_said():
    assert "fictional" in README
    assert "not by human authors or coders" in re.sub(r"\s+", " ", README)


def test_badges_are_true():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for name, value in {
        "python": project["requires-python"].removeprefix(">=") + "+",
        "licence": project["license"],
    }.items():
        assert f"docs/images/badge-{name}.svg" in README
        assert f": {value}</title>" in (ROOT / f"docs/images/badge-{name}.svg").read_text("utf-8")
