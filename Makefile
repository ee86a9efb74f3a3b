# Tutti: `make help` lists what this file can do.
SHELL := /bin/bash
.DEFAULT_GOAL := help

DATA_HOME ?= $(or $(XDG_DATA_HOME),$(HOME)/.local/share)
MODEL_ENV ?= $(DATA_HOME)/tutti/model-env
TEST_ENV  := $(CURDIR)/.venv-test
CLIENTS_ENV := $(CURDIR)/.venv-clients
API_ENV   := $(CURDIR)/.venv-api
TOOLS     := $(CURDIR)/.tools
SWIFT     ?= swift

export PATH := $(TOOLS):$(PATH)

# The commit that `--version` prints. A source archive has none, even inside another repository.
ifndef TUTTI_COMMIT
TUTTI_COMMIT := $(if $(wildcard .git),$(shell git describe --always --dirty --abbrev=7 --exclude '*' 2> /dev/null))
endif
export TUTTI_COMMIT

FORMATTED := Package.swift Shared Services Tests Benchmarks/Package.swift Benchmarks/Sources \
  Fuzz/Package.swift Fuzz/Sources
RUN_TESTS := TUTTI_MODEL_ENV="$(MODEL_ENV)" TUTTI_TEST_PYTHON="$(TEST_ENV)/bin/python" \
  TUTTI_CLIENTS_PYTHON="$(CLIENTS_ENV)/bin/python" Tools/test.sh "$(SWIFT)"

# Where `make install` puts Tutti. To make a package, DESTDIR is put before PREFIX.
PREFIX  ?= /usr/local
DESTDIR ?=

.PHONY: help setup build demo test check install uninstall dist dist-test format bench clients fuzz \
  sanitize hostile money api-check limits manual proto clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install the C libraries, the local model and the test tools (once)
	@Tools/setup.sh "$(MODEL_ENV)" "$(TEST_ENV)" "$(TOOLS)" "$(CLIENTS_ENV)"

build: setup ## Build every executable
	@Tools/build.sh "$(SWIFT)" build

demo: build ## Start the cluster, ask a real local model with every pattern, show hosts and tasks
	@TUTTI_MODEL_ENV="$(MODEL_ENV)" Tools/demo.sh

test: setup ## Build and run the whole test suite
	@Tools/build.sh "$(SWIFT)" build --build-tests
	@$(RUN_TESTS)

check: setup ## Run all checks of a change before a push: format, imports, tests
	$(SWIFT) format lint --strict --recursive --configuration .swift-format $(FORMATTED)
	@Tools/build.sh "$(SWIFT)" build --build-tests --explicit-target-dependency-import-check error
	@$(RUN_TESTS)

install: ## Build a release and install it below PREFIX (/usr/local); DESTDIR for packages
	@Tools/setup.sh libraries
	@Tools/install.sh install "$(SWIFT)" "$(PREFIX)" "$(DESTDIR)"

dist: ## Build the packages of a release: dist/tutti-VERSION-ARCH.tar.gz and a .deb
	@Tools/setup.sh libraries
	@Tools/dist.sh "$(SWIFT)"

dist-test: dist ## Install, run, upgrade and remove the packages; OLDER=FOLDER or OLDER=FILE.deb
	@SWIFT="$(SWIFT)" Tools/dist_test.sh $(if $(OLDER),OLDER="$(OLDER)")

uninstall: ## Remove the files that make install wrote below PREFIX
	@Tools/install.sh uninstall "$(PREFIX)" "$(DESTDIR)"

format: ## Format the Swift sources in place
	$(SWIFT) format --in-place --recursive --configuration .swift-format $(FORMATTED)

bench: setup ## Run the benchmarks: bus, decisions, fast path, real clients (release build)
	@Benchmarks/run.sh "$(SWIFT)" "$(MODEL_ENV)"

clients: setup ## Compare what client libraries return directly and through Tutti; CLIENTS=NAME,... HABITS=REGEX
	@CLIENTS="$(CLIENTS)" Benchmarks/clients/run.sh "$(SWIFT)" "$(MODEL_ENV)" \
	  $(if $(CLIENTS),--clients '$(CLIENTS)') $(if $(HABITS),--habits '$(HABITS)')

# One entry for a given time: make fuzz FUZZ=answer FUZZ_SECONDS=600
FUZZ ?= all
FUZZ_SECONDS ?= 60
fuzz: setup ## Fuzz the parsers of external input (Linux); FUZZ=ENTRY FUZZ_SECONDS=60
	@Tools/fuzz.sh "$(FUZZ)" "$(FUZZ_SECONDS)"

sanitize: setup ## Run the tests of cores and sockets under AddressSanitizer, then ThreadSanitizer
	@TUTTI_TEST_PYTHON="$(TEST_ENV)/bin/python" Tools/sanitize.sh address
	@TUTTI_TEST_PYTHON="$(TEST_ENV)/bin/python" Tools/sanitize.sh thread

hostile: setup ## Run hostile hosts and clients against a release build (Linux); ROWS=REGEX, SOAK=MINUTES
	@Benchmarks/hostile/run.sh "$(SWIFT)" $(if $(ROWS),--rows '$(ROWS)') $(if $(SOAK),--soak $(SOAK))

money: setup ## Kill services under load, and compare the ledger with the clients' sockets (Linux); KILLS=50
	@Benchmarks/money/run.sh "$(SWIFT)" "$(or $(KILLS),50)"

api-check: setup ## Test the admin API against its OpenAPI document with schemathesis
	@Tools/build.sh "$(SWIFT)" build --product tutti-registry
	@Tools/api_check.sh "$$($(SWIFT) build --show-bin-path)" "$(API_ENV)"

limits: ## Regenerate docs/limits.md from the table in Shared/Limits
	@TUTTI_WRITE_LIMITS=1 $(SWIFT) test --filter LimitsPageTests

manual: ## Regenerate the pages of docs/manual that are made from code
	@TUTTI_WRITE_MANUAL=1 $(SWIFT) test --filter ManualPageTests

proto: ## Regenerate the C code from Proto/; commit the result
	@Tools/proto.sh Shared/ClusterProto

clean: ## Remove build output; keeps the installed model and test tools
	rm -rf .build .build-asan .build-tsan .build-install Benchmarks/.build Fuzz/.build dist
