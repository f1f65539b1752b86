# Two commands matter: `make demo` and `make test`. Each does all its set-up.
.PHONY: demo test lint

CARGO ?= cargo
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)

test:
ifdef NEXTEST
	$(CARGO) nextest run --workspace --locked
else
	$(CARGO) test --workspace --locked
endif

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
