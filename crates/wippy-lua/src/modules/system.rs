//! `system`: the figures of processes, hosts and the node.
//!
//! ```text
//! system.processes([{ filter, sort, limit, after }])  -- a list of tables
//! system.process(pid)                                 -- a table; nil, err when it is gone
//! system.services()                                   -- a list of tables
//! system.hosts()                                      -- a list of tables
//! system.memory()                                     -- a table
//! system.node()                                       -- a table
//! ```
//!
//! Each asks for `system.read` on what it is called. What looks at all processes does so on a
//! thread that may block, because there may be 100,000 of them. A list has 100 processes unless
//! `limit` says otherwise, and at most 1,000.

use std::time::SystemTime;

use wippy_kernel::{HostInfo, Kernel, NodeInfo, Order, ProcessInfo, Profile, ServiceInfo};
use wippy_model::{Error, Pid, Result, Value};

use crate::convert;
use crate::host_fn::{Answer, Outcome, failed, host_fn, misuse};
use crate::modules::security::map_from;
use crate::state::State;
use crate::work::{deliver, run};

/// Processes in a list, unless somebody says.
const LIMIT: usize = 100;
/// The most that somebody may say.
const LIMIT_MAX: usize = 1_000;

const OPTIONS: [&str; 4] = ["filter", "sort", "limit", "after"];

pub(crate) fn open(state: State<'_>) {
    state.push_table(0, 6);
    state.set_functions(&[
        ("processes", host_fn(processes)),
        ("process", host_fn(|s, _| process(s))),
        ("services", host_fn(|s, _| give(s, "services", |kernel| Ok(services(kernel))))),
        ("hosts", host_fn(|s, _| give(s, "hosts", |kernel| Ok(hosts(kernel))))),
        ("memory", host_fn(|s, again| look(s, again, "memory", |node| memory(&node)))),
        ("node", host_fn(|s, again| look(s, again, "node", |node| node_table(&node)))),
    ]);
}

/// What `system.processes` is asked for.
struct Selection {
    filter: String,
    order: Order,
    limit: usize,
    after: u64,
}

impl Selection {
    fn from(state: State<'_>) -> Result<Self> {
        let options = map_from(state, 1, "options")?;
        if let Some(unknown) = options.keys().find(|name| !OPTIONS.contains(&name.as_str())) {
            let known = OPTIONS.join(", ");
            return Err(Error::invalid(format!(
                "there is no option {unknown:?}; options: {known}"
            )));
        }
        let text = |name: &str| match options.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(other) => {
                Err(Error::invalid(format!("{name}: expected a text, got a {}", other.type_name())))
            }
        };
        let order = match text("sort")? {
            None => Order::Pid,
            Some(name) => Order::parse(name).ok_or_else(|| {
                let known: Vec<&str> = Order::ALL.iter().map(|order| order.name()).collect();
                Error::invalid(format!("there is no order {name:?}; orders: {}", known.join(", ")))
            })?,
        };
        let limit = match options.get("limit") {
            None => LIMIT,
            Some(Value::Int(limit)) if (1..=LIMIT_MAX as i64).contains(limit) => *limit as usize,
            Some(_) => {
                return Err(Error::invalid(format!("limit: a whole number from 1 to {LIMIT_MAX}")));
            }
        };
        let after = match text("after")? {
            None => 0,
            Some(text) => parse(text)?.serial(),
        };
        Ok(Self { filter: text("filter")?.unwrap_or_default().to_owned(), order, limit, after })
    }

    fn list(&self, all: &[ProcessInfo]) -> Value {
        let fits = |info: &&ProcessInfo| {
            info.pid.serial() > self.after
                && (self.filter.is_empty() || info.mentions(&self.filter))
        };
        let mut found: Vec<&ProcessInfo> = all.iter().filter(fits).collect();
        found.sort_by(|a, b| self.order.compare(a, b));
        Value::List(found.into_iter().take(self.limit).map(process_table).collect())
    }
}

fn parse(pid: &str) -> Result<Pid> {
    Pid::parse(pid).map_err(|error| Error::invalid(error.to_string()))
}

fn kernel(state: State<'_>) -> Result<Kernel> {
    state.core().context.kernel().ok_or_else(|| Error::unavailable("the node is stopping"))
}

/// The kernel, for whoever may read this.
fn permitted(state: State<'_>, what: &str) -> Result<Kernel> {
    state.core().context.authorize("system.read", what)?;
    kernel(state)
}

fn processes(state: State<'_>, again: bool) -> Outcome {
    if again {
        return deliver(state);
    }
    let selection = Selection::from(state).map_err(|error| misuse(state, error))?;
    in_background(state, "processes", move |kernel| selection.list(&kernel.processes()))
}

fn process(state: State<'_>) -> Outcome {
    let Some(pid) = state.to_str(1) else {
        return Err(misuse(state, "system.process takes a PID or a name"));
    };
    let pid = pid.to_owned();
    give(state, "processes", move |kernel| match kernel.process_info(pid.as_str()) {
        Some(info) => Ok(process_table(&info)),
        None => Err(Error::not_found(format!("there is no process {pid} (any more)"))),
    })
}

/// Gives what the kernel tells at once.
fn give(state: State<'_>, what: &str, read: impl FnOnce(&Kernel) -> Result<Value>) -> Outcome {
    match permitted(state, what).and_then(|kernel| read(&kernel)) {
        Ok(value) => push(state, value),
        Err(error) => failed(state, &error),
    }
}

