# One definition of every check; pre-commit and CI call these targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PYTHONHASHSEED ?= 0

.DEFAULT_GOAL := help
.PHONY: help study test check notebooks benchmark docs clean corpus-check

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

$(READY): requirements.lock pyproject.toml setup.py boundary_research/classifier/_kernel.c
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Try: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $(READY)

study: $(READY)  ## run the main job on the bundled example study (output in data/example_study/output)
	$(BIN)/boundary-research run data/example_study/study.yaml

test: $(READY)  ## package, README and notebook tests
	$(BIN)/python -m pytest -n 2 -m "not slow" tests
	$(BIN)/python -m pytest -n 2 --doctest-modules --ignore-glob "*/_encoder_losses.py" --ignore-glob "*/_encoder_training.py" boundary_research
	$(BIN)/python -m pytest -n 2 --dist loadfile --nbval --nbval-current-env notebooks

check: $(READY)  ## formatting, lint, types, import contract
	$(BIN)/ruff format --check boundary_research tests benchmarks
	$(BIN)/ruff check boundary_research tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

notebooks: $(READY)  ## run every notebook again in place
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False notebooks/*.ipynb

corpus-check: $(READY)  ## counts, agreement, keyword baseline and split checks of the bundled corpus
	$(BIN)/boundary-research corpus-check

benchmark: $(READY)  ## what is claimed about accuracy and speed, each beside a peer
	for name in accuracy coverage encoder evaluation_coverage reliability_coverage reliability_speed risk_factors_speed throughput; do \
	  $(BIN)/python benchmarks/$$name.py || exit 1; done

docs: $(READY)  ## build the documentation into docs/_build
	$(BIN)/python -m sphinx -W -b html docs docs/_build/html

clean:  ## remove what was built
	rm -rf $(VENV) build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info data/example_study/output
