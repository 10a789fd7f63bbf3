//! `wippy run NAME` and `wippy run -x ns:entry`: one process on the terminal, its result
//! printed, its exit kept.

use std::sync::Arc;
use std::time::Duration;

use wippy_kernel::{ExitWatch, HostSpec, SpawnRequest, Unit};
use wippy_model::{EntryId, Error, Exit, Pid, Value};
use wippy_registry::{Data, Entry, EntryKind, Project, Registry};

use super::block_on;
use crate::cli::RunArgs;
use crate::control::{Control, Subject};
use crate::failure::{Failure, Outcome, status};
use crate::log::{Log, Mode};
use crate::node::{Node, NodeOptions};
use crate::not_loaded::not_loaded;
use crate::signals::Signals;
use crate::watch::Watch;
use crate::{output, policies, progress, project, suggest};

/// How long processes that a command leaves behind have to end.
const LEFT_BEHIND_GRACE: Duration = Duration::from_millis(250);

fn mode(args: &RunArgs) -> Mode {
    if args.watch { Mode::Watched } else { Mode::Command }
}

/// Runs the command of a name.
pub(super) fn named(args: &RunArgs, name: &str, words: &[String]) -> Outcome {
    let (project, log) = project::load(&args.project, args.log, mode(args))?;
    let commands = project.registry().commands();
    let found = commands.iter().find(|(command, _)| command.name == name);
    let entry = match found {
        Some((_, entry)) => Arc::clone(entry),
        None => return Err(unknown_command(name, project.registry())),
    };
    drop(commands);
    execute(args, project, &log, NodeOptions::default(), &entry, words)
}

/// Runs the process entry of an ID.
pub(super) fn entry(args: &RunArgs, id: &EntryId, words: &[String]) -> Outcome {
    let (project, log) = project::load(&args.project, args.log, mode(args))?;
    let processes = || {
        let process =
            |entry: &&Arc<Entry>| matches!(entry.data, Data::ProcessWasm(_) | Data::ProcessLua(_));
        project.registry().entries().filter(process).map(|entry| entry.id.as_str())
    };
    let entry = match project.registry().get(id) {
        Some(entry) if processes().any(|process| process == id.as_str()) => entry.clone(),
        Some(entry) => {
            let message = format!("{id} is a {}, and no process", entry.kind());
            return Err(Failure::usage_with_help("no-process", message, known(processes())));
        }
        None => {
            let message = format!("there is no entry {id}");
            let help = match suggest::nearest(id.as_str(), processes()) {
                Some(near) => format!("did you mean `{near}`?\n{}", known(processes())),
                None => known(processes()),
            };
            return Err(Failure::usage_with_help("unknown-entry", message, help));
        }
    };
    execute(args, project, &log, NodeOptions::default(), &entry, words)
}

fn known<'a>(processes: impl Iterator<Item = &'a str>) -> String {
    let processes: Vec<&str> = processes.collect();
    match processes.is_empty() {
        true => "this project has no process entries".to_owned(),
        false => format!("processes are: {}", processes.join(", ")),
    }
}

fn unknown_command(name: &str, registry: &Registry) -> Failure {
    let commands = registry.commands();
    let names = || commands.iter().map(|(command, _)| command.name.as_str());
    let list = format!("commands are: {}", names().collect::<Vec<_>>().join(", "));
    let help = match suggest::nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?\n{list}"),
        None if commands.is_empty() => {
            "no entry of this project has a meta.command; -x ns:entry runs any process".to_owned()
        }
        None => list,
    };
    Failure::usage_with_help("unknown-command", format!("there is no command `{name}`"), help)
}

/// Spawns the entry on the terminal and waits for its end.
pub(super) fn execute(
    args: &RunArgs,
    project: Project,
    log: &Log,
    options: NodeOptions,
    entry: &Entry,
    words: &[String],
) -> Outcome {
    let host = terminal_host(&project, entry, args.host.as_ref())?;
    if let Some(Data::TerminalHost(terminal)) = project.registry().get(&host).map(|e| &e.data) {
        log.settle(&project.settings().logger, terminal.hide_logs);
    }
    let node = Node::new(project, options)?;
    let watch = args.watch.then(|| Watch::new(&node, project::options(&args.project)));
    block_on(async {
        let mut signals = Signals::take()?;
        if let Some(watch) = watch {
            tokio::spawn(watch.run());
        }
        let unit = tokio::select! {
            biased;
            stop = signals.next() => {
                progress::clear();
                return Err(Failure::silent(stop.status()));
            }
            unit = node.kernel.unit(&entry.id) => unit,
        };
        let unit =
            unit.map_err(|error| Failure::from(not_loaded(node.registry(), entry, &error)))?;
        let arguments =
            unit.parse_args(words).map_err(|error| Failure::of(&error, status::USAGE))?;
        let mut request = SpawnRequest::new(entry.id.clone(), host, arguments);
        let security = entry.command().and_then(|command| command.security.as_ref());
        request.context =
            policies::context(&node.kernel, security).map_err(|error| Failure::of_start(&error))?;
        let spawned = node.kernel.spawn_watched(request).await;
        let (pid, exit) = spawned.map_err(|error| refused(node.registry(), entry, &error))?;
        let work = end(&node, &*unit, entry, &pid, exit, &mut signals, args.json);
        let subject = Subject { project: node.root().to_owned(), command: Some(shown(entry)) };
        let outcome = Control::beside(&node.kernel, subject, work).await;
        if node.kernel.process_count() > 0 {
            node.kernel.shutdown(LEFT_BEHIND_GRACE).await;
        }
        outcome
    })
}

