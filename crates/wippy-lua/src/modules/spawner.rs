//! Starting processes: `spawn` and its kin, `exec`, and builders that say how.
//!
//! ```text
//! process.with_context(values)     -- over those of this process
//! process.with_options{ host = , name = , timeout = }
//! process.with_name(name)          -- registered before any of its code runs
//! process.with_message(topic, ...) -- waits in its mailbox before any of its code runs
//!     :with_actor(actor) :with_scope(scope)
//!     :spawn(entry, host, ...) :spawn_monitored :spawn_linked :spawn_linked_monitored :exec
//! ```
//!
//! A builder is not changed: each `with` gives a new one, and all of them are methods of a
//! builder too. A host that is an argument goes before that of the options. The `timeout` ends
//! the process after so long, or by the deadline that this one has itself. What the actor of
//! this process may not hand on is refused by the spawn, as `nil, err`.
//!
//! A builder holds at most 1024 messages, in the memory of its script.

use std::ffi::c_int;
use std::time::Duration;

use mlua::ffi::lua_CFunction;
use wippy_kernel::{SpawnRequest, Watcher};
use wippy_model::{Context, EntryId, Error, Map, Message, Result, Value};

use crate::convert;
use crate::duration;
use crate::host_fn::{Answer, Outcome, Raised, failed, host_fn, misuse};
use crate::modules::process::{entry_id, needs_mailbox, push_text, text, unknown_option, values};
use crate::modules::security::{Change, actor_from, map_from, scope_from};
use crate::state::{Key, State, Type};
use crate::work::{deliver, run};

static BUILDER: Key = Key::new();

/// The fields of a builder's table.
const FIELDS: [&str; 7] = ["values", "actor", "scope", "host", "name", "timeout", "messages"];

/// What `with_options` knows: fields of a builder as well.
const OPTIONS: [&str; 3] = ["host", "name", "timeout"];

/// How many messages a builder holds.
const MESSAGES_MAX: i64 = 1024;

/// How a new process is bound to this one.
#[derive(Clone, Copy)]
struct Bond {
    /// The function's name.
    name: &'static str,
    monitors: bool,
    links: bool,
}

const NONE: Bond = Bond { name: "spawn", monitors: false, links: false };
const MONITOR: Bond = Bond { name: "spawn_monitored", monitors: true, links: false };
const LINK: Bond = Bond { name: "spawn_linked", monitors: false, links: true };
const BOTH: Bond = Bond { name: "spawn_linked_monitored", monitors: true, links: true };

/// The function of the module of that name.
pub(crate) fn function(name: &str) -> Option<lua_CFunction> {
    Some(match name {
        "spawn" => host_fn(|s, again| spawn(s, again, NONE)),
        "spawn_monitored" => host_fn(|s, again| spawn(s, again, MONITOR)),
        "spawn_linked" => host_fn(|s, again| spawn(s, again, LINK)),
        "spawn_linked_monitored" => host_fn(|s, again| spawn(s, again, BOTH)),
        "exec" => host_fn(exec),
        "with_context" => host_fn(|s, _| new_builder(s, with_context)),
        "with_options" => host_fn(|s, _| new_builder(s, with_options)),
        "with_name" => host_fn(|s, _| new_builder(s, with_name)),
        "with_message" => host_fn(|s, _| new_builder(s, with_message)),
        _ => return None,
    })
}

/// The new metatable of builders.
fn make_metatable(state: State<'_>) {
    state.push_table(0, 3);
    state.push_table(0, 11);
    state.set_functions(&[
        ("spawn", host_fn(|s, again| spawn_built(s, again, NONE))),
        ("spawn_monitored", host_fn(|s, again| spawn_built(s, again, MONITOR))),
        ("spawn_linked", host_fn(|s, again| spawn_built(s, again, LINK))),
        ("spawn_linked_monitored", host_fn(|s, again| spawn_built(s, again, BOTH))),
        ("exec", host_fn(exec_built)),
        ("with_context", host_fn(|s, _| next_builder(s, with_context))),
        ("with_options", host_fn(|s, _| next_builder(s, with_options))),
        ("with_name", host_fn(|s, _| next_builder(s, with_name))),
        ("with_message", host_fn(|s, _| next_builder(s, with_message))),
        ("with_actor", host_fn(|s, _| next_builder(s, |s, to| with_part(s, to, "actor")))),
        ("with_scope", host_fn(|s, _| next_builder(s, |s, to| with_part(s, to, "scope")))),
    ]);
    state.set_field(-2, "__index");
    state.push_str("process builder");
    state.set_field(-2, "__name");
    state.push_bool(false);
    state.set_field(-2, "__metatable");
}

