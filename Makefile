# Every target sets up what it needs: python3 (3.11 or newer) with its venv module is enough.
.DELETE_ON_ERROR:
.PHONY: help run test bench drills lint config reference docs

PYTHON = python3
ARGS =
VENV = .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed
CODE = benchmarks core drills plugins examples tests typings

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'ARGS are passed on: make run ARGS=--no-samples, make test ARGS="-k pagination".'
	@echo 'PYTHON is the interpreter that .venv is made with: make run PYTHON=python3.13.'

run: $(INSTALLED) ## Serve for development on http://127.0.0.1:8000/jobbergate
	@$(BIN)/jobbergate-server dev $(ARGS)

test: $(INSTALLED) ## Run every test, on SQLite and on PostgreSQL
	$(BIN)/pytest -n auto $(ARGS)

bench: $(INSTALLED) ## Measure the speed of the server beside others (needs wrk)
	PYTHONPATH=tests/support $(BIN)/python -m benchmarks $(ARGS)

drills: $(INSTALLED) ## Break things, and see what becomes of the server
	$(BIN)/python -m drills $(ARGS)

lint: $(INSTALLED) ## Check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy $(CODE)

config: $(INSTALLED) ## Write config/jobbergate.toml from the settings models
	$(BIN)/python -m jobbergate_server.reference > $(VENV)/jobbergate.toml
	mv $(VENV)/jobbergate.toml config/jobbergate.toml

reference: $(INSTALLED) ## Write docs/reference from the code
	$(BIN)/python -m jobbergate_server.manual docs/reference

# The variable silences a notice of the theme about the future of MkDocs, as that notice says.
docs: $(INSTALLED) ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict $(ARGS)

# The environment is installed anew when the lock file or a distribution's own requirements have changed. Where uv is
# not installed, it is put into the environment itself; --inexact leaves it there. Compiled packages start in half the time.
$(INSTALLED): uv.lock pyproject.toml core/pyproject.toml $(wildcard plugins/*/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'Python 3.11 or newer is needed, and $(PYTHON) is not one. Name another: make PYTHON=python3.13 …' >&2; \
		exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet 'uv>=0.13'
	PATH="$$PATH:$(BIN)" UV_PROJECT_ENVIRONMENT=$(VENV) uv sync --locked --all-packages --inexact --compile-bytecode
	@touch $@