/// How the command is called in lists of runtimes.
fn shown(entry: &Entry) -> String {
    match entry.command() {
        Some(command) => command.name.to_string(),
        None => format!("-x {}", entry.id),
    }
}

/// A spawn that failed: at its place, where the entry is at fault.
fn refused(registry: &Registry, entry: &Entry, error: &Error) -> Failure {
    match names_field(error) {
        true => not_loaded(registry, entry, error).into(),
        false => Failure::of_start(error),
    }
}

/// Whether the error says which field of the entry is at fault.
fn names_field(error: &Error) -> bool {
    matches!(error.details(), Value::Map(details) if details.contains_key("field"))
}

/// Waits for the exit. The first signal asks the process to end, the second one ends it.
async fn end(
    node: &Node,
    unit: &dyn Unit,
    entry: &Entry,
    pid: &Pid,
    mut exit: ExitWatch,
    signals: &mut Signals,
    json: bool,
) -> Outcome {
    let stop = tokio::select! {
        biased;
        exit = &mut exit => return report(node, unit, entry, &exit, json),
        stop = signals.next() => stop,
    };
    // Both fail where the process has ended meanwhile, and then its exit is there.
    if unit.hears_events() {
        let within = HostSpec::terminal(pid.host().clone()).stop_timeout;
        let seconds = within.as_secs();
        output::complain(&format!("stopping, for up to {seconds}s; once more ends it at once\n"));
        let _ = node.kernel.cancel(pid, None, Some(within), Some("interrupted"));
    } else {
        let _ = node.kernel.terminate(pid);
    }
    let exit = tokio::select! {
        biased;
        exit = &mut exit => exit,
        stop = signals.next() => return Err(Failure::silent(stop.status())),
    };
    match &*exit {
        Exit::Canceled(_) | Exit::Terminated => Err(Failure::silent(stop.status())),
        // A process that obeyed and says no status of its own was ended by the signal.
        Exit::Normal(value) if own_status(entry, value).is_none() => {
            report(node, unit, entry, &exit, json)?;
            Err(Failure::silent(stop.status()))
        }
        _ => report(node, unit, entry, &exit, json),
    }
}

/// Prints the result; the exit becomes the status.
fn report(node: &Node, unit: &dyn Unit, entry: &Entry, exit: &Exit, json: bool) -> Outcome {
    if let Exit::Config(error) = exit
        && names_field(error)
    {
        return Err(not_loaded(node.registry(), entry, error).into());
    }
    let Exit::Normal(value) = exit else {
        return Err(Failure::of_exit(&entry.id, exit));
    };
    if let Some(status) = own_status(entry, value) {
        return Ok(status);
    }
    if json {
        let mut json = value.to_json();
        // The fields of a WIT record have an order, and those of a Lua table none.
        if entry.kind() == EntryKind::ProcessLua {
            json.sort_all_objects();
        }
        output::print_line(&json.to_string())?;
    } else if let Some(text) = unit.render(value) {
        output::print_line(&text)?;
    }
    Ok(status::OK)
}

/// The status that a Lua process says with an integer or a boolean, which is no output then.
fn own_status(entry: &Entry, value: &Value) -> Option<i32> {
    match value {
        _ if entry.kind() != EntryKind::ProcessLua => None,
        Value::Int(code) => Some(u8::try_from(*code).map_or(status::FAILED, i32::from)),
        Value::Bool(true) => Some(status::OK),
        Value::Bool(false) => Some(status::FAILED),
        _ => None,
    }
}

/// The terminal host to run on: the one there is, or the one that is named.
fn terminal_host(
    project: &Project,
    entry: &Entry,
    named: Option<&EntryId>,
) -> Result<EntryId, Failure> {
    let registry = project.registry();
    let ids = |kind| registry.of_kind(kind).map(|entry| entry.id.clone()).collect::<Vec<_>>();
    let terminals = ids(EntryKind::TerminalHost);
    let needs_host =
        entry.kind() == EntryKind::ProcessWasm && ids(EntryKind::ProcessHost).is_empty();
    if terminals.is_empty() || needs_host {
        return Err(missing_hosts(entry, terminals.is_empty(), needs_host));
    }
    let list = terminals.iter().map(EntryId::as_str).collect::<Vec<_>>().join(", ");
    if let Some(named) = named {
        return match terminals.contains(named) {
            true => Ok(named.clone()),
            false => Err(Failure::usage_with_help(
                "unknown-host",
                format!("--host {named}: this is no terminal.host of the project"),
                format!("terminal hosts are: {list}"),
            )),
        };
    }
    let preferred = entry.default_host().filter(|host| terminals.contains(host));
    match (terminals.as_slice(), preferred) {
        ([only], _) => Ok(only.clone()),
        (_, Some(preferred)) => Ok(preferred.clone()),
        _ => Err(Failure::usage_with_help(
            "several-hosts",
            format!("the project has several terminal hosts: {list}"),
            "name one with --host ID, or in the entry's meta.default_host",
        )),
    }
}

fn missing_hosts(entry: &Entry, terminal: bool, process: bool) -> Failure {
    const TERMINAL: &str = "\n  - name: terminal\n    kind: terminal.host";
    const PROCESSES: &str = "\n  - name: processes\n    kind: process.host";
    let (what, lines) = match (terminal, process) {
        (true, true) => ("no terminal.host and no process.host", [TERMINAL, PROCESSES]),
        (true, false) => ("no terminal.host", [TERMINAL, ""]),
        (false, _) => ("no process.host", [PROCESSES, ""]),
    };
    let message = format!("cannot run {}: the project has {what}", entry.id);
    let help = format!("add to the entries of {}:{}", entry.place().file, lines.concat());
    Failure::usage_with_help("missing-host", message, help)
}
