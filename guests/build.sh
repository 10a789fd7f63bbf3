#!/usr/bin/env bash
# Rebuilds the checked-in guests: `guests/build.sh` all of them, `guests/build.sh NAME...`
# only those named. README.md says what must be installed.
#
# A guest is a folder `guests/NAME`; it becomes `guests/built/NAME.wasm`.
#
# STAMPS tells whether the binaries belong to the sources. It has one line per guest,
# sorted by name in byte order:
#
#     <sha256 of the sources>  <sha256 of built/NAME.wasm>  NAME
#
# Both hashes are in lower-case hex. The sources of a guest are all files below
# `guests/NAME` and, if there is a `guests/NAME/Cargo.toml`, also `guests/Cargo.toml` and
# `guests/Cargo.lock`. A path is relative to `guests/` and has slashes (`trap/trap.wat`).
# Symbolic links are followed: `cli-component` is a link to the folder `cli-args`. The
# hash of the sources is the SHA-256 of, for each file, sorted by path in byte order:
# the path, a zero byte, the content of the file, a zero byte.

set -euo pipefail
export LC_ALL=C # sort in byte order
cd "$(dirname "${BASH_SOURCE[0]}")"
guests=$PWD
cache=$guests/target
sysroot=$cache/sysroot

# Every guest with how it is built; the functions of these names are below.
recipes='
actor-async     rust_plain_component
actor-behaviours rust_plain_component
actor-c         c_component
actor-poll      rust_plain_component
args-many       rust_plain_component
async-command   rust_plain_component
async-functions rust_plain_component
bench-actor     rust_plain_component
bench-small     wat
call-c          c_component
call-rust       rust_plain_component
cli-args        rust_command
cli-c           c_command
cli-component   rust_command_component
compute         wat
compute-core    wat
echo-types      rust_plain_component
exit-code       rust_component
file-processor  rust_component
file-processor-c c_component
file-processor-command rust_command_link
greet-core      wat
hello-c         c_component
hello-rust      rust_component
hello-wat       wat
hostile/actor                rust_hostile_plain
hostile/bad-realloc          wat
hostile/bad-result           wat
hostile/bad-text             wat
hostile/fill                 wat
hostile/large-result         wat
hostile/loop                 wat
hostile/loop-post-return     wat
hostile/loop-realloc         wat
hostile/loop-start           wat
hostile/memories             wat
hostile/memory-begin         wat
hostile/memory-bomb          wat
hostile/memory-grow-loop     wat
hostile/recurse              wat
hostile/table-bomb           wat
hostile/trap-init            wat
hostile/trap-realloc         wat
hostile/wasi                 rust_hostile
http-client     rust_plain_component
http-worker     rust_component
http-worker-c   c_component
loop            wat
loop-start      wat
memory-bomb     wat
posix-c         c_command
posix-c-component c_command_component
reactor-p1      c_reactor
poll            rust_plain_component
recurse         wat
sdk-counter     rust_component
sdk-counter-c   c_sdk
sdk-probe       rust_component
sdk-probe-c     c_sdk
sdk-server      rust_component
sdk-server-c    c_sdk
sdk-supervisor  rust_component
sleep           wat
sockets         rust_plain_component
streams         rust_plain_component
spin-then-return wat
trap            wat
trap-rust       rust_component
trap-start      wat
ungranted       wat
wasi-rust       rust_component
'

# --- WAT ------------------------------------------------------------------------------

wat() { encoder wat "$1/${1##*/}.wat" "built/$1.wasm"; }

# --- C --------------------------------------------------------------------------------

# The triple is the deprecated wasm32-wasi, because Debian's wasi-libc has no crt for
# wasm32-wasip1.
clang() {
  clang-22 --target=wasm32-wasi -std=gnu17 -Oz -Wall -Wextra -Werror -Wno-deprecated \
    -ffile-prefix-map="$guests=/guests" -s "$@"
}

c_command() { clang "$1/$1.c" -o "built/$1.wasm"; }

