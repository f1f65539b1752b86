# Two commands matter: `make demo` and `make test`. Each does all its set-up.
.PHONY: demo test lint bench

CARGO ?= cargo
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)

# The main job: three parties, real data, real network (loopback). Leaves demo-out/ for an outside auditor.
demo:
	$(CARGO) build --release --locked -p tidegate-cli
	python3 demo/demo.py target/release/tidegate

# Unit and integration tests, then the demo itself with the test build.
test:
ifdef NEXTEST
	$(CARGO) nextest run --workspace --locked
else
	$(CARGO) test --workspace --locked
endif
	$(CARGO) build --locked -p tidegate-cli
	python3 demo/demo.py target/debug/tidegate target/demo-out

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
