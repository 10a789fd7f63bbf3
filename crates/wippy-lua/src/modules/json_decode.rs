//! `json.decode`: from a text straight to values on the Lua stack, so that what it makes
//! counts as the script's memory from the first table on, and piece by piece, so that a
//! long text gives way like a busy script.
//!
//! It knows the structure; strings with escapes and numbers out of the ordinary are read by
//! serde_json, which also words the error where the text is no JSON.

use serde::de::IgnoredAny;
use wippy_model::{Error, Kind, Value};

use crate::convert;
use crate::host_fn::{Answer, Outcome, failed};
use crate::state::{State, Type};

/// The text, and where the reader stands while it is suspended; containers follow.
const TEXT: i32 = 1;
const READER: i32 = 2;

/// As deep as serde_json reads, and the last value in it.
const DEPTH_MAX: usize = 127;

/// Values between two looks at the clock and the heap.
const LOOK_VALUES: u32 = 256;

/// Where the reader stands. Plain data, so that it can lie on the Lua stack.
#[derive(Clone, Copy)]
struct Reader {
    at: usize,
    depth: usize,
    /// For each open container the number of its next position, or [`MAP`].
    counts: [i64; DEPTH_MAX],
    next: Next,
}

const MAP: i64 = 0;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A value.
    Value,
    /// A value, or the end of the list that has just begun.
    First,
    /// A key, or the end of the map that has just begun.
    FirstKey,
    Key,
    /// A comma, or the end of the container.
    More,
}

/// Why reading stopped.
enum Stop {
    Done,
    GiveWay,
    NoJson,
    NoMemory,
    /// The Lua stack is full.
    NoStack,
    /// The process is to end, and cannot be suspended; the hook ends it.
    Ending,
}

pub(crate) fn decode(state: State<'_>, again: bool) -> Outcome {
    if again {
        return match state.to_block::<Reader>(READER) {
            Some(reader) => go_on(state, reader),
            None => failed(state, &Error::internal("json.decode lost its place")),
        };
    }
    let bytes_max = state.core().program.limits.host_buffer_bytes;
    if state.type_of(TEXT) == Type::String && state.raw_len(TEXT) as u64 > bytes_max {
        let message = format!(
            "json.decode: the text is larger than {bytes_max} bytes (limits.host_buffer_bytes)"
        );
        return failed(state, &Error::new(Kind::ResourceExhausted, message));
    }
    match state.to_long_str(TEXT) {
        Some(_) => {
            state.set_top(TEXT);
            state.push_nil();
            let counts = [MAP; DEPTH_MAX];
            go_on(state, Reader { at: 0, depth: 0, counts, next: Next::Value })
        }
        None => failed(
            state,
            &Error::invalid(format!(
                "json.decode takes a text in UTF-8, got a {}",
                if state.type_of(TEXT) == Type::String { "string" } else { state.type_name(TEXT) }
            )),
        ),
    }
}

fn go_on(state: State<'_>, mut reader: Reader) -> Outcome {
    // It was found to be UTF-8 when it began.
    let text = state.to_bytes(TEXT).unwrap_or_default();
    match reader.read(state, text) {
        Stop::Done => Ok(Answer::Values(1)),
        Stop::GiveWay => {
            state.push_block(reader);
            state.replace(READER);
            Ok(Answer::GiveWay)
        }
        // What was read is garbage now: the memory's limit is not met for good.
        Stop::NoMemory => stopped(
            state,
            Kind::ResourceExhausted,
            "the value does not fit the memory (limits.memory_bytes)",
        ),
        Stop::NoStack => stopped(state, Kind::ResourceExhausted, "the Lua stack is full"),
        Stop::Ending => stopped(state, Kind::Canceled, "the process is to end"),
        Stop::NoJson => {
            state.set_top(READER);
            failed(state, &what_is_wrong(text, &reader))
        }
    }
}

fn stopped(state: State<'_>, kind: Kind, why: &str) -> Outcome {
    state.set_top(READER);
    failed(state, &Error::new(kind, format!("json.decode: {why}")))
}

/// serde_json's words, or ours for what is well-formed and no value.
fn what_is_wrong(text: &[u8], reader: &Reader) -> Error {
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(text) {
        return Error::invalid(format!("this is no JSON: {error}"));
    }
    let what = if reader.depth >= DEPTH_MAX {
        "recursion limit exceeded"
    } else {
        "a string or number that cannot be read"
    };
    let before = text.get(..reader.at).unwrap_or(text);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
    Error::invalid(format!("this is no JSON: {what} at line {line} column {column}"))
}