# The same program as a component with wasi:cli/run.
c_command_component() {
  local source
  source=$(basename "$(readlink -f "$1")")
  clang "$1/$source.c" -o "$cache/$1.core.wasm"
  encoder component --adapter command "$cache/$1.core.wasm" "built/$1.wasm"
}

c_reactor() { clang -mexec-model=reactor "$1/$1.c" -o "built/$1.wasm"; }

c_component() {
  clang -mexec-model=reactor "$1/$1.c" -o "$cache/$1.core.wasm"
  encoder component --wit "$1/$1.wit" --adapter reactor \
    "$cache/$1.core.wasm" "built/$1.wasm"
}

# With the header of sdk/c. The runtime makes the component: its entry says what it exports.
c_sdk() {
  encoder c-types ../sdk/rust/wit ../sdk/c/wippy_types.h
  clang -mexec-model=reactor -I ../sdk/c "$1/$1.c" -o "built/$1.wasm"
}

# --- Rust -----------------------------------------------------------------------------

rust_command() {
  rust wasm32-wasip1 "$1"
  cp "$cache/rust/wasm32-wasip1/release/$1.wasm" "built/$1.wasm"
}

# The program of a crate whose library is another guest.
rust_command_link() {
  local crate
  crate=$(basename "$(readlink -f "$1")")
  rust wasm32-wasip1 "$crate"
  cp "$cache/rust/wasm32-wasip1/release/$crate.wasm" "built/$1.wasm"
}

# The same program as a command, but with the adapter: a component with wasi:cli/run.
rust_command_component() {
  local crate
  crate=$(basename "$(readlink -f "$1")")
  rust wasm32-wasip1 "$crate"
  encoder component --adapter command \
    "$cache/rust/wasm32-wasip1/release/$crate.wasm" "built/$1.wasm"
}

# A library that uses std: it imports preview1, which the adapter turns into WASI 0.2.
rust_component() {
  rust wasm32-wasip1 "$1"
  encoder component --adapter reactor \
    "$cache/rust/wasm32-wasip1/release/${1//-/_}.wasm" "built/$1.wasm"
}

