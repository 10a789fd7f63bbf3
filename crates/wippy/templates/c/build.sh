#!/bin/sh
# Builds wasm/greet.wasm from greet/greet.c and pins its hash. CLANG names the compiler.
set -eu
cd "$(dirname "$0")"
${CLANG:-clang} --target=wasm32-wasi -mexec-model=reactor -D_GNU_SOURCE -Os -s \
  greet/greet.c -o wasm/greet.wasm
wippy hash --write
