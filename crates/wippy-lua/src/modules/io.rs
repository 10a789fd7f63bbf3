//! `io`: the terminal's streams, on a terminal host alone.
//!
//! `io.write(...)`, `io.read(format)` with `"l"`, `"L"`, `"n"`, `"a"` or a number of bytes
//! (one format), `io.lines()`, `io.stdout:write(...)`, `io.stderr:write(...)`,
//! `io.stdin:read(format)`, `io.stdin:lines()`. Reading waits without holding a worker, and so
//! does writing where the reader does not keep up.
//!
//! On a process host `io` is a table whose use is an error that says so. What was read and
//! not asked for yet is kept for the next read; a line may have `host_buffer_bytes`.

use std::sync::Arc;

use parking_lot::Mutex;
use wippy_host::{Stream, Terminal};
use wippy_model::{Error, Kind, Result, Value};

use crate::convert;
use crate::failure::text;
use crate::host_fn::{Answer, Outcome, failed, host_fn, misuse};
use crate::state::{State, Type};
use crate::work::{deliver, run};

const CHUNK_BYTES: usize = 64 << 10;

/// Bytes written between two looks at the clock.
const LOOK_BYTES: usize = 256 << 10;

/// What a read asks for.
#[derive(Clone, Copy)]
enum Format {
    Line { keep_end: bool },
    Number,
    All,
    Bytes(usize),
}

pub(crate) fn open(state: State<'_>) {
    if state.core().output.borrow().terminal().is_none() {
        state.push_table(0, 0);
        state.push_table(0, 1);
        state.push_function(host_fn(|s, _| {
            let id = &s.core().program.id;
            let host = &s.core().context.host().id;
            let message = format!(
                "`io` needs a terminal, and {id} runs on the process host {host}: spawn it on a \
                 terminal.host, or use print, which writes to the log"
            );
            Err(misuse(s, message))
        }));
        state.set_field(-2, "__index");
        state.set_metatable(-2);
        return;
    }
    state.push_table(0, 6);
    state.set_functions(&[
        ("write", host_fn(|s, again| write(s, again, Stream::Stdout, Then::True))),
        ("read", host_fn(|s, again| read(s, again, 1))),
        ("lines", host_fn(|s, _| lines(s))),
    ]);
    for (name, stream) in [("stdout", Stream::Stdout), ("stderr", Stream::Stderr)] {
        state.push_table(0, 2);
        let write_fn = match stream {
            Stream::Stdout => host_fn(|s, again| write(s, again, Stream::Stdout, Then::TheStream)),
            Stream::Stderr => host_fn(|s, again| write(s, again, Stream::Stderr, Then::TheStream)),
        };
        state.set_functions(&[
            ("write", write_fn),
            ("flush", host_fn(|_, _| Ok(Answer::Values(0)))),
        ]);
        state.set_field(-2, name);
    }
    state.push_table(0, 2);
    state.set_functions(&[
        ("read", host_fn(|s, again| read(s, again, 2))),
        ("lines", host_fn(|s, _| lines(s))),
    ]);
    state.set_field(-2, "stdin");
}

/// What is left to write, of the arguments of a call.
pub(crate) struct Writing {
    stream: Stream,
    /// The argument under way, the last one, and how much of it is written.
    index: i32,
    last: i32,
    written: usize,
    then: Then,
}

/// What the call gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Nothing, also where nobody reads any more.
    Nothing,
    True,
    TheStream,
}

impl Writing {
    /// A line on top of the stack, for `print`.
    pub(crate) fn line(state: State<'_>) -> Self {
        let top = state.top();
        Self { stream: Stream::Stdout, index: top, last: top, written: 0, then: Then::Nothing }
    }
}

fn write(state: State<'_>, again: bool, stream: Stream, then: Then) -> Outcome {
    if again {
        return deliver(state);
    }
    let first = if then == Then::TheStream { 2 } else { 1 };
    for index in first..=state.top() {
        if !matches!(state.type_of(index), Type::String | Type::Number) {
            return Err(misuse(
                state,
                format_args!("write takes texts and numbers, got a {}", state.type_name(index)),
            ));
        }
    }
    write_on(state, Writing { stream, index: first, last: state.top(), written: 0, then })
}

/// Writes as much as the stream takes; waits while it takes nothing, and gives way now and
/// then. What is longer than a stream takes at once may be mixed with others' output.
pub(crate) fn write_on(state: State<'_>, mut writing: Writing) -> Outcome {
    let core = state.core();
    let mut error = None;
    let mut since_look = 0;
    // One by one: together they may be a text many times over, which no limit counts.
    while writing.index <= writing.last && error.is_none() {
        let number;
        let bytes = match state.to_bytes(writing.index) {
            Some(bytes) => bytes,
            None => {
                number = text(state, writing.index);
                number.as_bytes()
            }
        };
        let rest = bytes.get(writing.written..).unwrap_or_default();
        if rest.is_empty() {
            writing.index += 1;
            writing.written = 0;
            continue;
        }
        let room = core.output.borrow().room(writing.stream);
        // Not borrowed while this waits: where there is room by then, it writes on at once.
        let terminal = match room {
            0 => core.output.borrow().terminal().cloned(),
            _ => None,
        };
        if let Some(terminal) = terminal {
            let wait = async move {
                terminal.writable(writing.stream).await;
                writing
            };
            return run(state, wait, write_on);
        }
        if since_look > LOOK_BYTES && core.context.slice_is_over() && state.can_wait() {
            let give_way = async move {
                tokio::task::yield_now().await;
                writing
            };
            return run(state, give_way, write_on);
        }
        let piece = rest.get(..room.min(rest.len())).unwrap_or_default();
        error = core.output.borrow_mut().write(writing.stream, piece).err();
        writing.written += piece.len();
        since_look += piece.len();
    }
    match (error, writing.then) {
        (_, Then::Nothing) => return Ok(Answer::Values(0)),
        (Some(error), _) => {
            return failed(state, &Error::unavailable(format!("cannot write: {error}")));
        }
        (None, Then::True) => state.push_bool(true),
        (None, Then::TheStream) => state.push_copy(1),
    }
    Ok(Answer::Values(1))
}