impl Reader {
    fn read(&mut self, state: State<'_>, text: &[u8]) -> Stop {
        let core = state.core();
        let mut left = LOOK_VALUES;
        loop {
            left -= 1;
            if left == 0 {
                left = LOOK_VALUES;
                if core.heap.is_over() && !state.collect_until_fits() {
                    return Stop::NoMemory;
                }
                let ending = core.is_done_for();
                if (ending || core.context.slice_is_over()) && state.can_wait() {
                    return Stop::GiveWay;
                }
                if ending {
                    return Stop::Ending;
                }
            }
            let Some(byte) = self.skip_space(text) else {
                return if self.is_done() { Stop::Done } else { Stop::NoJson };
            };
            if self.is_done() {
                return Stop::NoJson;
            }
            let opens = matches!((self.next, byte), (Next::Value | Next::First, b'{' | b'['));
            if opens && !state.reserve(4) {
                return Stop::NoStack;
            }
            let read = match (self.next, byte) {
                (Next::Value | Next::First, b'{' | b'[') => self.open(state, byte == b'['),
                (Next::First, b']') | (Next::FirstKey, b'}') => self.close(state),
                (Next::Value | Next::First, b'"') => self.string(state, text) && self.store(state),
                (Next::Value | Next::First, _) => self.scalar(state, text) && self.store(state),
                (Next::FirstKey | Next::Key, b'"') => self.key(state, text),
                (Next::More, b',') => {
                    self.at += 1;
                    self.next = if self.in_map() { Next::Key } else { Next::Value };
                    true
                }
                (Next::More, b'}') if self.in_map() => self.close(state),
                (Next::More, b']') if !self.in_map() => self.close(state),
                _ => false,
            };
            if !read {
                return Stop::NoJson;
            }
        }
    }

    /// Whether the one value of the text has been read.
    fn is_done(&self) -> bool {
        self.depth == 0 && self.next == Next::More
    }

    fn in_map(&self) -> bool {
        self.depth.checked_sub(1).and_then(|at| self.counts.get(at)) == Some(&MAP)
    }

    fn skip_space(&mut self, text: &[u8]) -> Option<u8> {
        let rest = text.get(self.at..)?;
        let space = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))?;
        self.at += space;
        rest.get(space).copied()
    }

    fn open(&mut self, state: State<'_>, list: bool) -> bool {
        let Some(count) = self.counts.get_mut(self.depth) else { return false };
        *count = if list { 1 } else { MAP };
        self.depth += 1;
        self.at += 1;
        self.next = if list { Next::First } else { Next::FirstKey };
        state.push_table(0, 0);
        true
    }

    fn close(&mut self, state: State<'_>) -> bool {
        self.at += 1;
        self.depth -= 1;
        self.store(state)
    }

    /// Puts the value on top into the container below it.
    fn store(&mut self, state: State<'_>) -> bool {
        self.next = Next::More;
        let Some(at) = self.depth.checked_sub(1) else { return true };
        match self.counts.get_mut(at) {
            Some(&mut MAP) => state.set_raw(-3),
            Some(position) => {
                state.set_position(-2, *position);
                *position += 1;
            }
            None => return false,
        }
        true
    }

    fn key(&mut self, state: State<'_>, text: &[u8]) -> bool {
        if !self.string(state, text) || self.skip_space(text) != Some(b':') {
            return false;
        }
        self.at += 1;
        self.next = Next::Value;
        true
    }

    /// Reads the string that begins here.
    fn string(&mut self, state: State<'_>, text: &[u8]) -> bool {
        let rest = text.get(self.at..).unwrap_or_default();
        let (mut end, mut plain) = (1, true);
        loop {
            let after = rest.get(end..).unwrap_or_default();
            match memchr::memchr2(b'"', b'\\', after) {
                None => return false,
                Some(found) if after.get(found) == Some(&b'"') => {
                    end += found;
                    break;
                }
                Some(found) => {
                    plain = false;
                    end += found + 2;
                }
            }
        }
        self.at += end + 1;
        let inner = rest.get(1..end).unwrap_or_default();
        if plain && inner.iter().all(|byte| *byte >= b' ') {
            state.push_bytes(inner);
            return true;
        }
        let token = rest.get(..=end).unwrap_or_default();
        serde_json::from_slice::<String>(token).map(|text| state.push_str(&text)).is_ok()
    }

    /// Reads a number, `true`, `false` or `null`.
    fn scalar(&mut self, state: State<'_>, text: &[u8]) -> bool {
        let rest = text.get(self.at..).unwrap_or_default();
        let is_end = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
        let token = rest.get(..rest.iter().position(is_end).unwrap_or(rest.len()));
        let token = token.unwrap_or_default();
        self.at += token.len();
        match token {
            b"true" => state.push_bool(true),
            b"false" => state.push_bool(false),
            b"null" => convert::push_null(state),
            [b'1'..=b'9', more @ ..] if more.len() < 18 && more.iter().all(u8::is_ascii_digit) => {
                let digits = token.iter().map(|digit| i64::from(digit - b'0'));
                state.push_integer(digits.fold(0, |number, digit| number * 10 + digit));
            }
            _ => match serde_json::from_slice(token).map(Value::from_json) {
                Ok(value @ (Value::Int(_) | Value::UInt(_) | Value::Float(_))) => {
                    convert::push(state, &value);
                }
                _ => return false,
            },
        }
        state.type_of(-1) != Type::None
    }
}
