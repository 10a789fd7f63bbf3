#!/bin/sh
# Builds wasm/greet.wasm from greet/greet.wat and pins its hash.
set -eu
cd "$(dirname "$0")"
wasm-tools parse greet/greet.wat -o wasm/greet.wasm
wippy hash --write
