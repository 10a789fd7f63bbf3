//! How a guest ended: from wasmtime's error to the one exit.

use std::io;
use std::sync::Arc;

use wasmtime::component::ResourceTableError;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::FieldMapError;
use wippy_model::{Error, Exit, Kind, Limit, Stack, StackTrace, Value};

use crate::binary::Binary;
use crate::guest::Guest;
use crate::lines;
use crate::link::Ungranted;
use crate::slab::{self, NoRoom};

/// The preemption check found that the process shall end.
#[derive(Debug, thiserror::Error)]
#[error("terminated")]
pub(crate) struct Terminated;

/// A guest of WASI 0.3 has more tasks, streams and futures than the host keeps for it.
#[derive(Debug, thiserror::Error)]
#[error("more than {max} tasks, streams and futures at once")]
pub(crate) struct TooManyTasks {
    pub(crate) max: u64,
}

/// The guest wanted more of the host than a limit allows; the text says what.
#[derive(Debug, thiserror::Error)]
#[error("{text} (limits.{})", .limit.field())]
pub(crate) struct LimitReached {
    pub(crate) limit: Limit,
    pub(crate) text: String,
}

/// A guest's backtrace, unread.
struct Backtrace {
    error: wasmtime::Error,
    binary: Arc<Binary>,
}

/// The exit of a guest whose call or instantiation gave `error`.
pub(crate) fn exit(error: wasmtime::Error, guest: &Guest, binary: &Arc<Binary>) -> Exit {
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return match code {
            0 => Exit::Normal(Value::Nil),
            code => Exit::Code(*code),
        };
    }
    if error.is::<Terminated>() {
        return Exit::Terminated;
    }
    let id = guest.process.entry();
    if let Some(ungranted) = error.downcast_ref::<Ungranted>() {
        let message = ungranted.to_string();
        let stack = stack(error, binary);
        return Exit::Trap(Error::new(Kind::PermissionDenied, message).with_stack(stack));
    }
    if let Some(reached) = error.downcast_ref::<LimitReached>() {
        let (limit, message) = (reached.limit, format!("{id}: {reached}"));
        let error = Error::new(limit.kind(), message).with_stack(stack(error, binary));
        return Exit::Limit(limit, error);
    }
    if let Some(FieldMapError::TooManyFields | FieldMapError::TotalSizeTooBig) =
        error.downcast_ref()
    {
        let limit = Limit::HostBuffer;
        let message = format!("{id}: one set of HTTP header fields is larger than the host takes");
        let error = Error::new(limit.kind(), message).with_stack(stack(error, binary));
        return Exit::Limit(limit, error);
    }
    if lacks_room(&error) {
        let message =
            format!("{id}: the host has no memory for it at present: {}", error.root_cause());
        return Exit::Failed(Error::unavailable(message).with_stack(stack(error, binary)));
    }
    let trap = error.downcast_ref::<Trap>().copied();
    let limit = match trap {
        None if is_too_much(&error) => Some(Limit::HostBuffer),
        None if is_too_many_instances(&error) => Some(Limit::Instances),
        None if error.is::<TooManyTasks>() => Some(Limit::HostBuffer),
        Some(Trap::StackOverflow) => Some(Limit::Stack),
        // Where an allocation that failed ends: in the instantiation, or in an abort.
        None | Some(Trap::UnreachableCodeReached) => guest.limiter.refused,
        Some(_) => None,
    };
    if let Some(limit) = limit {
        let message = limit_message(limit, &error, guest);
        let limited = Error::new(limit.kind(), format!("{id}: {message}"));
        return Exit::Limit(limit, limited.with_stack(stack(error, binary)));
    }
    let message = match trap {
        Some(trap) => format!("{id} trapped: {}", trap_text(trap)),
        None => format!("{id} trapped: {}", error.root_cause()),
    };
    Exit::Trap(Error::internal(message).with_stack(stack(error, binary)))
}

/// Whether the host had no address space, no map or no place of a pool: nothing that the
/// guest did, and over when others have ended.
fn lacks_room(error: &wasmtime::Error) -> bool {
    error.is::<PoolConcurrencyLimitError>()
        || error.is::<NoRoom>()
        || error.downcast_ref() == Some(&rustix::io::Errno::NOMEM)
        || error.downcast_ref().is_some_and(|error: &io::Error| {
            error.raw_os_error() == Some(rustix::io::Errno::NOMEM.raw_os_error())
        })
        || error.root_cause().to_string().starts_with(slab::NO_ROOM)
}

