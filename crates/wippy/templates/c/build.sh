#!/bin/sh
# Builds wasm/greet.wasm from greet/greet.c and pins its hash. CLANG names the compiler; without
# it, it is clang, or clang-22 where there is no clang.
set -eu
cd "$(dirname "$0")"
if [ -z "${CLANG:-}" ]; then
  CLANG=clang
  command -v clang >/dev/null || CLANG=clang-22
fi
"$CLANG" --target=wasm32-wasi -mexec-model=reactor -D_GNU_SOURCE -Os -s \
  greet/greet.c -o wasm/greet.wasm
wippy hash --write
