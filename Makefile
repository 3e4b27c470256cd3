# make run, make check, make test; everything happens in .venv and on loopback.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCENARIO ?= happy
FUZZ_SECONDS ?= 60
ATHERIS := atheris==3.0.0
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# A lock is whole: with nothing to look up, no later release and no pip can change what is installed.
PINNED := install --no-deps --require-hashes -r

.PHONY: run up package plan deploy destroy check test coverage test-kill test-contracts test-n8n test-terraform n8n simulate fuzz \
  golden tf-check tf-scan lint audit secret-scan sbom format lock function-locks clean help

help:  ## what there is
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 17

run: $(VENV)/.run  ## play the main job on this machine (SCENARIO=name for another)
	@$(BIN)/signalbox demo --scenario $(SCENARIO)

up: $(VENV)/.run  ## leave everything running until Ctrl-C
	@$(BIN)/signalbox up

package: $(VENV)/.run  ## one deployment package per function, in build/packages (CONFIG=file for another signalbox.toml)
	@$(BIN)/signalbox package $(if $(CONFIG),--config $(CONFIG))

plan: .terraform-ready package  ## what `make deploy` would change; nothing is written, no lock is taken
	$(TERRAFORM) plan -input=false -lock=false $(VARIABLES)

deploy: .terraform-ready package  ## set everything up on Google Cloud, or bring it up to date (TFVARS=file; AUTO=1 asks nothing)
	$(TERRAFORM) apply $(VARIABLES) $(UNASKED)
	@$(TERRAFORM) output webhook_urls

# Which resources are there is asked for, as -target has no opposite; whatever a kept one depends on is kept, too.
destroy: .terraform-ready package  ## take it down, but keep documents and secrets (ALL=1: everything; TFVARS=file; AUTO=1)
	@listed=$$($(TERRAFORM) state list) || exit 1; \
	targets=$$(echo "$$listed" | sed -E '/^$$|^data\.|^$(KEPT)/d; s/\[.*//; s/^/-target=/' | sort -u); \
	if [ -n "$(ALL)" ]; then targets=; elif [ -z "$$targets" ]; then echo "there is nothing left to take down"; exit 0; fi; \
	$(TERRAFORM) destroy $(VARIABLES) $(UNASKED) $$targets

.PHONY: .terraform-ready
.terraform-ready:
	@command -v terraform >/dev/null \
	  || { echo "terraform 1.9 or newer is needed: developer.hashicorp.com/terraform/install" >&2; exit 1; }
	@[ -z "$(TFVARS)" ] || [ -f "$(TFVARS)" ] || { echo "there is no file $(TFVARS)" >&2; exit 1; }
	@[ -n "$(TFVARS)" ] || { echo "name the project's settings: make $(MAKECMDGOALS) TFVARS=FILE.tfvars" >&2; exit 1; }
	@[ -n "$(STATE_BUCKET)" ] || { echo "$(TFVARS) has no project_id, and no STATE_BUCKET is named" >&2; exit 1; }
	$(TERRAFORM) init -input=false -reconfigure -backend-config=bucket=$(STATE_BUCKET) -backend-config=prefix=signalbox

TERRAFORM := terraform -chdir=terraform
VARIABLES = -var-file=$(abspath $(TFVARS))
UNASKED = $(if $(AUTO),-input=false -auto-approve)
PROJECT = $(shell [ -f "$(TFVARS)" ] && sed -nE 's/^ *project_id *= *"([^"]*)".*/\1/p' "$(TFVARS)")
STATE_BUCKET ?= $(if $(PROJECT),$(PROJECT)-signalbox-state)
KEPT := (google_project_service|google_firestore_[a-z]+|google_secret_manager_secret)\.

check: lint  ## for in between: what lint looks at, and the unit tests
	$(BIN)/pytest -q $(PARALLEL) tests/unit

test: $(VENV)/.dev  ## all tests
	$(BIN)/pytest $(PARALLEL)

coverage: $(VENV)/.dev  ## all tests, and whether they execute 95% of functions/ and shared/
	$(BIN)/pytest $(PARALLEL) --cov --cov-report=term --cov-fail-under=95

# Which tests share a process, and how many processes there are: tests/distribution.py.
PARALLEL := -n auto --dist loadgroup --no-loadscope-reorder

test-contracts: $(VENV)/.dev  ## what is asked of vendors, and what the simulated ones answer, by the vendors' contracts
	SIGNALBOX_REQUIRE=contracts,n8n $(BIN)/pytest -q tests/vendors tests/unit/world tests/unit/clients $(N8N_TESTS)

simulate: $(VENV)/.run  ## two thousand bad days, chosen by the commit (SEEDS, START for others)
	$(BIN)/signalbox simulate --seeds $(SEEDS) --start $(START)

SEEDS := 2000
START := $(shell printf '%d' "0x$$(git rev-parse --short=7 HEAD 2>/dev/null || echo 0)")

fuzz: $(VENV)/.dev  ## the webhooks under a coverage-guided fuzzer, for FUZZ_SECONDS
	$(PIP) install --only-binary :all: $(ATHERIS)
	PYTHONPATH=tests $(BIN)/python -m fuzz.webhook_path -max_total_time=$(FUZZ_SECONDS) $(FUZZ_OPTIONS)

golden: $(VENV)/.dev  ## take what the scenarios come to now as what they should come to
	SIGNALBOX_GOLDEN=accept $(BIN)/pytest -q tests/golden

