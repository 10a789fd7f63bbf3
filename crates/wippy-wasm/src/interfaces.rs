//! What the imports of guests are called: which are linked, and which need a grant.

use crate::{actor, funcs};

/// The module of preview1's functions.
pub(crate) const PREVIEW1: &str = "wasi_snapshot_preview1";

/// The interfaces of WASI 0.2 that are linked, at any 0.2 version.
const WASI_0_2: [&str; 30] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
    "wasi:sockets/types",
];

/// The interfaces of WASI 0.3 that are linked, at any 0.3 version. What is marked unstable
/// there (`wasi:clocks/timezone`) and drafts (`@0.3.0-rc-…`) are not.
const WASI_0_3: [&str; 23] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/types",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/system-clock",
    "wasi:clocks/types",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/client",
    "wasi:http/types",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/types",
];

/// What an entry says to use an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it is always there. The name documents it in `imports`.
    Nothing(&'static str),
    /// This name in `imports`.
    Grant(&'static str),
    /// Nothing here provides it: a call traps.
    Unknown,
}

/// Whether an import is of WASI 0.3, which takes an engine with concurrency.
pub(crate) fn is_wasi_0_3(import: &str) -> bool {
    import.starts_with("wasi:") && import.contains("@0.3")
}

/// The grant of an interface of Wippy's own.
fn own_grant(import: &str) -> Option<&'static str> {
    let own = [(funcs::INTERFACE, funcs::GRANT), actor::MESSAGES, actor::PROCESSES];
    own.into_iter().find_map(|(interface, grant)| (import == interface).then_some(grant))
}

/// Whether a component's import is there.
pub(crate) fn is_linked(import: &str) -> bool {
    match import.split_once('@') {
        // A version that is compatible with the linked one is found by the linker itself;
        // a definition of the exact name would hide it.
        Some((interface, version)) if version.starts_with("0.2.") => WASI_0_2.contains(&interface),
        Some((interface, version)) if version.starts_with("0.3.") => {
            WASI_0_3.contains(&interface) && !version.contains('-')
        }
        _ => own_grant(import).is_some(),
    }
}

/// What an entry says to use a component's import.
pub(crate) fn need(import: &str) -> Need {
    const POWERLESS: [&str; 5] =
        ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random"];
    const POWERFUL: [&str; 2] = ["wasi:http", "wasi:sockets"];
    if let Some(grant) = own_grant(import) {
        return Need::Grant(grant);
    }
    let package = import.split('/').next().unwrap_or(import);
    let of = |names: &[&'static str]| names.iter().copied().find(|name| *name == package);
    match (is_linked(import), of(&POWERLESS), of(&POWERFUL)) {
        // Its types are data; only a handler sends requests.
        (true, _, Some(name)) if import.starts_with("wasi:http/types") => Need::Nothing(name),
        (true, _, Some(name)) => Need::Grant(name),
        (true, Some(name), _) => Need::Nothing(name),
        _ => Need::Unknown,
    }
}
