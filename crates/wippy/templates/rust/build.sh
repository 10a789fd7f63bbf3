#!/bin/sh
# Builds wasm/greet.wasm from greet/ and pins its hash.
set -eu
cd "$(dirname "$0")"
cargo build --release --target wasm32-wasip2 --manifest-path greet/Cargo.toml
cp greet/target/wasm32-wasip2/release/greet.wasm wasm/greet.wasm
wippy hash --write
