//! Warnings and notices about a project that loads: what has no effect, has no value, is
//! denied or is not there.

use std::collections::BTreeMap;

use wippy_host::Variables;
use wippy_registry::{Data, Diagnostic, Diagnostics, Entry, Grants, Project};
use wippy_wasm::{Import, Need};

use crate::volumes::Volumes;

/// The actions that the runtime asks for. Programs may ask for others.
const ACTIONS: [&str; 23] = [
    "env.get",
    "fs.get",
    "funcs.call",
    "http_client.private_ip",
    "http_client.request",
    "process.cancel",
    "process.host",
    "process.link",
    "process.monitor",
    "process.registry.lookup",
    "process.registry.register",
    "process.registry.unregister",
    "process.send",
    "process.spawn",
    "process.terminate",
    "process.upgrade",
    "security.actor.set",
    "security.scope.set",
    "socket.connect",
    "socket.listen",
    "socket.private_ip",
    "socket.resolve",
    "system.read",
];

/// How many letters a slip of the pen changes.
const SLIP_LETTERS_MAX: usize = 2;

/// What `wippy check` warns of.
pub(crate) fn of(project: &Project, volumes: &Volumes, variables: &Variables) -> Diagnostics {
    let mut found = Diagnostics::default();
    let strict = project.settings().security.strict_mode;
    for entry in project.registry().entries() {
        found.extend(without_effect(entry));
        found.extend(without_value(entry, variables));
        found.extend(misspelt_actions(entry));
        found.extend(nobody_acts(entry).filter(|_| strict));
        let Some(binary) = entry.binary() else { continue };
        let bytes_max = project.settings().wasm.binary_bytes_max;
        let volume = volumes.get(&binary.fs).ok();
        let bytes = volume.and_then(|volume| volume.read(&binary.path, bytes_max).ok());
        let inspection = bytes.and_then(|bytes| wippy_wasm::inspect(&bytes).ok());
        let imports = inspection.map(|inspection| inspection.imports).unwrap_or_default();
        found.extend(not_granted(entry, &imports));
        found.extend(not_provided(entry, &imports));
    }
    found
}

fn without_effect(entry: &Entry) -> Option<Diagnostic> {
    let (id, kind) = (&entry.id, entry.kind());
    if kind.is_in_effect() {
        return None;
    }
    let message = format!("entry {id}: {} has no effect in this version", kind.name());
    let help = "`docs/entries.md` says which kinds have";
    Some(Diagnostic::warning("no-effect", message).at(entry.place().clone()).help(help))
}

fn without_value(entry: &Entry, variables: &Variables) -> Vec<Diagnostic> {
    let env = entry.wasm().into_iter().flat_map(|run| &run.wasi.env).zip(0..);
    let empty = env.filter(|(variable, _)| {
        variable.required && matches!(variables.get(&variable.id), Ok(None))
    });
    let warnings = empty.map(|(variable, index)| {
        let message = format!(
            "entry {}: the required variable {} ({}) has no value now: a spawn fails",
            entry.id, variable.name, variable.id
        );
        let help = "set it before it is needed, or give its env.variable a default";
        let place = entry.place_of(&format!("wasi.env.{index}"));
        Diagnostic::warning("no-value", message).at(place).help(help)
    });
    warnings.collect()
}

/// Actions that nothing asks for, and that are a slip of the pen away from one that is.
fn misspelt_actions(entry: &Entry) -> Vec<Diagnostic> {
    let Data::SecurityPolicy(policy) = &entry.data else { return Vec::new() };
    let slips = policy.policy.actions.iter().zip(0..).filter_map(|(action, index)| {
        let near = ACTIONS
            .into_iter()
            .map(|known| (strsim::damerau_levenshtein(action, known), known))
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, _)| (1..=SLIP_LETTERS_MAX).contains(distance));
        let (_, near) = near?;
        let message =
            format!("entry {}: the runtime never asks for the action {action:?}", entry.id);
        let warning = Diagnostic::warning("unknown-action", message);
        let place = entry.place_of(&format!("policy.actions.{index}"));
        Some(warning.at(place).help(format!("did you mean `{near}`?")))
    });
    slips.collect()
}

/// A command or service that strict mode denies, because nobody is named who runs it.
fn nobody_acts(entry: &Entry) -> Option<Diagnostic> {
    let (what, field) = match (&entry.data, entry.command()) {
        (Data::ProcessService(service), _) if service.lifecycle.security.is_none() => {
            ("the service".to_owned(), "lifecycle")
        }
        (_, Some(command)) if command.security.is_none() => {
            (format!("the command {:?}", command.name), "meta.command")
        }
        _ => return None,
    };
    let message = format!(
        "entry {}: {what} has no {field}.security: strict mode denies every start of it",
        entry.id
    );
    let help = format!("add `security: {{ actor: {{ id: ... }}, policies: [...] }}` to `{field}`");
    Some(Diagnostic::warning("nobody-acts", message).at(entry.place_of(field)).help(help))
}

/// What a binary imports, and its entry does not grant. It may well be what is meant: what
/// some languages build imports everything, and to do without is safe.
fn not_granted(entry: &Entry, imports: &[Import]) -> Vec<Diagnostic> {
    let Some(run) = entry.wasm() else { return Vec::new() };
    let mut missing: BTreeMap<&'static str, &str> = BTreeMap::new();
    for import in imports {
        let Need::Grant(name) = import.need else { continue };
        let needed = Grants::parse(name).unwrap_or(Grants::NONE);
        if needed.iter().any(|grant| !run.imports.contains(grant)) {
            missing.entry(name).or_insert(&import.name);
        }
    }
    let granted = || run.imports.iter().map(wippy_registry::Grant::name);
    let list: Vec<&str> = granted().chain(missing.keys().copied()).collect();
    let list = list.join(", ");
    let warning = |(name, import): (&&str, &&str)| {
        let message = format!(
            "entry {}: the binary imports {import}, and the entry does not grant {name}: a call \
             is denied",
            entry.id
        );
        let help = format!("add `imports: [{list}]`, if it is to use that");
        Diagnostic::notice("not-granted", message).at(entry.place_of("imports")).help(help)
    };
    missing.iter().map(warning).collect()
}

/// What a binary imports, and nothing here provides.
fn not_provided(entry: &Entry, imports: &[Import]) -> Vec<Diagnostic> {
    let unknown = imports.iter().filter(|import| import.need == Need::Unknown);
    let warning = |import: &Import| {
        let message = format!(
            "entry {}: the binary imports {}, which nothing here provides: a call of it traps",
            entry.id, import.name
        );
        let help = "`wippy inspect FILE.wasm` shows all of its imports and what they need";
        Diagnostic::warning("unknown-import", message).at(entry.place_of("path")).help(help)
    };
    unknown.map(warning).collect()
}
