# Two commands matter: `make demo` and `make test`. Each does all its set-up.
.PHONY: demo test lint ort deny bench

CARGO ?= cargo
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)

# ONNX Runtime's library from its published wheel, pinned by hash, into .ort/ of this folder.
ort:
	python3 scripts/fetch_ort.py

# The main job: three parties, real data, real network (loopback). Leaves demo-out/ for an outside auditor.
demo: ort
	$(CARGO) build --release --locked -p tidegate-cli
	python3 demo/demo.py target/release/tidegate

# Unit and integration tests, then the demo itself with the test build.
test: ort
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

# Ratios against floors, in one run. Minutes.
bench: ort
	$(CARGO) build --release --locked -p tidegate-cli -p tidegate-bench
	target/release/tidegate-bench
	python3 bench/tiny_job.py target/release/tidegate

# Licences, bans and sources of dependencies.
deny:
	@test -x .tools/bin/cargo-deny || $(CARGO) install --quiet --locked --root .tools cargo-deny
	.tools/bin/cargo-deny --locked check licenses bans sources
	@.tools/bin/cargo-deny --locked check advisories || echo "advisories: NOT CHECKED, or found wanting: see above"
