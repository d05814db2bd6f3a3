# What people do here. 'make help' lists it.
SHELL := /bin/sh
PYTHON ?=
export PYTHON
VENV := .venv/bin
PORT ?= 8000
DATA ?= generated
ROWS ?= 50000
RESET ?=
STATE ?= var/sandbox
JOBS ?= 3
DEVELOPMENT := FINOPS_ENV=development SANDBOX=true
PRODUCTION := FINOPS_ENV=production SECRET_KEY=check-only-aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0hL3oR6uX9 \
	ALLOWED_HOSTS=costs.example.com SITE_URL=https://costs.example.com \
	ENTRA_TENANT_ID=3f2b7c1e-8d49-4b0a-9c35-1e6d7a8b9c01 \
	ENTRA_CLIENT_ID=8c5d1f7a-2e4b-4d6c-a1f3-9b8e7d6c5a42 ENTRA_CLIENT_SECRET=check-only \
	REDIS_URL=redis://redis.example.com:6379/0

.PHONY: help demo test test-browser test-slow test-faults screenshots lint format lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## Run the whole product here (PORT=8000 DATA=generated|sample ROWS=50000 RESET=1)
	@tools/install requirements-sandbox.txt
	@$(DEVELOPMENT) $(VENV)/python manage.py sandbox --state $(STATE) --port $(PORT) \
		--data $(DATA) --rows $(ROWS) $(if $(RESET),--reset)

test: ## Run every test but the browser's, the slow ones and the fault matrix (JOBS=3)
	@tools/install requirements-dev.txt
	$(VENV)/python -m pytest -m "not browser and not slow and not faults" -n $(JOBS) --dist loadfile $(ARGS)

test-browser: ## Run the tests that drive Chromium (/usr/bin/chromium, or CHROMIUM=path)
	@tools/install requirements-dev.txt
	$(VENV)/python -m pytest -m browser $(ARGS)

test-slow: ## Run the tests that take minutes
	@tools/install requirements-dev.txt
	$(VENV)/python -m pytest -m slow --timeout 600 $(ARGS)

test-faults: ## Run the fault matrix, about half an hour (JOBS=2 ARGS="-k SIGKILL")
	@tools/install requirements-dev.txt
	$(VENV)/python -m pytest tests/replication/faults -m faults -n $(JOBS) --timeout 600 $(ARGS)

screenshots: ## Take the documentation's pictures anew (needs Chromium)
	@tools/install requirements-dev.txt
	$(VENV)/python -m tests.e2e.screenshots

lint: ## Check style, types, import directions, production settings and migrations
	@tools/install requirements-dev.txt
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(DEVELOPMENT) $(VENV)/mypy accounts finops replication sandbox tests benchmarks manage.py
	$(VENV)/lint-imports --no-logo
	$(PRODUCTION) $(VENV)/python manage.py check --deploy --fail-level WARNING
	$(DEVELOPMENT) $(VENV)/python manage.py makemigrations --check --dry-run

format: ## Format the code
	@tools/install requirements-dev.txt
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

lock: ## Write the lock files anew from the *.in files
	@tools/install requirements-dev.txt
	for name in requirements requirements-sandbox requirements-dev; do \
		$(VENV)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
			--quiet $$name.in -o $$name.txt || exit 1; \
	done

clean: ## Remove the virtual environment and the sandbox's data
	rm -rf .venv var
