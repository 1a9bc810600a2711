# Every target installs its requirements: python3 (3.11 or newer) with its venv module is enough.
.DELETE_ON_ERROR:
.PHONY: help run test bench drills lint sbom config reference docs

PYTHON = python3
ARGS =
VENV = .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed
CODE = .ci/audit.py benchmarks conftest.py core devkit drills plugins examples tests typings
SHIPPED = $(BIN)/uv export --quiet --locked --no-dev --all-packages

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'ARGS are passed to the command: make run ARGS=--no-samples, make test ARGS="-k pagination".'
	@echo 'PYTHON is the interpreter that creates .venv: make run PYTHON=python3.13.'

run: $(INSTALLED) ## Serve for development on http://127.0.0.1:8000/jobbergate
	@$(BIN)/jobbergate-server dev $(ARGS)

test: $(INSTALLED) ## Run every test, on SQLite and on PostgreSQL
	$(BIN)/pytest -n auto --dist worksteal $(ARGS)

bench: $(INSTALLED) ## Measure the speed of the server beside its peers (needs wrk)
	PYTHONPATH=tests/support $(BIN)/python -m benchmarks $(ARGS)

drills: $(INSTALLED) ## Cause failures and check how the server behaves
	$(BIN)/python -m drills $(ARGS)

lint: $(INSTALLED) ## Check style, format, spelling, types and dependencies
	$(BIN)/uv lock --check --quiet
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/mypy $(CODE)
	$(SHIPPED) --no-emit-workspace --no-hashes --no-annotate --no-header --output-file $(VENV)/requirements.txt
	$(BIN)/python .ci/audit.py $(VENV)/requirements.txt

sbom: $(INSTALLED) ## Write sbom.cdx.json, the bill of materials (CycloneDX)
	$(SHIPPED) --format cyclonedx1.5 --preview-features sbom-export --output-file sbom.cdx.json

config: $(INSTALLED) ## Write config/jobbergate.toml from the settings models
	$(BIN)/python -m jobbergate_devkit.reference.settings_file > $(VENV)/jobbergate.toml
	mv $(VENV)/jobbergate.toml config/jobbergate.toml

reference: $(INSTALLED) ## Write docs/reference from the code
	$(BIN)/python -m jobbergate_devkit.reference.pages docs/reference

# The variable disables a notice of the theme about the future of MkDocs, as the notice recommends.
docs: $(INSTALLED) ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict $(ARGS)

# make updates the environment after a change of the lock file or of a distribution's requirements. It installs only files
# with a hash in uv.lock, including uv and the build tools. It installs the build tools first, because packages that are
# released as source need them. Compiled packages start in half the time.
$(INSTALLED): uv.lock pyproject.toml core/pyproject.toml devkit/pyproject.toml $(wildcard plugins/*/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo '$(PYTHON) is not Python 3.11 or newer. Name another interpreter: make PYTHON=python3.13 …' >&2; \
		exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@command -v uv >/dev/null || test -x $(BIN)/uv || \
		$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-uv.txt
	@PATH="$$PATH:$(BIN)" UV_PROJECT_ENVIRONMENT=$(VENV) uv sync --quiet --locked --inexact --only-group build
	PATH="$$PATH:$(BIN)" UV_PROJECT_ENVIRONMENT=$(VENV) uv sync --locked --all-packages --inexact --compile-bytecode --no-build-isolation
	@touch $@
