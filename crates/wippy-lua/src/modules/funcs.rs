//! `funcs`: calling functions of the registry, Lua or WebAssembly.
//!
//! ```text
//! funcs.call(function, ...)       -- its value, or nil, err; this thread alone waits
//! funcs.async(function, ...)      -- a Future, or nil, err
//! funcs.new()                     -- an executor: calls with another context
//!     :with_context{ name = value }   -- adds to the context's values
//!     :with_actor(actor)  :with_scope(scope)  -- of `security`, where that is permitted
//!     :with_options{ timeout = d }    -- ends what it calls after so long
//!     :call(function, ...)  :async(function, ...)
//! ```
//!
//! A Future has `:channel()` (and `:response()`, the same), a channel that gives the value
//! once and is then closed; where the call fails it is closed without a value. `:result()`
//! gives `value, err` once the call has ended, and nothing before: it does not wait.
//! `:error()`, `:is_complete()`, `:is_canceled()`; `:cancel()` ends the call, so that its
//! error is of kind `Canceled`.
//!
//! A call goes on when its Future is collected, until it or the process ends. A result is
//! the process's own memory from the moment that the call ends.

use std::ffi::c_int;
use std::pin::Pin;
use std::task::{Context as Poller, Poll, Waker};
use std::time::Duration;

use wippy_kernel::FunctionCall;
use wippy_model::{Context, EntryId, Error, Kind, Map, Result, Value};

use crate::convert;
use crate::duration;
use crate::failure;
use crate::host_fn::{Answer, Outcome, Raised, failed, host_fn, misuse};
use crate::modules::channel;
use crate::modules::security::{Change, actor_from, map_from, scope_from};
use crate::state::{Key, State, Type};
use crate::work::{deliver, run};

/// The metatable of futures, which are wrapped tables of the positions below.
static FUTURE: Key = Key::new();
/// The tables of futures whose calls are under way, by the calls' numbers.
static UNDER_WAY: Key = Key::new();
/// The metatable of executors, which are wrapped tables of the other positions below.
static EXECUTOR: Key = Key::new();

/// Positions in a future. The number is absent when the call has ended.
const NUMBER: i64 = 1;
const FUNCTION: i64 = 2;
const VALUE: i64 = 3;
const ERROR: i64 = 4;
const CHANNEL: i64 = 5;
const CANCELED: i64 = 6;

/// Positions in an executor.
const VALUES: i64 = 1;
const TIMEOUT: i64 = 2;
const ACTOR: i64 = 3;
const SCOPE: i64 = 4;

pub(crate) fn open(state: State<'_>) {
    state.push_table(0, 3);
    state.set_functions(&[
        ("call", host_fn(|s, again| call(s, again, false))),
        ("async", host_fn(|s, _| start_future(s, false))),
        (
            "new",
            host_fn(|s, _| {
                s.push_table(0, 0);
                wrap(s, &EXECUTOR, make_executor);
                Ok(Answer::Values(1))
            }),
        ),
    ]);
}

/// Pops a table and pushes a userdata around it; `make` pushes the metatable the first time.
fn wrap(state: State<'_>, key: &'static Key, make: fn(State<'_>)) {
    state.get_or_make(key, make);
    state.pop(1);
    state.wrap_table(key);
}

/// Pushes a metatable with these methods.
fn push_metatable(state: State<'_>, name: &str, methods: fn(State<'_>)) {
    state.push_table(0, 4);
    state.push_table(0, 8);
    methods(state);
    state.set_field(-2, "__index");
    state.push_str(name);
    state.set_field(-2, "__name");
    state.push_bool(false);
    state.set_field(-2, "__metatable");
}

// Calls.

/// `call(function, ...)`, or the method of an executor.
fn call(state: State<'_>, again: bool, method: bool) -> Outcome {
    if again {
        return deliver(state);
    }
    match begin(state, method)? {
        Ok((_, call)) => run(state, call, give),
        Err(error) => failed(state, &error),
    }
}

