PYTHON := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test check chaos bench audit

help:
	@echo "make demo          start everything on this machine, post an urgent alert, watch it arrive, keep serving"
	@echo "make demo ONCE=1   the same, ending by itself"
	@echo "make test          install what the tests need and run them all"
	@echo "make chaos         do to it all that it must survive (hours; in parts of an hour: make chaos PART=1)"
	@echo "make bench         measure how fast it is here (in parts: make bench ONLY=push,mail; to try: make bench QUICK=1)"
	@echo "make audit         let Lighthouse judge the pages in Chromium (to try: make audit ONLY=mine,live)"
	@echo "make check         format, lint, types, layers, fast tests"

demo: .venv/installed
	@$(PYTHON) -m tests.demo $(if $(ONCE),--once)

test: .venv/installed
	@.ci/setup
	@$(PYTHON) -m pytest

chaos: .venv/installed
	@.ci/setup
	@$(PYTHON) -m tests.chaos --set long --state var/chaos $(if $(PART),--part $(PART)) $(if $(SEED),--seed $(SEED))

bench: .venv/installed
	@.ci/setup
	@$(PYTHON) -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick)

audit: .venv/installed
	@.ci/setup
	@.ci/node tests/audit
	@$(PYTHON) -m tests.audit $(if $(ONLY),--only $(ONLY))

check: .venv/installed
	@$(PYTHON) -m ruff format --check --output-format concise .
	@$(PYTHON) -m ruff check --output-format concise .
	@$(PYTHON) -m mypy
	@$(PYTHON) -m pytest -q tests/core tests/config tests/channels/test_registry.py tests/test_layers.py tests/test_docs.py

.venv/installed: pyproject.toml config/constraints.txt .ci/venv
	@.ci/venv
