# Every target installs its requirements: python3 (3.11 or newer) with its venv module is enough.
.DELETE_ON_ERROR:
.PHONY: help run test bench drills lint sbom config reference docs

PYTHON = python3
ARGS =
VENV = .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed
CODE = .ci/audit.py benchmarks conftest.py core devkit drills plugins examples tests typings
SYNC = PATH="$$PATH:$(BIN)" UV_PROJECT_ENVIRONMENT=$(VENV) uv sync --locked --inexact
SHIPPED = $(BIN)/uv export --quiet --locked --no-dev --no-emit-package jobbergate-devkit

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'ARGS are passed to the command: make run ARGS=--no-samples, make test ARGS="-k pagination".'
	@echo 'PYTHON is the interpreter that creates .venv: make run PYTHON=python3.13.'

run: $(INSTALLED)-run ## Serve for development on http://127.0.0.1:8000/jobbergate
	@$(BIN)/jobbergate-server dev $(ARGS)

test: $(INSTALLED)-test ## Run every test, on SQLite and on PostgreSQL
	$(BIN)/pytest -n auto --dist worksteal $(ARGS)

bench: $(INSTALLED)-bench ## Measure the speed of the server beside its peers (needs wrk)
	PYTHONPATH=tests/support $(BIN)/python -m benchmarks $(ARGS)

drills: $(INSTALLED)-drills ## Cause failures and check how the server behaves
	$(BIN)/python -m drills $(ARGS)

lint: $(INSTALLED)-lint ## Check style, format, spelling, types and dependencies
	$(BIN)/uv lock --check --quiet
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	@for folder in core devkit plugins/*; do (cd $$folder && $(CURDIR)/$(BIN)/deptry src) || exit 1; done
	$(SHIPPED) --no-emit-workspace --no-hashes --no-annotate --no-header --output-file $(VENV)/requirements.txt
	$(BIN)/python .ci/audit.py $(VENV)/requirements.txt

sbom: $(INSTALLED)-installer ## Write sbom.cdx.json, the bill of materials (CycloneDX)
	$(SHIPPED) --format cyclonedx1.5 --preview-features sbom-export --output-file sbom.cdx.json

config: $(INSTALLED)-docs ## Write config/jobbergate.toml from the settings models
	$(BIN)/python -m jobbergate_devkit.reference.settings_file > $(VENV)/jobbergate.toml
	mv $(VENV)/jobbergate.toml config/jobbergate.toml

reference: $(INSTALLED)-docs ## Write the generated pages of docs/reference
	$(BIN)/python -m jobbergate_devkit.reference.pages docs/reference

# The variable disables a notice of the theme about the future of MkDocs, as the notice recommends.
docs: $(INSTALLED)-docs ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict $(ARGS)

# A target installs the project's dependencies and one dependency group, and keeps what is installed already. Its stamp
# file is newer than the lock file and the requirements of every distribution. uv installs only files with a hash in
# uv.lock, including uv and the build tools. The build tools come first, because packages that are released as source
# need them. Compiled packages start in half the time.
$(INSTALLED)-%: uv.lock pyproject.toml core/pyproject.toml devkit/pyproject.toml $(wildcard plugins/*/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo '$(PYTHON) is not Python 3.11 or newer. Name another interpreter: make PYTHON=python3.13 …' >&2; \
		exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@command -v uv >/dev/null || test -x $(BIN)/uv || \
		$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-uv.txt
	@$(SYNC) --quiet --only-group build
	$(SYNC) --no-default-groups --group $* --compile-bytecode --no-build-isolation
	@touch $@

# Everything, for editors and for commands without a target.
$(INSTALLED): $(INSTALLED)-dev
	@touch $@