test-kill: $(VENV)/.dev  ## the long form of the test that kills functions, on both backends
	SIGNALBOX_KILL=full $(BIN)/pytest -s tests/e2e/test_killed.py

test-n8n: $(VENV)/.dev  ## client, workflows and commands against a real n8n, installed first (needs npm; N8N_VERSION=2.8.4 for an old one)
	SIGNALBOX_REQUIRE=n8n $(BIN)/pytest $(N8N_TESTS)

N8N_TESTS := tests/contract/test_n8n_contract.py tests/contract/test_n8n_workflows.py

test-terraform: $(VENV)/.dev  ## Terraform's plan beside what the functions are seen to do (needs Terraform)
	SIGNALBOX_REQUIRE=terraform $(BIN)/pytest tests/terraform

n8n: $(VENV)/.dev  ## the n8n that the tests use, into ~/.cache/signalbox, once (needs npm; N8N_VERSION as above)
	$(BIN)/python tests/install_n8n.py

# What checks Terraform without a registry; with none, the real provider is fetched.
export SIGNALBOX_TFCHECK ?= $(abspath $(wildcard ../shared/tools/tfcheck/tfcheck))

tf-check: package  ## Terraform by itself: its form, its tests, and a plan of the example
ifneq ($(SIGNALBOX_TFCHECK),)
	$(SIGNALBOX_TFCHECK) terraform --plan --var-file terraform/examples/project38.tfvars
else
	cd terraform && terraform fmt -check -recursive
	cd terraform && terraform init -backend=false -input=false
	cd terraform && terraform validate
	cd terraform && terraform test
endif

SCAN := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/signalbox/scan-$(firstword $(shell cksum requirements/scan.txt))

tf-scan: $(SCAN)/.complete  ## Terraform by checkov, which knows what tends to be insecure
	$(SCAN)/bin/checkov --directory terraform --framework terraform --compact --quiet --skip-download

$(SCAN)/.complete:
	@echo "installing checkov, which takes a minute the first time"
	@$(PYTHON) -m venv $(SCAN)
	@$(SCAN)/bin/python -m pip --quiet --disable-pip-version-check $(PINNED) requirements/scan.txt
	@touch $@

lint: $(VENV)/.dev  ## style, types, who may import whom, and the workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/zizmor --offline --quiet --strict-collection --persona auditor .github

audit: $(VENV)/.dev  ## known vulnerabilities of what is pinned, and what zizmor can only find online
	$(BIN)/python tests/audit.py
	$(BIN)/zizmor --strict-collection --persona auditor .github

secret-scan: $(VENV)/.dev  ## secrets in anything that this repository ever held
	@PYTHONPATH=. $(BIN)/python tests/secret_scan.py

SBOM := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/signalbox/sbom-$(firstword $(shell cat requirements/sbom.txt requirements/run.txt | cksum))

sbom: $(VENV)/.run $(SBOM)/.complete  ## what is deployed: build/sbom.json (CycloneDX) and build/licences.md
	@mkdir -p build
	@$(SBOM)/tool/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.json $(SBOM)/run
	@$(BIN)/python tests/licences.py build/sbom.json build/licences.md

$(SBOM)/.complete:
	@echo "installing what is deployed, and cyclonedx-py, which takes a minute the first time"
	@$(PYTHON) -m venv $(SBOM)/tool
	@$(SBOM)/tool/bin/python -m pip --quiet --disable-pip-version-check $(PINNED) requirements/sbom.txt
	@$(PYTHON) -m venv --without-pip $(SBOM)/run
	@$(SBOM)/tool/bin/python -m pip --quiet --disable-pip-version-check --python $(SBOM)/run/bin/python $(PINNED) requirements/run.txt
	@touch $@

format: $(VENV)/.dev  ## write the code in the agreed form
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

lock: $(VENV)/.dev  ## choose the versions anew and pin them with their hashes, for each function too
	$(PIP) install uv
	$(BIN)/uv pip compile pyproject.toml --upgrade $(LOCK) --output-file requirements/run.txt
	$(BIN)/uv pip compile pyproject.toml --upgrade --extra dev $(LOCK) --output-file requirements/dev.txt
	echo setuptools | $(BIN)/uv pip compile - --upgrade $(LOCK) --output-file requirements/build.txt
	echo checkov | $(BIN)/uv pip compile - --upgrade $(LOCK) --output-file requirements/scan.txt
	echo cyclonedx-bom | $(BIN)/uv pip compile - --upgrade $(LOCK) --output-file requirements/sbom.txt
	$(MAKE) function-locks

function-locks: $(VENV)/.dev  ## pin for each function what it imports now, as requirements/run.txt does; no version changes
	$(BIN)/python tests/locks.py

# The extras stay in the pins, for the functions: `Pin.lines` in tests/locks.py says why.
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header --no-emit-index-url --no-annotate

clean:  ## remove what make made
	rm -rf $(VENV) .signalbox build dist *.egg-info .coverage .*_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name it with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml requirements/run.txt requirements/build.txt | $(VENV)/bin/python
	@echo "installing, which takes a minute the first time"
	@$(PIP) $(PINNED) requirements/run.txt
	@$(PIP) $(PINNED) requirements/build.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: pyproject.toml requirements/dev.txt | $(VENV)/.run
	@echo "installing the tools for tests and lint"
	@$(PIP) $(PINNED) requirements/dev.txt
	@touch $@