# The same for hostile/NAME, whose crate is hostile-NAME.
rust_hostile() {
  rust wasm32-wasip1 "${1//\//-}"
  local library=${1//[-\/]/_}
  encoder component --adapter reactor \
    "$cache/rust/wasm32-wasip1/release/$library.wasm" "built/$1.wasm"
}

# That of hostile/NAME, for no system at all.
rust_hostile_plain() {
  rust wasm32-unknown-unknown "${1//\//-}"
  local library=${1//[-\/]/_}
  encoder component "$cache/rust/wasm32-unknown-unknown/release/$library.wasm" "built/$1.wasm"
}

# A library for no system at all: it imports only what its world says.
rust_plain_component() {
  rust wasm32-unknown-unknown "$1"
  encoder component \
    "$cache/rust/wasm32-unknown-unknown/release/${1//-/_}.wasm" "built/$1.wasm"
}

rust() { # TARGET CRATE
  make_sysroot "$1"
  RUSTFLAGS="$(rust_remap) --sysroot $sysroot -Clinker=wasm-ld-22" \
    debian_cargo build --locked --target "$1" --package "$2" \
    --target-dir "$cache/rust"
}

# rustup's toolchain may lack the standard library for wasm; Debian's Rust can build it
# from rust-web-src. So Debian's cargo and rustc are called by their full names here.
debian_cargo() {
  local command=$1
  shift
  env -u RUSTUP_TOOLCHAIN RUSTC=/usr/bin/rustc \
    /usr/bin/cargo "$command" --quiet --release -j "${JOBS:-1}" "$@"
}

# No path of the building machine may end up in a binary, nor the name of its registry;
# of several prefixes that match, the last one counts. The folders of registries exist,
# as the encoder has been built before.
rust_remap() {
  local sources cargo=${CARGO_HOME:-$HOME/.cargo} registry flags
  sources=$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust
  flags=(
    "--remap-path-prefix=$guests=/guests"
    "--remap-path-prefix=${guests%/*}/sdk=/sdk"
    "--remap-path-prefix=$cargo=/cargo"
    "--remap-path-prefix=$sources=/rustc"
    "--remap-path-prefix=$(readlink -f "$sources")=/rustc"
  )
  for registry in "$cargo"/registry/src/*/; do
    flags+=("--remap-path-prefix=${registry%/}=/cargo")
  done
  echo "${flags[@]}"
}

# Builds std once per target, and keeps it until Debian's rustc changes.
make_sysroot() { # TARGET
  local lib=$sysroot/lib/rustlib/$1/lib version work=$cache/std
  version=$(/usr/bin/rustc -vV)
  [[ -f $lib/.version && $(<"$lib/.version") == "$version" ]] && return
  echo "building the standard library for $1"

  # std is built as the dependency of an empty crate.
  rm -rf "$lib" "$work"
  mkdir -p "$lib/self-contained" "$work/src"
  printf '[package]\nname = "empty"\nedition = "2024"\n[workspace]\n' >"$work/Cargo.toml"
  echo '#![no_std]' >"$work/src/lib.rs"
  (
    cd "$work"
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=$(rust_remap) debian_cargo build \
      -Zbuild-std=std,panic_abort --target "$1" --target-dir "$work/target"
  )
  cp "$work/target/$1/release/deps/"*.rlib "$lib/"
  rm "$lib"/libempty-*.rlib
  if [[ $1 == *-wasip1 ]]; then
    cp /usr/lib/wasm32-wasi/{crt1-command.o,crt1-reactor.o,libc.a} "$lib/self-contained/"
  fi
  rm -rf "$work"
  echo "$version" >"$lib/.version"
}

# --- Encoder and stamps ---------------------------------------------------------------

encoder() { "$cache/encoder/debug/encoder" "$@"; }

make_encoder() {
  cargo build --quiet --locked -j "${JOBS:-1}" --manifest-path encoder/Cargo.toml \
    --target-dir "$cache/encoder"
}

stamp() { # NAME
  local sources wasm
  sources=$(
    {
      find -L "$1" -type f
      if [[ -f $1/Cargo.toml ]]; then printf '%s\n' Cargo.toml Cargo.lock; fi
    } | sort | while IFS= read -r file; do
      printf '%s\0' "$file"
      cat "$file"
      printf '\0'
    done | sha256sum
  )
  wasm=$(sha256sum <"built/$1.wasm")
  echo "${sources%% *}  ${wasm%% *}  $1"
}

# --- Main -----------------------------------------------------------------------------

main() {
  local name names=("$@") stamps=$cache/stamps recipe limit=$((300 * 1024))
  declare -A known
  while read -r name recipe; do
    if [[ -n $name ]]; then known[$name]=$recipe; fi
  done <<<"$recipes"
  if [[ ${#names[@]} == 0 ]]; then
    mapfile -t names < <(printf '%s\n' "${!known[@]}" | sort)
  fi
  for name in "${names[@]}"; do
    if [[ -z ${known[$name]:-} ]]; then
      echo "no such guest: $name; there are: ${!known[*]}" >&2
      exit 1
    fi
  done

  mkdir -p "$cache/hostile" built/hostile
  make_encoder
  touch STAMPS
  for name in "${names[@]}"; do
    "${known[$name]}" "$name"
    encoder inspect "built/$name.wasm" >"$cache/$name.txt"
    if (($(wc -c <"built/$name.wasm") > limit)); then
      echo "$name is too large to check in" >&2
      exit 1
    fi
    if grep -qaF -e "$guests" -e "$HOME/" -e /tmp/ -e /registry/ "built/$name.wasm"; then
      echo "$name contains a path of this machine" >&2
      exit 1
    fi
    # Replace the line of this guest alone: a stamp vouches for a build, and others may
    # have changed since theirs. Lines of guests that are gone go too.
    {
      stamp "$name"
      while read -r sources wasm other; do
        if [[ $other != "$name" && -n ${known[$other]:-} ]]; then
          echo "$sources  $wasm  $other"
        fi
      done <STAMPS
    } | sort -k3 >"$stamps"
    cp "$stamps" STAMPS
    printf '%7d  %s\n' "$(wc -c <"built/$name.wasm")" "$name"
  done
}

main "$@"
