# Two commands are enough: `make demo` and `make test`. Everything else is a part of them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# One stamp a core: installing Rust later builds the native one.
STAMP := $(VENV)/.installed-$(shell command -v cargo >/dev/null && echo native || echo python)
# What builds for others is large: who only develops does without.
BUILD := $(VENV)/.installed-build
RUST := $(shell find rust -path rust/target -prune -o \( -name '*.rs' -o -name 'Cargo.*' \) -print)

# Times that `make league` runs every row.
RUNS ?= 1

.PHONY: env service demo league partners check test beside alone test-slow soak lint types imports test-python test-rust models fuzz \
  wheel release-check lock clean

env: $(STAMP)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rateproof needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

# The build tools come from constraints.txt too, so the build is not isolated.
$(STAMP): pyproject.toml setup.cfg constraints.txt $(RUST) | $(BIN)/python
	@echo "Installing into $(VENV): 2 to 5 minutes, for downloads and for compiling the native core"
	$(PIP) install --upgrade -c constraints.txt pip setuptools setuptools-rust
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[all]' --group dev
	@touch $@

# The decision service: a program of its own, which no other part needs.
SERVICE := src/rateproof/bin/rateproof-service

service: $(SERVICE)

$(SERVICE): $(filter rust/service/% rust/enforce/% rust/Cargo.%,$(RUST)) | env
	@command -v cargo >/dev/null || echo "No cargo on the path: the service is left out."
	@if command -v cargo >/dev/null; then cd rust && cargo build --quiet --locked --release --package rateproof-service \
	  && mkdir -p ../$(@D) && install -m 755 target/release/rateproof-service ../$@; fi

demo: env
	$(BIN)/python scripts/demo.py

league: env
	$(BIN)/python -m league --runs $(RUNS)

# What waits leaves the processors to what compiles; what is soon refused comes first.
test: service
	$(MAKE) --no-print-directory -j2 lint types imports test-rust beside
	$(MAKE) --no-print-directory alone

# What is quick enough to run after every change.
check: lint types imports
	$(BIN)/pytest $(BESIDE) -m 'not slow and not alone' tests/unit

# Tests start hundreds of interpreters: what one has compiled serves the others.
unexport PYTHONDONTWRITEBYTECODE

# Some tests wait, so two processes a core. What measures time runs alone.
PROCESSES ?= 4
BESIDE := -q -n $(PROCESSES) --dist worksteal

# Gateways before the service: their versions are those that the recipes were run with.
PARTNERS := .partners
APT := DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends

partners: env service
	PATH="$$PATH:/usr/sbin" command -v haproxy >/dev/null || { apt-get update -qq && $(APT) install haproxy; }
	$(PIP) install -c constraints.txt --group partners
	GOBIN=$(CURDIR)/$(PARTNERS)/bin go install github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9
	npm install --silent --no-audit --no-fund --prefix $(PARTNERS) express@5 ioredis@5
	mkdir -p $(PARTNERS)/go && cd $(PARTNERS)/go && { test -f go.mod || go mod init partners; } && go get github.com/redis/go-redis/v9@v9.23.0
	mvn -q -B -f tests/partners/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/$(PARTNERS)/jars
	$(BIN)/pytest -q tests/partners

# Property tests once more, with twenty times the examples.
test-slow: env models $(BUILD)
	$(PIP) install -c constraints.txt --group partners
	$(BIN)/pytest $(BESIDE) -m 'slow and not alone'
	SAMPLES=20 $(BIN)/pytest $(BESIDE) -m 'hypothesis and not slow'
	$(BIN)/pytest -q -m 'slow and alone'

# The native table under kills, stops, forks, reloads, deletion and a full /dev/shm.
SOAK_SECONDS ?= 600

soak: env
	SOAK_SECONDS=$(SOAK_SECONDS) $(BIN)/pytest -q -s -m slow tests/integration/test_soak.py

test-python: beside alone

beside: env service
	$(BIN)/pytest $(BESIDE) -m 'not slow and not alone'

alone: env
	$(BIN)/pytest -q -m 'alone and not slow'

# Cargo is told of no jobs of make: it plans its own.
test-rust:
	@command -v cargo >/dev/null || echo "No cargo on the path: the Rust tests and lints are left out."
	@if command -v cargo >/dev/null; then unset MAKEFLAGS MFLAGS; cd rust && cargo fmt --check \
	  && nice cargo clippy --quiet --locked --all-targets -- -D warnings \
	  && nice cargo test --quiet --locked --workspace --exclude rateproof-python; fi

# Every interleaving of the steps of the native table.
models:
	@command -v cargo >/dev/null || echo "No cargo on the path: the models are left out."
	@if command -v cargo >/dev/null; then cd rust && RUSTFLAGS="--cfg loom" cargo test --quiet \
	  --locked --profile models --package rateproof-enforce --lib --target-dir target/loom models; fi

# Coverage-guided, without a nightly compiler. What is found becomes a unit test.
FUZZ_SECONDS ?= 600
FUZZ := rust/target/fuzz
FUZZ_HOST = $(shell rustc -vV | sed -n 's/^host: //p')
COVERAGE := -Cpasses=sancov-module $(addprefix -Cllvm-args=-sanitizer-coverage-,level=4 inline-8bit-counters pc-table trace-compares)

# A crate, its binary, and where inputs to begin with lie.
define fuzz
	mkdir -p $(FUZZ)/found/$(2)
	RUSTFLAGS="--cfg fuzzing $(COVERAGE)" cargo build --quiet --locked --release \
	  --manifest-path $(1)/Cargo.toml --target $(FUZZ_HOST) --target-dir $(FUZZ)
	$(FUZZ)/$(FUZZ_HOST)/release/$(2) -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 \
	  -print_final_stats=1 -verbosity=1 -dict=$(1)/$(2).dict -artifact_prefix=$(FUZZ)/ $(FUZZ)/found/$(2) $(3)
endef

fuzz:
	$(call fuzz,rust/simulate/fuzz,answers,rust/simulate/fuzz/corpus)
	$(call fuzz,rust/access/fuzz,lines,tests/histories/access-logs)
	$(call fuzz,rust/service/fuzz,frames,rust/service/fuzz/corpus)
	$(call fuzz,rust/service/fuzz,requests,rust/service/fuzz/requests)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: env
	$(BIN)/mypy
	$(BIN)/python scripts/check_stub.py

imports: env
	$(BIN)/lint-imports --no-logo

$(BUILD): pyproject.toml constraints.txt | env
	$(PIP) install -c constraints.txt --group build
	@touch $@

# A manylinux wheel and an sdist, in dist.
wheel: $(BUILD)
	$(BIN)/python scripts/build_wheel.py

release-check: wheel
	$(BIN)/python scripts/release_check.py

# New versions for everybody: names and versions only.
lock: env
	$(PIP) install --upgrade --upgrade-strategy eager pip setuptools setuptools-rust
	$(PIP) install --upgrade --upgrade-strategy eager --no-build-isolation -e '.[all]' --group dev --group build
	$(BIN)/python -m pip freeze --all --exclude-editable >constraints.txt

clean:
	rm -rf $(VENV) $(PARTNERS) src/rateproof/bin .league build dist rust/target src/*.egg-info src/rateproof/_native*.so