fn give(state: State<'_>, result: Result<Value>) -> Outcome {
    match result {
        Ok(value) => {
            convert::push(state, &value);
            Ok(Answer::Values(1))
        }
        Err(error) => failed(state, &error),
    }
}

/// Starts the call that the arguments describe.
fn begin(state: State<'_>, method: bool) -> Result<Result<(EntryId, FunctionCall)>, Raised> {
    let first = if method { 2 } else { 1 };
    if method && !state.get_wrapped(1, &EXECUTOR) {
        return Err(misuse(state, "call it on an executor, as funcs.new():call(function, ...)"));
    }
    let executor = method.then(|| state.top());
    let last = state.top() - c_int::from(method);
    Ok(describe(state, first, last, executor).map(|(function, args, context)| {
        let call = state.core().context.call(function.clone(), args, context);
        (function, call)
    }))
}

fn describe(
    state: State<'_>,
    first: c_int,
    last: c_int,
    executor: Option<c_int>,
) -> Result<(EntryId, Vec<Value>, Context)> {
    let own = &state.core().context;
    let expected = "expected the ID of a function";
    let name = match state.to_str(first) {
        Some(name) => name,
        None => {
            let found = if first > last { "no value" } else { state.type_name(first) };
            return Err(Error::invalid(format!("{expected}, got {found}")));
        }
    };
    let function = EntryId::parse_in(own.entry().namespace(), name)
        .map_err(|error| Error::invalid(format!("{expected}: {error}")))?;
    let mut budget = convert::Budget::new(state);
    let args = (first + 1..=last)
        .map(|index| {
            let what = format_args!("argument {}", index - first);
            convert::to_value_within(state, index, what, &mut budget)
        })
        .collect::<Result<_>>()?;
    let context = match executor {
        Some(executor) => context_of(state, executor)?,
        None => own.context().clone(),
    };
    Ok((function, args, context))
}

// Futures.

/// `async(function, ...)`, or the method of an executor.
fn start_future(state: State<'_>, method: bool) -> Outcome {
    let (function, mut call) = match begin(state, method)? {
        Ok(begun) => begun,
        Err(error) => return failed(state, &error),
    };
    // What is refused is known at once.
    let mut poller = Poller::from_waker(Waker::noop());
    if let Poll::Ready(Err(error)) = Pin::new(&mut call).poll(&mut poller) {
        return failed(state, &error);
    }
    let number = state.core().calls.borrow_mut().add(call);
    state.push_table(6, 0);
    state.push_integer(number);
    state.set_position(-2, NUMBER);
    state.push_str(function.as_str());
    state.set_position(-2, FUNCTION);
    state.get_or_make(&UNDER_WAY, |state| state.push_table(0, 0));
    state.push_copy(-2);
    state.set_position(-2, number);
    state.pop(1);
    wrap(state, &FUTURE, make_future);
    Ok(Answer::Values(1))
}

fn make_future(state: State<'_>) {
    push_metatable(state, "future", |state| {
        state.set_functions(&[
            ("channel", host_fn(|s, _| future_channel(s, "channel"))),
            ("response", host_fn(|s, _| future_channel(s, "response"))),
            (
                "is_complete",
                host_fn(|s, _| {
                    let under_way = future_position(s, "is_complete", NUMBER)? != Type::Nil;
                    s.push_bool(!under_way);
                    Ok(Answer::Values(1))
                }),
            ),
            (
                "is_canceled",
                host_fn(|s, _| {
                    let canceled = future_position(s, "is_canceled", CANCELED)? != Type::Nil;
                    s.push_bool(canceled);
                    Ok(Answer::Values(1))
                }),
            ),
            (
                "result",
                host_fn(|s, _| {
                    future_position(s, "result", VALUE)?;
                    future_position(s, "result", ERROR)?;
                    // Below each of them is the future's table.
                    s.push_copy(-3);
                    s.push_copy(-2);
                    Ok(Answer::Values(2))
                }),
            ),
            (
                "error",
                host_fn(|s, _| {
                    future_position(s, "error", ERROR)?;
                    Ok(Answer::Values(1))
                }),
            ),
            ("cancel", host_fn(|s, _| cancel(s))),
        ]);
    });
    state.push_function(host_fn(|s, _| {
        future_position(s, "__tostring", FUNCTION)?;
        let shown = format!("future({})", failure::text(s, -1));
        s.push_str(&shown);
        Ok(Answer::Values(1))
    }));
    state.set_field(-2, "__tostring");
}

