# Two commands matter: `make demo` and `make test`. Each does all its set-up.
.PHONY: demo test lint ci ort python-guest wasm-audit deny bench interop fuzz-smoke privacy-audit soak

CARGO ?= cargo
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)
# Seconds for each fuzz target of fuzz-smoke.
FUZZ_SECONDS ?= 60

# ONNX Runtime's library from its published wheel, pinned by hash, into .ort/ of this folder.
ort:
	python3 scripts/fetch_ort.py

# The guest in Python, interpreter and all, into target/guests/.
python-guest:
	python3 scripts/python_guest.py

# The crate that verifies logs, as auditors' own software and pages in a browser link it.
wasm-audit:
	python3 scripts/wasm_audit.py

# The main job: three parties, real data, real network (loopback). Leaves demo-out/ for an outside auditor. The development build is ready
# soonest, and `make test` shares it; for work in earnest `cargo build --release`.
demo: ort
	$(CARGO) build --locked --workspace --bin tidegate
	python3 demo/demo.py target/debug/tidegate

# Unit and integration tests, the documents' examples, then the demo itself with the test build. Nothing may be skipped.
test: export REQUIRE_ORT = 1
test: export REQUIRE_PYTHON_GUEST = 1
test: ort python-guest wasm-audit
ifdef NEXTEST
	$(CARGO) nextest run --workspace --locked
	$(CARGO) test --workspace --locked --doc
else
	$(CARGO) test --workspace --locked
endif
	python3 demo/demo.py target/debug/tidegate target/demo-out

lint: deny
	$(CARGO) fmt --all --check
	python3 scripts/doc_lines.py
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) update --quiet --workspace --locked --manifest-path fuzz/targets/Cargo.toml

# What `lint` and `test` do, of one build: clippy compiles the workspace's crates, as `cargo clippy` has it check them, so that dependencies are not
# checked first and then compiled.
ci: export RUSTC_WORKSPACE_WRAPPER = $(shell rustup which clippy-driver 2>/dev/null || command -v clippy-driver || echo clippy-driver)
ci: export CLIPPY_ARGS = -D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__
ci: deny
	$(CARGO) fmt --all --check
	python3 scripts/doc_lines.py
	$(CARGO) update --quiet --workspace --locked --manifest-path fuzz/targets/Cargo.toml
	$(MAKE) test

# Licences, bans and sources of dependencies; advisories where their database can be reached.
deny:
	python3 scripts/fetch_tools.py cargo-deny
	.tools/cargo-deny --locked check licenses bans sources
	@.tools/cargo-deny --locked check advisories || { \
	  test -d "$${CARGO_HOME:-$$HOME/.cargo}/advisory-dbs" && ls "$${CARGO_HOME:-$$HOME/.cargo}"/advisory-dbs/*/crates >/dev/null 2>&1 && exit 1; \
	  echo "advisories: NOT CHECKED, their database cannot be reached from here"; }

# Others' tools check the log and receipts that the demo leaves, and the vectors. What cannot be had here is skipped aloud; REQUIRE_INTEROP=1 makes that
# a failure.
interop: demo
	python3 interop/run.py demo-out

# Ratios against floors, in one run. Minutes.
bench: ort
	$(CARGO) build --release --locked --workspace
	python3 bench/minilm.py
	target/release/tidegate-bench
	python3 bench/tiny_job.py target/release/tidegate
	TIDEGATE_COVERAGE_RUNS=4000 $(CARGO) test --release --locked --workspace --test coverage -- --nocapture
	TIDEGATE_COVERAGE_RUNS=400 $(CARGO) test --release --locked -p tidegate-sandbox --test sandbox simulated:: -- --nocapture
	python3 bench/utility.py target/release/tidegate
	python3 bench/large.py target/release/tidegate 20
	python3 bench/copies.py target/release/tidegate

# Everything that is parsed from a peer, each target for FUZZ_SECONDS. Coverage instrumentation is all it needs of the compiler, so the
# pinned toolchain serves: no sanitizer, since what is fuzzed has one piece of unsafe code, which takes up what wasmtime wrote.
fuzz-smoke:
	python3 scripts/fetch_tools.py cargo-fuzz
	python3 scripts/fuzz_smoke.py $(FUZZ_SECONDS)

# The statistical audit of the gate with many more releases than `make test` draws, and the gate against its reference on many more cases.
privacy-audit:
	TIDEGATE_REFERENCE_CASES=1000000 $(CARGO) test --release --locked --workspace --test compare
	TIDEGATE_AUDIT_RUNS=100000 $(CARGO) test --release --locked --workspace --test audit

# The owner's node killed at any moment with jobs in flight, many times over.
soak: ort
	TIDEGATE_KILL_ROUNDS=200 $(CARGO) test --locked --workspace --test cli -- --nocapture killed::
	$(CARGO) test --locked --workspace --test cli -- --nocapture --ignored
