//! Why a process ended: exactly one [`Exit`] for each process.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Kind, Pid, Value};

/// Which limit ended a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Limit {
    /// `max_execution_ms`, or the deadline of the context.
    Execution,
    /// `memory_bytes`.
    Memory,
    /// `table_elements`.
    Table,
    /// `instances`.
    Instances,
    /// The WebAssembly or Lua call stack.
    Stack,
    /// `host_buffer_bytes`.
    HostBuffer,
    /// `output_bytes`.
    Output,
}

impl Limit {
    /// The field that sets this limit.
    pub fn field(self) -> &'static str {
        match self {
            Self::Execution => "max_execution_ms",
            Self::Memory => "memory_bytes",
            Self::Table => "table_elements",
            Self::Instances => "instances",
            Self::Stack => "host.stack_bytes",
            Self::HostBuffer => "host_buffer_bytes",
            Self::Output => "output_bytes",
        }
    }

    /// The kind of the error it gives.
    pub fn kind(self) -> Kind {
        match self {
            Self::Execution => Kind::Timeout,
            _ => Kind::ResourceExhausted,
        }
    }
}

/// Why a process ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Exit {
    /// It finished: returned, returned `ok(v)`, or called `exit(0)`.
    Normal(Value),
    /// It returned `err(e)` or a Lua error left it. `details` holds `e`.
    Failed(Error),
    /// The guest trapped. The error's stack is the guest's backtrace.
    Trap(Error),
    /// The guest called `exit(n)` with `n` other than 0.
    Code(i32),
    /// A limit ended it.
    Limit(Limit, Error),
    /// It was asked to end, and its deadline passed or it obeyed.
    Canceled(Option<Box<str>>),
    /// It was ended at once.
    Terminated,
    /// A process it was linked to ended badly.
    Linked(Pid, Error),
    /// It could not begin: hash, method, arguments or environment.
    Config(Error),
    /// The runtime itself failed in this process.
    HostPanic(Box<str>),
    /// There is no such process (any more): what a late monitor hears.
    NoProcess,
    /// The host or node it ran on is gone.
    NodeDown,
}

impl Exit {
    /// The result of a process that ended well.
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Normal(value) => Some(value),
            _ => None,
        }
    }

    /// Whether it ended well.
    pub fn is_normal(&self) -> bool {
        matches!(self, Self::Normal(_))
    }

    /// Whether it ended well, or because somebody wished it.
    pub fn is_expected(&self) -> bool {
        matches!(
            self,
            Self::Normal(_)
                | Self::Canceled(_)
                | Self::Terminated
                | Self::NoProcess
                | Self::NodeDown
        )
    }

    /// The error of a process that did not end well.
    pub fn error(&self) -> Option<Error> {
        Some(match self {
            Self::Normal(_) => return None,
            Self::Failed(error)
            | Self::Trap(error)
            | Self::Limit(_, error)
            | Self::Config(error) => error.clone(),
            Self::Code(code) => Error::internal(format!("the process exited with code {code}"))
                .with_details(Value::map([("code", Value::Int((*code).into()))])),
            Self::Canceled(None) => Error::new(Kind::Canceled, "the process was cancelled"),
            Self::Canceled(Some(reason)) => {
                Error::new(Kind::Canceled, format!("the process was cancelled: {reason}"))
            }
            Self::Terminated => Error::new(Kind::Canceled, "the process was terminated"),
            Self::Linked(from, cause) => {
                let error = Error::internal(format!("the linked process {from} ended: {cause}"))
                    .with_details(Value::map([("from", Value::from(from.to_string()))]));
                match cause.stack() {
                    Some(stack) => error.with_stack(stack.clone()),
                    None => error,
                }
            }
            Self::HostPanic(text) => Error::internal(format!(
                "the runtime failed in this process: {text}; this is a defect of the runtime, \
                 please report it"
            )),
            Self::NoProcess => Error::unavailable("there is no such process (any more)"),
            Self::NodeDown => Error::unavailable("the host or node of the process is gone"),
        })
    }

    /// Whether a supervisor starts the process again. (For [`Exit::Terminated`] this
    /// holds unless the service's owner asked for the end.)
    pub fn restarts(&self) -> bool {
        match self {
            Self::Normal(_) | Self::Canceled(_) | Self::Config(_) => false,
            Self::Failed(error) => error.retryable() != Some(false),
            _ => true,
        }
    }

    /// The word for this exit, as listings and logs show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Normal(_) => "normal",
            Self::Failed(_) => "failed",
            Self::Trap(_) => "trap",
            Self::Code(_) => "code",
            Self::Limit(..) => "limit",
            Self::Canceled(_) => "cancelled",
            Self::Terminated => "terminated",
            Self::Linked(..) => "linked",
            Self::Config(_) => "configuration",
            Self::HostPanic(_) => "host panic",
            Self::NoProcess => "no process",
            Self::NodeDown => "node down",
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.error() {
            None => f.write_str("normal"),
            Some(error) => write!(f, "{}: {error}", self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_exits() {
        let error = || Error::internal("x");
        let pid = Pid::parse("{n@a:b|1.2}").unwrap();
        let rows = [
            (Exit::Normal(Value::Int(1)), None, false),
            (Exit::Failed(error()), Some(Kind::Internal), true),
            (Exit::Failed(error().with_retryable(false)), Some(Kind::Internal), false),
            (Exit::Trap(error()), Some(Kind::Internal), true),
            (Exit::Code(3), Some(Kind::Internal), true),
            (
                Exit::Limit(Limit::Execution, Error::new(Kind::Timeout, "x")),
                Some(Kind::Timeout),
                true,
            ),
            (Exit::Canceled(None), Some(Kind::Canceled), false),
            (Exit::Terminated, Some(Kind::Canceled), true),
            (Exit::Linked(pid, error()), Some(Kind::Internal), true),
            (Exit::Config(Error::invalid("x")), Some(Kind::Invalid), false),
            (Exit::HostPanic("x".into()), Some(Kind::Internal), true),
            (Exit::NoProcess, Some(Kind::Unavailable), true),
            (Exit::NodeDown, Some(Kind::Unavailable), true),
        ];
        for (exit, kind, restarts) in rows {
            assert_eq!(exit.error().map(|error| error.kind()), kind, "{exit}");
            assert_eq!(exit.restarts(), restarts, "{exit}");
        }
        assert_eq!(
            Exit::Code(3).error().unwrap().details(),
            &Value::map([("code", Value::Int(3))])
        );
    }
}