/// Pushes the table of the future that a method was called on.
fn future(state: State<'_>, method: &str) -> Result<(), Raised> {
    if state.get_wrapped(1, &FUTURE) {
        return Ok(());
    }
    let found = state.type_name(1);
    Err(misuse(state, format_args!("call it on a future, as f:{method}(), not on a {found}")))
}

/// Pushes the table of the future, and what it has at a position.
fn future_position(state: State<'_>, method: &str, position: i64) -> Result<Type, Raised> {
    future(state, method)?;
    Ok(state.get_position(-1, position))
}

/// `channel()`: made at first use, one for each future.
fn future_channel(state: State<'_>, method: &str) -> Outcome {
    future(state, method)?;
    let table = state.top();
    if state.get_position(table, CHANNEL) == Type::Nil {
        state.pop(1);
        channel::push_fed_channel(state);
        state.push_copy(-1);
        state.set_position(table, CHANNEL);
        state.pop(1);
        if state.get_position(table, NUMBER) == Type::Nil {
            feed(state, table);
        }
        state.get_position(table, CHANNEL);
    }
    Ok(Answer::Values(1))
}

/// Gives the channel of a future, if it has one, the result.
fn feed(state: State<'_>, table: c_int) {
    let base = state.top();
    if state.get_position(table, CHANNEL) != Type::Nil {
        let succeeded = state.get_position(table, ERROR) == Type::Nil;
        state.pop(1);
        state.get_position(table, VALUE);
        channel::feed_channel(state, succeeded);
    }
    state.set_top(base);
}

/// `cancel()`: whether the call was under way.
fn cancel(state: State<'_>) -> Outcome {
    future(state, "cancel")?;
    let table = state.top();
    state.get_position(table, NUMBER);
    let number = state.to_exact_integer(-1);
    let ended = number.is_some_and(|number| state.core().calls.borrow_mut().end(number));
    if let (true, Some(number)) = (ended, number) {
        state.push_bool(true);
        state.set_position(table, CANCELED);
        state.get_position(table, FUNCTION);
        let function = failure::text(state, -1);
        let error = Error::new(Kind::Canceled, format!("the call of {function} was cancelled"));
        settle(state, number, Err(error));
    }
    state.push_bool(ended);
    Ok(Answer::Values(1))
}

/// Puts the result of a call that has ended into its future.
pub(crate) fn settle(state: State<'_>, number: i64, result: Result<Value>) {
    let base = state.top();
    state.get_registry(&UNDER_WAY);
    if state.get_position(-1, number) == Type::Table {
        let table = state.top();
        state.push_nil();
        state.set_position(table - 1, number);
        state.push_nil();
        state.set_position(table, NUMBER);
        match result {
            Ok(value) => {
                convert::push(state, &value);
                state.set_position(table, VALUE);
            }
            Err(error) => {
                failure::push(state, &error);
                state.set_position(table, ERROR);
            }
        }
        feed(state, table);
    }
    state.set_top(base);
}

// Executors.

fn make_executor(state: State<'_>) {
    push_metatable(state, "executor", |state| {
        state.set_functions(&[
            ("call", host_fn(|s, again| call(s, again, true))),
            ("async", host_fn(|s, _| start_future(s, true))),
            ("with_context", host_fn(|s, _| with_context(s))),
            ("with_options", host_fn(|s, _| with_options(s))),
            ("with_actor", host_fn(|s, _| with_part(s, "with_actor", ACTOR))),
            ("with_scope", host_fn(|s, _| with_part(s, "with_scope", SCOPE))),
        ]);
    });
}

