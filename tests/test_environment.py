"""The ways of installing agree: pyproject.toml, environment.yml, requirements.lock, Makefile."""

import re
import tomllib
from importlib import metadata

import yaml
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# conda-forge calls these by another name.
CONDA_NAMES = {"matplotlib-base": "matplotlib", "playwright-python": "playwright"}


# Gigabytes that only those install who fine-tune an encoder; no command of the Makefile needs it.
TOO_LARGE = {"transformer"}


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def declared():
    texts = list(project()["dependencies"])
    for name, extra in project()["optional-dependencies"].items():
        texts += extra if name not in TOO_LARGE else []
    return {canonicalize_name(r.name): str(r.specifier) for r in map(Requirement, texts)}


def locked(name="requirements.lock"):
    lines = (ROOT / name).read_text("utf-8").split()
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[A-Za-z0-9_.+!\-]+", line) for line in lines)
    return {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines}


def test_conda_environment_equals_pyproject():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))["dependencies"]
    found = {}
    for entry in listed:
        if isinstance(entry, str):
            requirement = Requirement(entry)
            name = CONDA_NAMES.get(requirement.name, requirement.name)
            found[canonicalize_name(name)] = str(requirement.specifier)
    assert found.pop("python") == project()["requires-python"]
    found.pop("pip")
    assert found == declared()


def test_lock_pins_everything_declared_at_or_above_its_floor():
    pins = locked()
    for name, specifier in declared().items():
        assert name in pins, name
        assert Requirement(f"{name}{specifier}").specifier.contains(pins[name]), name


def test_optional_lock_pins_what_fine_tuning_needs_and_nothing_twice():
    pins = locked("requirements-optional.lock")
    for text in project()["optional-dependencies"]["transformer"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), text
    assert not set(pins) & set(locked())


def test_what_runs_is_what_is_locked():
    for name in ("numpy", "pandas", "scikit-learn", "scipy", "matplotlib"):
        assert metadata.version(name) == locked()[name]


def test_no_gpl_at_run_time():
    for text in project()["dependencies"]:
        name = Requirement(text).name
        meta = metadata.metadata(name)
        licences = " ".join(
            [*(meta.get_all("Classifier") or []), meta.get("License-Expression") or ""]
        )
        assert not re.search(r"\bA?GPL|General Public", licences.replace("LGPL", "")), name


def test_make_help_names_every_target():
    text = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*##", text, re.M))
    assert {"help", "study", "test", "check", "notebooks", "benchmark", "docs", "clean"} <= targets