/// Whether a guest made the host hold more than it may. Of the four, wasmtime has a type for
/// one alone; the others are told by their texts, which tests pin.
fn is_too_much(error: &wasmtime::Error) -> bool {
    if let Some(error) = error.downcast_ref::<ResourceTableError>() {
        return matches!(error, ResourceTableError::Full);
    }
    let text = error.root_cause().to_string();
    text.starts_with("too much data is being copied between the host and the guest")
        || text.ends_with("store handle limit exceeded")
        || text.starts_with("requested len") && text.contains("exceeds limit")
}

/// Whether an instantiation met `instances`; that has no type either.
fn is_too_many_instances(error: &wasmtime::Error) -> bool {
    let text = error.root_cause().to_string();
    text.starts_with("resource limit exceeded: ") && text.contains("count too high")
}

fn limit_message(limit: Limit, error: &wasmtime::Error, guest: &Guest) -> String {
    let limits = guest.limits();
    match limit {
        Limit::Stack => format!(
            "the call stack is exhausted: {} bytes ({})",
            guest.process.host().stack_bytes,
            limit.field()
        ),
        Limit::Memory => {
            format!("out of memory: it may use {} bytes (limits.memory_bytes)", limits.memory_bytes)
        }
        Limit::Table => format!(
            "out of table elements: it may use {} (limits.table_elements)",
            limits.table_elements
        ),
        Limit::HostBuffer => format!(
            "it makes the host hold more than {} bytes (limits.host_buffer_bytes): {}",
            limits.host_buffer_bytes,
            error.root_cause()
        ),
        Limit::Instances => format!(
            "it has more than {} instances, memories or tables (limits.instances)",
            limits.instances
        ),
        other => format!("{}: {}", other.field(), error.root_cause()),
    }
}

fn trap_text(trap: Trap) -> String {
    // wasmtime's texts begin with "wasm trap: ".
    let text = trap.to_string();
    text.strip_prefix("wasm trap: ").map_or(text.clone(), str::to_owned)
}

fn stack(error: wasmtime::Error, binary: &Arc<Binary>) -> Stack {
    Stack::new(Backtrace { error, binary: binary.clone() })
}

impl StackTrace for Backtrace {
    fn render(&self) -> String {
        let Some(backtrace) = self.error.downcast_ref::<WasmBacktrace>() else {
            return String::new();
        };
        let lines = lines::Lines::of(&self.binary);
        let mut text = String::new();
        for (number, frame) in backtrace.frames().iter().enumerate() {
            use std::fmt::Write;
            let name = match frame.func_name() {
                Some(name) => wasmtime_environ_demangle(name),
                None => format!("<function {}>", frame.func_index()),
            };
            let offset = frame.module_offset().unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = write!(text, "{number:>3}: {name}");
            match lines.find(frame.func_index(), frame.func_offset().unwrap_or_default(), offset) {
                Some(place) => {
                    let _ = writeln!(text, "\n       at {place}");
                }
                None => {
                    let _ = writeln!(text, " (offset {offset:#x})");
                }
            }
        }
        text
    }
}

fn wasmtime_environ_demangle(name: &str) -> String {
    rustc_demangle::try_demangle(name)
        .map_or_else(|_| name.to_owned(), |demangled| format!("{demangled:#}"))
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_the_kernel_does_not_have_is_no_trap() {
        let of = |errno: Errno| wasmtime::Error::from(errno).context("mmap failed to reserve");
        assert!(lacks_room(&of(Errno::NOMEM)));
        assert!(!lacks_room(&of(Errno::INVAL)));
        let io = io::Error::from_raw_os_error(Errno::NOMEM.raw_os_error());
        assert!(lacks_room(&wasmtime::Error::from(io).context("mprotect")));
        assert!(!lacks_room(&Trap::MemoryOutOfBounds.into()));
        assert!(!lacks_room(&wasmtime::Error::msg("no memory")));
    }
}