/// Gives something of the node.
fn look(state: State<'_>, again: bool, what: &str, read: fn(NodeInfo) -> Value) -> Outcome {
    match again {
        true => deliver(state),
        false => in_background(state, what, move |kernel| read(kernel.node_info().0)),
    }
}

/// Gives what takes a look at every process.
fn in_background(
    state: State<'_>,
    what: &str,
    read: impl FnOnce(&Kernel) -> Value + Send + 'static,
) -> Outcome {
    let kernel = match permitted(state, what) {
        Ok(kernel) => kernel,
        Err(error) => return failed(state, &error),
    };
    let work = async move {
        let reading = tokio::task::spawn_blocking(move || read(&kernel)).await;
        reading.map_err(|failure| Error::internal(format!("cannot read the figures: {failure}")))
    };
    run(state, work, |state, read| match read {
        Ok(value) => push(state, value),
        Err(error) => failed(state, &error),
    })
}

fn push(state: State<'_>, value: Value) -> Outcome {
    convert::push(state, &value);
    Ok(Answer::Values(1))
}

fn process_table(info: &ProcessInfo) -> Value {
    let names = info.names.iter().map(|name| Value::from(&**name)).collect();
    table([
        ("pid", Value::from(info.pid.to_string())),
        ("entry", Value::from(info.entry.as_str())),
        ("version", whole(info.version)),
        ("names", Value::List(names)),
        ("host", Value::from(info.pid.host().as_str())),
        ("state", Value::from(info.state.name())),
        ("age_ms", whole(info.spawned_at.elapsed().unwrap_or_default().as_millis())),
        ("cpu_us", whole(info.cpu.as_micros())),
        ("memory_bytes", whole(info.memory_bytes)),
        ("mailbox_len", whole(info.mailbox_len)),
        ("mailbox_bytes", whole(info.mailbox_bytes)),
        ("received", whole(info.received)),
        ("sent", whole(info.sent)),
        ("calls", whole(info.calls)),
        ("links", whole(info.links)),
        ("monitors", whole(info.monitors)),
        ("steps", whole(info.steps)),
    ])
}

fn services(kernel: &Kernel) -> Value {
    let wait = |due: SystemTime| due.duration_since(SystemTime::now()).unwrap_or_default();
    let row = |info: &ServiceInfo| {
        table([
            ("id", Value::from(info.id.as_str())),
            ("process", Value::from(info.process.as_str())),
            ("host", Value::from(info.host.as_str())),
            ("state", Value::from(info.state.name())),
            ("state_ms", whole(info.since.elapsed().unwrap_or_default().as_millis())),
            ("pid", some(info.pid.as_ref().map(|pid| Value::from(pid.to_string())))),
            ("restarts", whole(info.restarts)),
            ("attempt", whole(info.attempt)),
            ("next_start_ms", some(info.next_start.map(|due| whole(wait(due).as_millis())))),
            ("last_exit", some(info.last_exit.as_ref().map(|exit| Value::from(exit.name())))),
            (
                "last_error",
                some(info.last_error.as_ref().map(|error| Value::from(error.message()))),
            ),
        ])
    };
    Value::List(kernel.services().iter().take(LIMIT_MAX).map(row).collect())
}

fn hosts(kernel: &Kernel) -> Value {
    let row = |info: &HostInfo| {
        let profile = match info.profile {
            Profile::Spawn => "spawn",
            Profile::Density => "density",
        };
        table([
            ("id", Value::from(info.id.as_str())),
            ("kind", Value::from(if info.terminal { "terminal.host" } else { "process.host" })),
            ("profile", Value::from(profile)),
            ("workers", some(info.workers.map(whole))),
            ("processes", whole(info.processes)),
            ("processes_max", whole(info.processes_max)),
            ("waiting", whole(info.waiting)),
            ("waiting_max", whole(info.waiting_max)),
        ])
    };
    Value::List(kernel.hosts().iter().map(row).collect())
}

fn memory(node: &NodeInfo) -> Value {
    table([
        ("processes_bytes", whole(node.memory_bytes)),
        ("mailboxes_bytes", whole(node.mailbox_bytes)),
        ("resident_bytes", some(wippy_host::resident_bytes().map(whole))),
    ])
}

fn node_table(node: &NodeInfo) -> Value {
    let exits = node.exits.iter().map(|(name, count)| (*name, whole(*count)));
    table([
        ("name", Value::from(&*node.node)),
        ("uptime_ms", whole(node.started_at.elapsed().unwrap_or_default().as_millis())),
        ("cores", whole(wippy_host::cores())),
        ("processes", whole(node.processes)),
        ("spawned", whole(node.spawned)),
        ("exits", Value::map(exits)),
        ("cpu_us", whole(node.cpu.as_micros())),
        ("memory_bytes", whole(node.memory_bytes)),
        ("mailbox_len", whole(node.mailbox_len)),
        ("mailbox_bytes", whole(node.mailbox_bytes)),
        ("messages", whole(node.messages)),
        ("steps", whole(node.steps)),
    ])
}

/// A table without the fields that are not there.
fn table<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::map(fields.into_iter().filter(|(_, value)| *value != Value::Nil))
}

/// A field that may not be there.
fn some(value: Option<Value>) -> Value {
    value.unwrap_or(Value::Nil)
}

/// A count as an integer of Lua, which has no larger ones.
fn whole(count: impl TryInto<i64>) -> Value {
    Value::Int(count.try_into().unwrap_or(i64::MAX))
}