// Spawns.

/// What a builder says of a spawn.
struct Plan {
    context: Context,
    host: Option<EntryId>,
    name: Option<Box<str>>,
    messages: Vec<Message>,
}

impl Plan {
    fn plain(state: State<'_>) -> Self {
        let context = state.core().context.context().clone();
        Self { context, host: None, name: None, messages: Vec::new() }
    }
}

fn spawn(state: State<'_>, again: bool, bond: Bond) -> Outcome {
    if again {
        return deliver(state);
    }
    start(state, Plan::plain(state), bond)
}

fn exec(state: State<'_>, again: bool) -> Outcome {
    if again {
        return deliver(state);
    }
    wait(state, Plan::plain(state))
}

fn spawn_built(state: State<'_>, again: bool, bond: Bond) -> Outcome {
    if again {
        return deliver(state);
    }
    match take_plan(state)? {
        Ok(plan) => start(state, plan, bond),
        Err(error) => failed(state, &error),
    }
}

fn exec_built(state: State<'_>, again: bool) -> Outcome {
    if again {
        return deliver(state);
    }
    match take_plan(state)? {
        Ok(plan) => wait(state, plan),
        Err(error) => failed(state, &error),
    }
}

/// The request of `spawn(entry, host, ...)`.
fn request(state: State<'_>, plan: Plan) -> Result<SpawnRequest> {
    let own = &state.core().context;
    let unit = entry_id(state, 1, "the ID of an entry")?;
    let host = match (state.is_absent(2), plan.host) {
        (false, _) => entry_id(state, 2, "the ID of a process host")?,
        (true, Some(host)) => host,
        (true, None) => match own.kernel().and_then(|kernel| kernel.default_host(&unit)) {
            Some(host) => host,
            None if !own.host().terminal => own.host().id.clone(),
            // Its one place is taken, by this process.
            None => {
                let hint =
                    format!("no host is given; name one, or set meta.default_host of {unit}");
                return Err(Error::invalid(format!("argument 2: {hint}")));
            }
        },
    };
    let mut request = SpawnRequest::new(unit, host, values(state, 3, "argument")?);
    request.context = plan.context;
    request.name = plan.name;
    request.messages = plan.messages;
    Ok(request)
}

fn start(state: State<'_>, plan: Plan, bond: Bond) -> Outcome {
    let Bond { name, monitors, links } = bond;
    if monitors || links {
        needs_mailbox(state, name)?;
    }
    let mut request = match request(state, plan) {
        Ok(request) => request,
        Err(error) => return failed(state, &error),
    };
    let own = state.core().context.clone();
    request.watcher = monitors.then(|| Watcher::Process(own.clone()));
    request.link = links.then(|| own.clone());
    run(state, async move { own.spawn(request).await }, |state, spawned| match spawned {
        Ok(pid) => push_text(state, &pid.to_string()),
        Err(error) => failed(state, &error),
    })
}

/// `exec(entry, host, ...)`: the value, or `nil, err`.
fn wait(state: State<'_>, plan: Plan) -> Outcome {
    let request = match request(state, plan) {
        Ok(request) => request,
        Err(error) => return failed(state, &error),
    };
    let own = state.core().context.clone();
    run(state, async move { own.exec(request).await }, |state, ended| match ended {
        Ok(value) => {
            convert::push(state, &value);
            Ok(Answer::Values(1))
        }
        Err(error) => failed(state, &error),
    })
}

// Builders.

