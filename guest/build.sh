#!/usr/bin/env bash
# Builds the guests that are kept in fixtures/guests. Cores: zig (PyPI: ziglang) for C, cargo for Rust, asc (npm: assemblyscript) for AssemblyScript;
# fixtures' `componentize` makes them components. The guest in Python is built where it is tested: see python.sh.
#
# Rust needs a toolchain with the target: `rustup target add wasm32-unknown-unknown`. Where that is not to be had, a rustc that comes with
# the library's source does (Debian: rustc-web, rust-web-src and lld): point GUEST_RUSTC at it and the standard library is built too.
# WASI_RUSTC is a rustc, with what it must be told, that has the target of WASI's first preview (Debian: rustc, libstd-rust-dev-wasm32 and lld-14, whose
# target is called wasm32-wasi); without it that module stays as it is. interop/compilers.py compiles the same there, and in Go.
# ASC is the path of AssemblyScript's compiler, where it is not on PATH; PYTHON of a python3 with ziglang.
set -euo pipefail
cd "$(dirname "$0")/.."
out=fixtures/guests
target=wasm32-unknown-unknown
mkdir -p "$out" target/guests
componentize() { cargo run -q -p tidegate-fixtures --bin componentize -- "$1" "$2"; }

for source in guest/c/*.c; do
  name=$(basename "$source" .c)
  "${PYTHON:-python3}" -m ziglang cc --target=wasm32-freestanding -O2 -nostdlib -Wl,--no-entry -Wl,-s -Wl,-z,stack-size=65536 \
    "$source" -o "target/guests/$name.core.wasm"
  componentize "target/guests/$name.core.wasm" "$out/$name.wasm"
done

# With a C library: modules of WASI's first preview, kept as the compiler left them. They are made components when they are sent.
for source in guest/c/wasi/*.c; do
  name=$(basename "$source" .c)
  "${PYTHON:-python3}" -m ziglang cc --target=wasm32-wasi -mexec-model=reactor -O2 -Wl,-s -Wl,-z,stack-size=65536 "$source" -o "$out/$name.preview1.wasm"
done

if [ -n "${WASI_RUSTC:-}" ]; then
  for source in guest/rust/wasi/*.rs; do
    name=$(basename "$source" .rs)
    $WASI_RUSTC --crate-type cdylib -O -C strip=symbols -C panic=abort -C link-arg=-zstack-size=65536 "$source" -o "$out/$name.rust.preview1.wasm"
  done
fi

for source in guest/js/*/app.ts; do
  name=$(basename "$(dirname "$source")")
  "${ASC:-asc}" "$source" -o "target/guests/$name.core.wasm" -O --runtime stub --use abort=
  componentize "target/guests/$name.core.wasm" "$out/$name.wasm"
done

flags=()
if [ -n "${GUEST_RUSTC:-}" ]; then
  export RUSTC="$GUEST_RUSTC" RUSTC_BOOTSTRAP=1
  flags=(-Zbuild-std=std,panic_abort)
fi
# Paths of the builder's machine stay out of the modules.
rust="-C link-arg=-zstack-size=65536 -C target-feature=+simd128 --remap-path-prefix=$PWD=. --remap-path-prefix=$("${RUSTC:-rustc}" --print sysroot)=rust"
if [ -n "${GUEST_RUSTC:-}" ]; then rust+=" -C linker=wasm-ld"; fi
for sources in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do rust+=" --remap-path-prefix=$sources=crates"; done
for folder in guest/rust/*/; do
  [ -e "$folder/Cargo.toml" ] || continue
  name=$(basename "$folder")
  RUSTFLAGS="$rust" cargo build -q --release --target "$target" "${flags[@]}" \
    --manifest-path "$folder/Cargo.toml" --target-dir target/guests/rust
  (unset RUSTC RUSTC_BOOTSTRAP; componentize "target/guests/rust/$target/release/$name.wasm" "$out/$name.wasm")
done
ls -l "$out"
