#!/usr/bin/env bash
# Builds the C guests: zig (PyPI: ziglang) makes core modules, fixtures' `componentize` wraps them in the world's types.
set -euo pipefail
cd "$(dirname "$0")/.."
out=fixtures/guests
mkdir -p "$out" target/guests
for source in guest/c/*.c; do
  name=$(basename "$source" .c)
  python3 -m ziglang cc --target=wasm32-freestanding -O2 -nostdlib -Wl,--no-entry -Wl,-z,stack-size=65536 \
    "$source" -o "target/guests/$name.core.wasm"
  cargo run -q -p tidegate-fixtures --bin componentize -- "target/guests/$name.core.wasm" "$out/$name.wasm"
done
ls -l "$out"
