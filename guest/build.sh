#!/usr/bin/env bash
# Builds the guests into fixtures/guests. Cores: zig (PyPI: ziglang) for C, cargo for Rust; fixtures' `componentize` makes them components.
#
# Rust needs a toolchain with the target: `rustup target add wasm32-unknown-unknown`. Where that is not to be had, a rustc that comes with
# the library's source does (Debian: rustc-web and rust-web-src): point GUEST_RUSTC at it and the standard library is built too.
set -euo pipefail
cd "$(dirname "$0")/.."
out=fixtures/guests
target=wasm32-unknown-unknown
mkdir -p "$out" target/guests
componentize() { cargo run -q -p tidegate-fixtures --bin componentize -- "$1" "$2"; }

for source in guest/c/*.c; do
  name=$(basename "$source" .c)
  python3 -m ziglang cc --target=wasm32-freestanding -O2 -nostdlib -Wl,--no-entry -Wl,-z,stack-size=65536 \
    "$source" -o "target/guests/$name.core.wasm"
  componentize "target/guests/$name.core.wasm" "$out/$name.wasm"
done

flags=()
if [ -n "${GUEST_RUSTC:-}" ]; then
  export RUSTC="$GUEST_RUSTC" RUSTC_BOOTSTRAP=1
  flags=(-Zbuild-std=std,panic_abort)
fi
# Paths of the builder's machine stay out of the modules.
rust="-C link-arg=-zstack-size=65536 --remap-path-prefix=$PWD=. --remap-path-prefix=$("${RUSTC:-rustc}" --print sysroot)=rust"
for sources in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do rust+=" --remap-path-prefix=$sources=crates"; done
for folder in guest/rust/*/; do
  name=$(basename "$folder")
  RUSTFLAGS="$rust" cargo build -q --release --target "$target" "${flags[@]}" \
    --manifest-path "$folder/Cargo.toml" --target-dir target/guests/rust
  (unset RUSTC RUSTC_BOOTSTRAP; componentize "target/guests/rust/$target/release/$name.wasm" "$out/$name.wasm")
done
ls -l "$out"