/// Sets fields of the table at the index from the arguments, which begin at 1. There is one at
/// the least, which may be nil.
type With = fn(State<'_>, c_int) -> Result<()>;

/// A builder from a function of the module.
fn new_builder(state: State<'_>, with: With) -> Outcome {
    state.set_top(state.top().max(1));
    state.push_table(0, FIELDS.len());
    finish(state, with)
}

/// A builder from a method of another one.
fn next_builder(state: State<'_>, with: With) -> Outcome {
    state.set_top(state.top().max(2));
    if !state.get_wrapped(1, &BUILDER) {
        return Err(no_builder(state));
    }
    let old = state.top();
    state.push_table(0, FIELDS.len());
    for name in FIELDS {
        state.get_field(old, name);
        state.set_field(-2, name);
    }
    state.remove(old);
    state.remove(1);
    finish(state, with)
}

fn no_builder(state: State<'_>) -> Raised {
    misuse(state, "call it on a builder, with a colon: process.with_context(values):spawn(entry)")
}

/// Fills the table on top, which is above the arguments, and wraps it.
fn finish(state: State<'_>, with: With) -> Outcome {
    let table = state.top();
    with(state, table).map_err(|error| misuse(state, error))?;
    state.set_top(table);
    state.get_or_make(&BUILDER, make_metatable);
    state.pop(1);
    state.wrap_table(&BUILDER);
    Ok(Answer::Values(1))
}

/// `with_context(values)`: copied, so that changing the table later changes nothing.
fn with_context(state: State<'_>, table: c_int) -> Result<()> {
    let more = map_from(state, 1, "values")?;
    let mut values = values_of(state, table)?;
    values.extend(more);
    convert::push(state, &Value::Map(values));
    state.set_field(table, "values");
    Ok(())
}

fn values_of(state: State<'_>, table: c_int) -> Result<Map> {
    state.get_field(table, "values");
    let values = map_from(state, state.top(), "values");
    state.pop(1);
    values
}

fn with_part(state: State<'_>, table: c_int, name: &str) -> Result<()> {
    match name {
        "actor" => actor_from(state, 1).map(drop),
        _ => scope_from(state, 1).map(drop),
    }?;
    state.push_copy(1);
    state.set_field(table, name);
    Ok(())
}

/// `with_options{ host = , name = , timeout = }`: what is not named stays.
fn with_options(state: State<'_>, table: c_int) -> Result<()> {
    if state.type_of(1) != Type::Table {
        let found = state.type_name(1);
        return Err(Error::invalid(format!("with_options takes a table, not {found}")));
    }
    state.push_nil();
    while state.next(1) {
        let value = state.top();
        let known = OPTIONS.into_iter().find(|name| state.to_str(value - 1) == Some(name));
        let known = known.ok_or_else(|| unknown_option(state, &OPTIONS).context("with_options"))?;
        check_option(state, value, known)
            .map_err(|error| error.context(format_args!("with_options: {known}")))?;
        state.push_copy(value);
        state.set_field(table, known);
        state.pop(1);
    }
    Ok(())
}

fn check_option(state: State<'_>, value: c_int, name: &str) -> Result<()> {
    let found = || state.type_name(value);
    match (name, state.to_str(value)) {
        ("timeout", _) => match duration::get(state, value)? {
            ns if ns > 0 => Ok(()),
            _ => Err(Error::invalid("it must be above zero")),
        },
        ("host", Some(id)) => {
            let own = state.core().context.entry().namespace();
            EntryId::parse_in(own, id).map(drop).map_err(|error| Error::invalid(error.to_string()))
        }
        (_, Some(_)) => Ok(()),
        ("host", None) => {
            Err(Error::invalid(format!("expected the ID of a process host, got {}", found())))
        }
        (_, None) => Err(Error::invalid(format!("expected a text, got {}", found()))),
    }
}

/// `with_name(name)`: whether it is one is found out by the spawn.
fn with_name(state: State<'_>, table: c_int) -> Result<()> {
    text(state, 1, "a name")?;
    state.push_copy(1);
    state.set_field(table, "name");
    Ok(())
}

/// `with_message(topic, ...)`: a message is a table of its topic, its payloads by position,
/// how many they are, the message before it, and how many messages that makes.
fn with_message(state: State<'_>, table: c_int) -> Result<()> {
    text(state, 1, "a topic")?;
    let mut budget = convert::Budget::new(state);
    let payloads: Vec<Value> = (2..table)
        .map(|index| {
            let what = format_args!("payload {}", index - 1);
            convert::to_value_within(state, index, what, &mut budget)
        })
        .collect::<Result<_>>()?;
    state.push_table(payloads.len(), 4);
    let message = state.top();
    let count = match state.get_field(table, "messages") {
        Type::Nil => 1,
        _ => {
            state.get_field(-1, "count");
            let before = state.to_exact_integer(-1).unwrap_or(0);
            state.pop(1);
            before + 1
        }
    };
    if count > MESSAGES_MAX {
        return Err(Error::invalid(format!("a builder holds at most {MESSAGES_MAX} messages")));
    }
    state.set_field(message, "before");
    state.push_integer(count);
    state.set_field(message, "count");
    state.push_copy(1);
    state.set_field(message, "topic");
    state.push_integer(i64::try_from(payloads.len()).unwrap_or(i64::MAX));
    state.set_field(message, "payloads");
    for (payload, position) in payloads.iter().zip(1..) {
        convert::push(state, payload);
        state.set_position(message, position);
    }
    state.set_field(table, "messages");
    Ok(())
}

/// Takes the builder off the stack, and makes its plan.
fn take_plan(state: State<'_>) -> Result<Result<Plan>, Raised> {
    if !state.get_wrapped(1, &BUILDER) {
        return Err(no_builder(state));
    }
    let table = state.top();
    let plan = plan(state, table);
    // The builder's table is above the arguments.
    state.set_top(table - 1);
    state.remove(1);
    Ok(plan)
}

fn plan(state: State<'_>, table: c_int) -> Result<Plan> {
    let mut change = Change { values: values_of(state, table)?, ..Change::default() };
    if state.get_field(table, "actor") != Type::Nil {
        change.actor = Some(actor_from(state, state.top())?);
    }
    if state.get_field(table, "scope") != Type::Nil {
        change.scope = Some(scope_from(state, state.top())?);
    }
    if state.get_field(table, "timeout") != Type::Nil {
        let ns = duration::get(state, -1)?;
        change.timeout = Some(Duration::from_nanos(u64::try_from(ns).unwrap_or(0)));
    }
    let mut plan = Plan { context: change.context(state)?, ..Plan::plain(state) };
    if state.get_field(table, "host") != Type::Nil {
        let own = state.core().context.entry().namespace();
        let host = EntryId::parse_in(own, state.to_str(-1).unwrap_or_default());
        plan.host = Some(host.map_err(|error| Error::invalid(error.to_string()))?);
    }
    if state.get_field(table, "name") != Type::Nil {
        plan.name = state.to_str(-1).map(Into::into);
    }
    state.get_field(table, "messages");
    plan.messages = messages(state)?;
    Ok(plan)
}

/// The messages up to the one on top, oldest first. All of them share one budget.
fn messages(state: State<'_>) -> Result<Vec<Message>> {
    let own = &state.core().context;
    let mut budget = convert::Budget::new(state);
    let mut messages = Vec::new();
    while state.type_of(-1) == Type::Table {
        let message = state.top();
        state.get_field(message, "topic");
        let topic = state.to_str(-1).unwrap_or_default().into();
        state.get_field(message, "payloads");
        let count = state.to_exact_integer(-1).unwrap_or(0);
        state.set_top(message);
        let mut payloads = Vec::new();
        for position in 1..=count {
            state.get_position(message, position);
            let value = convert::to_value_within(state, message + 1, "a message", &mut budget)?;
            payloads.push(value);
            state.pop(1);
        }
        let (from, context) = (Some(own.pid().clone()), own.context().clone());
        messages.push(Message { from, topic, payloads, context });
        state.get_field(message, "before");
        state.insert(message);
        state.pop(1);
    }
    messages.reverse();
    Ok(messages)
}