/// Pushes a copy of the table of the executor that a method was called on.
fn copy_executor(state: State<'_>, method: &str) -> Result<(), Raised> {
    // What was left out is nil, and not what comes next.
    state.set_top(2);
    if !state.get_wrapped(1, &EXECUTOR) {
        let found = state.type_name(1);
        return Err(misuse(
            state,
            format_args!("call it on an executor, as funcs.new():{method}(...), not on a {found}"),
        ));
    }
    state.push_table(4, 0);
    for position in [VALUES, TIMEOUT, ACTOR, SCOPE] {
        state.get_position(-2, position);
        state.set_position(-2, position);
    }
    Ok(())
}

/// `with_context(values)`: an executor that adds these to the context's values. They are
/// copied, so that changing the table later changes nothing.
fn with_context(state: State<'_>) -> Outcome {
    copy_executor(state, "with_context")?;
    let more = map_from(state, 2, "with_context").map_err(|error| misuse(state, error))?;
    let mut values = values_of(state, state.top()).map_err(|error| misuse(state, error))?;
    values.extend(more);
    convert::push(state, &Value::Map(values));
    state.set_position(-2, VALUES);
    wrap(state, &EXECUTOR, make_executor);
    Ok(Answer::Values(1))
}

/// The values that an executor's table adds.
fn values_of(state: State<'_>, executor: c_int) -> Result<Map> {
    state.get_position(executor, VALUES);
    let values = map_from(state, state.top(), "the context");
    state.pop(1);
    values
}

/// `with_actor(actor)` and `with_scope(scope)`. Whether this process may hand it on is
/// decided when something is called.
fn with_part(state: State<'_>, method: &str, position: i64) -> Outcome {
    copy_executor(state, method)?;
    let fits = match position {
        ACTOR => actor_from(state, 2).map(drop),
        _ => scope_from(state, 2).map(drop),
    };
    fits.map_err(|error| misuse(state, error))?;
    state.push_copy(2);
    state.set_position(-2, position);
    wrap(state, &EXECUTOR, make_executor);
    Ok(Answer::Values(1))
}

/// `with_options{ timeout = }`: an executor whose calls end after so long.
fn with_options(state: State<'_>) -> Outcome {
    copy_executor(state, "with_options")?;
    let executor = state.top();
    if state.type_of(2) != Type::Table {
        let found = state.type_name(2);
        return Err(misuse(state, format_args!("with_options takes a table, not a {found}")));
    }
    state.push_nil();
    while state.next(2) {
        if state.to_str(-2) != Some("timeout") {
            let name = failure::text(state, -2);
            return Err(misuse(
                state,
                format_args!("with_options: there is no option \"{name}\"; options: timeout"),
            ));
        }
        let ns = match duration::get(state, -1) {
            Ok(ns) if ns > 0 => ns,
            Ok(_) => return Err(misuse(state, "with_options: timeout must be above zero")),
            Err(error) => return Err(misuse(state, error.context("with_options: timeout"))),
        };
        state.push_integer(ns);
        state.set_position(executor, TIMEOUT);
        state.pop(1);
    }
    wrap(state, &EXECUTOR, make_executor);
    Ok(Answer::Values(1))
}

/// The context of this process or function, changed as the executor's table says.
fn context_of(state: State<'_>, executor: c_int) -> Result<Context> {
    let top = state.top();
    let change = (|| {
        let mut change = Change { values: values_of(state, executor)?, ..Change::default() };
        if state.get_position(executor, ACTOR) != Type::Nil {
            change.actor = Some(actor_from(state, state.top())?);
        }
        if state.get_position(executor, SCOPE) != Type::Nil {
            change.scope = Some(scope_from(state, state.top())?);
        }
        if state.get_position(executor, TIMEOUT) != Type::Nil {
            let ns = state.to_exact_integer(-1).and_then(|ns| u64::try_from(ns).ok());
            change.timeout = ns.map(Duration::from_nanos);
        }
        Ok(change)
    })();
    state.set_top(top);
    change.and_then(|change| change.context(state))
}