/// Bytes that were read and that nobody has asked for yet.
pub(crate) type Input = Arc<Mutex<Vec<u8>>>;

fn format(state: State<'_>, index: i32) -> Option<Format> {
    if state.is_absent(index) {
        return Some(Format::Line { keep_end: false });
    }
    if let Some(count) = state.to_integer(index) {
        return usize::try_from(count).ok().map(Format::Bytes);
    }
    match state.to_str(index)?.trim_start_matches('*') {
        "l" => Some(Format::Line { keep_end: false }),
        "L" => Some(Format::Line { keep_end: true }),
        "n" => Some(Format::Number),
        "a" => Some(Format::All),
        _ => None,
    }
}

/// `read(format)`: a text or number, nil at the end of the input, or `nil, err`.
fn read(state: State<'_>, again: bool, index: i32) -> Outcome {
    if again {
        return deliver(state);
    }
    let Some(format) = format(state, index) else {
        return Err(misuse(state, "read takes \"l\", \"L\", \"n\", \"a\" or a number of bytes"));
    };
    let core = state.core();
    let Some(terminal) = core.output.borrow().terminal().cloned() else {
        return failed(state, &Error::unavailable("there is no terminal"));
    };
    let bytes_max = usize::try_from(core.program.limits.host_buffer_bytes).unwrap_or(usize::MAX);
    let work = read_format(terminal, core.input.clone(), format, bytes_max);
    run(state, work, |state, read| match read {
        Ok(value) => {
            convert::push(state, &value);
            Ok(Answer::Values(1))
        }
        Err(error) => failed(state, &error),
    })
}

/// Reads chunks until what is asked for is there, or the input ends.
async fn read_format(
    terminal: Arc<Terminal>,
    input: Input,
    format: Format,
    bytes_max: usize,
) -> Result<Value> {
    let mut ended = false;
    loop {
        if let Some(value) = take(&mut input.lock(), format, ended) {
            return Ok(value);
        }
        if ended {
            return Ok(Value::Nil);
        }
        if input.lock().len() >= bytes_max {
            return Err(Error::new(
                Kind::ResourceExhausted,
                format!("a read holds at most {bytes_max} bytes (limits.host_buffer_bytes)"),
            ));
        }
        let chunk = terminal
            .read(CHUNK_BYTES)
            .await
            .map_err(|error| Error::unavailable(format!("cannot read stdin: {error}")))?;
        ended = chunk.is_empty();
        input.lock().extend_from_slice(&chunk);
    }
}

/// Takes what is asked for off the front, if it is there whole.
fn take(input: &mut Vec<u8>, format: Format, ended: bool) -> Option<Value> {
    match format {
        Format::Bytes(0) => Some(Value::from("")),
        Format::Bytes(count) => {
            let there = !input.is_empty() && (ended || input.len() >= count);
            there.then(|| Value::Bytes(input.drain(..count.min(input.len())).collect()))
        }
        Format::All if ended => Some(Value::Bytes(std::mem::take(input))),
        Format::All => None,
        Format::Line { keep_end } => {
            let end = input.iter().position(|byte| *byte == b'\n');
            match end {
                Some(end) => {
                    let mut line: Vec<u8> = input.drain(..=end).collect();
                    if !keep_end {
                        line.pop();
                    }
                    Some(Value::Bytes(line))
                }
                None if ended && !input.is_empty() => Some(Value::Bytes(std::mem::take(input))),
                None => None,
            }
        }
        Format::Number => {
            let start = input.iter().position(|byte| !byte.is_ascii_whitespace())?;
            let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
            let len = input.iter().skip(start).position(|byte| !is_part(byte));
            let end = match len {
                Some(len) => start + len,
                None if ended => input.len(),
                None => return None,
            };
            let token: Vec<u8> = input.drain(..end).skip(start).collect();
            let token = String::from_utf8_lossy(&token);
            Some(match (token.parse::<i64>(), token.parse::<f64>()) {
                (Ok(integer), _) => Value::Int(integer),
                (_, Ok(float)) => Value::Float(float),
                _ => Value::Nil,
            })
        }
    }
}

fn lines(state: State<'_>) -> Outcome {
    state.push_function(host_fn(|s, again| {
        // An iterator is called with a state and a control value.
        if !again {
            s.set_top(0);
        }
        read(s, again, 1)
    }));
    Ok(Answer::Values(1))
}
