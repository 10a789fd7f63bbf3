//! What processes may rely on (`docs/semantics.md`), as their own code sees it: one list of
//! behaviours, run by Lua and by WebAssembly processes, which meet processes of either kind, on
//! hosts of both profiles.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that tells how each behaviour fared"
)]

mod node;
mod table;

use std::time::Instant;

use wippy_kernel::Profile;

use crate::node::Language::{self, Lua, Wasm};
use crate::table::BEHAVIOURS;

/// Runs all of them; `BEHAVIOUR=name` runs one.
async fn all(own: Language, peers: Language) {
    let only = std::env::var("BEHAVIOUR").ok();
    let mut failures = Vec::new();
    for profile in [Profile::Spawn, Profile::Density] {
        for behaviour in &BEHAVIOURS {
            if only.as_ref().is_some_and(|only| only != behaviour.name) {
                continue;
            }
            let start = Instant::now();
            let result = node::run(behaviour, profile, own, peers).await;
            let line = format!("{own:?} meets {peers:?}, {profile:?}: {}", behaviour.name);
            println!("{:>5} ms  {line}", start.elapsed().as_millis());
            failures.extend(result.err().map(|error| format!("{line}: {error}")));
        }
    }
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

#[tokio::test]
async fn wasm_meets_wasm() {
    all(Wasm, Wasm).await;
}

#[tokio::test]
async fn lua_meets_lua() {
    all(Lua, Lua).await;
}

#[tokio::test]
async fn wasm_meets_lua() {
    all(Wasm, Lua).await;
}

#[tokio::test]
async fn lua_meets_wasm() {
    all(Lua, Wasm).await;
}
