//! The modules of the runtime, one file each, made when they are first named.

pub(crate) mod channel;
mod ctx;
pub(crate) mod errors;
pub(crate) mod funcs;
pub(crate) mod io;
mod json;
mod json_decode;
pub(crate) mod payload;
pub(crate) mod process;
pub(crate) mod receiving;
pub(crate) mod security;
mod spawner;
mod system;
mod time;

use crate::program::{Program, Requirer};
use crate::state::State;

/// Modules that an entry may require without listing them.
const FREE: [&str; 6] = ["process", "time", "channel", "errors", "payload", "io"];

/// Modules that an entry must list in `modules:`.
const LISTED: [&str; 5] = ["ctx", "funcs", "json", "security", "system"];

/// Lua's own libraries, which `require` gives as well.
const STANDARD: [&str; 6] = ["string", "table", "math", "utf8", "coroutine", "os"];

/// What `modules` of an entry may list, in the order of the alphabet.
pub fn module_names() -> Vec<&'static str> {
    let mut names: Vec<_> = FREE.into_iter().chain(LISTED).chain(STANDARD).collect();
    names.sort_unstable();
    names
}

/// Whether whoever asks may require a module; else says why not and what to do.
pub(crate) fn check(program: &Program, by: &Requirer<'_>, name: &str) -> Result<(), String> {
    let Requirer { id, modules } = by;
    if FREE.contains(&name) || STANDARD.contains(&name) {
        return Ok(());
    }
    if !LISTED.contains(&name) {
        let mut known: Vec<&str> = module_names();
        known.extend(program.imports.iter().map(|import| import.alias.as_str()));
        known.sort_unstable();
        return Err(format!(
            "{id}: there is no module \"{name}\" and no import of that name; known: {}",
            known.join(", ")
        ));
    }
    if modules.iter().any(|listed| listed == name) {
        return Ok(());
    }
    let mut listed = modules.to_vec();
    listed.push(name.to_owned());
    Err(format!(
        "{id} may not require \"{name}\": its entry does not list it; add `modules: [{}]`",
        listed.join(", ")
    ))
}

/// Pushes the module of that name, new.
pub(crate) fn push(state: State<'_>, name: &str) {
    match name {
        "process" => process::open(state),
        "time" => time::open(state),
        "channel" => channel::open(state),
        "errors" => errors::open(state),
        "payload" => payload::open(state),
        "io" => io::open(state),
        "json" => json::open(state),
        "ctx" => ctx::open(state),
        "funcs" => funcs::open(state),
        "security" => security::open(state),
        "system" => system::open(state),
        _ => state.push_nil(),
    }
}
