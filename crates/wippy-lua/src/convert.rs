//! Values to Lua and back.
//!
//! | Lua | value |
//! |---|---|
//! | nil | `Nil` |
//! | `payload.null` | `Null` |
//! | integer, float | `Int`, `Float`, exact |
//! | uint64 | `UInt` |
//! | string | `String`, or `Bytes` where it is not UTF-8 |
//! | table with keys 1 to n | `List`; a hole is `Null` |
//! | table with text keys | `Map` |
//! | empty table | empty `Map` |
//! | error object | `Map` of kind, message, retryable and details |
//! | handle | `Handle` |
//!
//! Access is raw: no metamethod is called. A table that mixes text and integer keys, or
//! whose integer keys leave more holes than values, is a map whose integer keys become text.
//! A key of another type, a function, a thread, a foreign userdata, a cycle and nesting
//! beyond [`Value::DEPTH_MAX`] are errors that name the path. Together the parts of one
//! value, or of all arguments of one call, may have `host_buffer_bytes`, so that a small
//! table that is held many times over does not become a large value. Nor may their tables have much
//! more room than such values need: to find out that a table with room for millions is empty
//! takes milliseconds, and a list may hold it a million times.
//!
//! On the way to Lua, `Nil` inside a list or map is `payload.null` too, because a table
//! cannot hold nil; `Bytes` are a string. So `Value -> Lua -> Value` changes exactly: `Nil`
//! inside to `Null`, `Bytes` that are UTF-8 to `String`, an empty `List` to an empty `Map`.

use std::ffi::{c_int, c_void};
use std::fmt;

use wippy_model::{Error, Kind, Map, Value};

use crate::failure;
use crate::handle;
use crate::state::{Key, State, Type};
use crate::uint;

/// The one value that is `payload.null`.
pub(crate) static NULL: Key = Key::new();

/// Bytes that a value may have for each place in its tables that is looked at. A value has
/// more, wherever it is.
const PLACE_BYTES: u64 = 8;

/// Places beyond that: one table that was large once and is not any more is no reason to
/// refuse. To look at them takes some ten milliseconds.
const PLACES_MIN: u64 = 2 << 20;

/// Tables between two looks at whether the process is to end.
const LOOK_TABLES: u64 = 16;

/// How many more holes than values a list may have.
const HOLES_MIN: i64 = 16;

/// What is wrong with a value, and where. The path grows as the error goes outward.
struct Refused {
    kind: Kind,
    message: String,
    path: Vec<Step>,
}

enum Step {
    Position(i64),
    Field(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => write!(f, "[{position}]"),
            Self::Field(name) if is_name(name) => write!(f, ".{name}"),
            Self::Field(name) => write!(f, "[{name:?}]"),
        }
    }
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().all(plain) && !text.starts_with(|c: char| c.is_ascii_digit()) && !text.is_empty()
}

/// What reading may still use.
pub(crate) struct Budget {
    bytes_left: u64,
    bytes_max: u64,
    /// Tables read so far.
    tables: u64,
    places_left: u64,
}

impl Budget {
    /// What one call of a script may use.
    pub(crate) fn new(state: State<'_>) -> Self {
        let bytes_max = state.core().program.limits.host_buffer_bytes;
        let places_left = bytes_max / PLACE_BYTES + PLACES_MIN;
        Self { bytes_left: bytes_max, bytes_max, tables: 0, places_left }
    }
}

struct Reader<'s, 'b> {
    state: State<'s>,
    /// The tables around the current value.
    around: Vec<*const c_void>,
    budget: &'b mut Budget,
}

/// Reads the value at `index`. `what` names it in errors, such as `argument 1`.
///
/// # Errors
///
/// Of kind `Invalid`, with the path, or `ResourceExhausted`.
pub(crate) fn to_value(
    state: State<'_>,
    index: c_int,
    what: impl fmt::Display,
) -> Result<Value, Error> {
    to_value_within(state, index, what, &mut Budget::new(state))
}

/// As [`to_value`], within what is left of a budget.
///
/// # Errors
///
/// As [`to_value`].
pub(crate) fn to_value_within(
    state: State<'_>,
    index: c_int,
    what: impl fmt::Display,
    budget: &mut Budget,
) -> Result<Value, Error> {
    let mut reader = Reader { state, around: Vec::new(), budget };
    let top = state.top();
    reader.read(state.absolute(index)).map_err(|refused| {
        state.set_top(top);
        let path: String = refused.path.iter().rev().map(ToString::to_string).collect();
        Error::new(refused.kind, format!("{what}{path}: {}", refused.message))
    })
}

/// Reads the value at `index`; a text that says why where it is no value.
pub(crate) fn to_value_or_text(state: State<'_>, index: c_int) -> Value {
    to_value(state, index, "value").unwrap_or_else(|error| Value::from(error.message()))
}

fn number(state: State<'_>, index: c_int) -> Value {
    match state.to_exact_integer(index) {
        Some(integer) => Value::Int(integer),
        None => Value::Float(state.to_number(index).unwrap_or(f64::NAN)),
    }
}

impl Reader<'_, '_> {
    fn read(&mut self, index: c_int) -> Result<Value, Refused> {
        self.spend(size_of::<Value>())?;
        let state = self.state;
        match state.type_of(index) {
            Type::Nil | Type::None => Ok(Value::Nil),
            Type::Bool => Ok(Value::Bool(state.to_bool(index))),
            Type::Number => Ok(number(state, index)),
            Type::String => self.read_string(index),
            Type::Table => self.read_table(index),
            Type::Userdata => self.read_userdata(index),
            Type::Light | Type::Function | Type::Thread => Err(invalid(format!(
                "a {} is no value that can be passed on",
                state.type_name(index)
            ))),
        }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Refused> {
        match self.budget.bytes_left.checked_sub(bytes as u64) {
            Some(left) => {
                self.budget.bytes_left = left;
                Ok(())
            }
            None => Err(Refused {
                kind: Kind::ResourceExhausted,
                message: format!(
                    "the value is larger than {} bytes (limits.host_buffer_bytes)",
                    self.budget.bytes_max
                ),
                path: Vec::new(),
            }),
        }
    }

    /// Counts a table, and refuses where looking through it takes too long or nobody needs it.
    fn look(&mut self, index: c_int) -> Result<(), Refused> {
        let budget = &mut *self.budget;
        budget.tables += 1;
        budget.places_left = match budget.places_left.checked_sub(self.state.places(index)) {
            Some(left) => left,
            None => {
                return Err(invalid(
                    "the tables have room for far more than is in them; copy what they hold \
                     to new ones",
                ));
            }
        };
        if budget.tables.is_multiple_of(LOOK_TABLES) && self.state.core().context.must_end() {
            return Err(invalid("the process is to end"));
        }
        Ok(())
    }

    fn read_string(&mut self, index: c_int) -> Result<Value, Refused> {
        let bytes = self.state.to_bytes(index).unwrap_or_default();
        self.spend(bytes.len())?;
        Ok(match std::str::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(_) => Value::Bytes(bytes.to_vec()),
        })
    }

    fn read_userdata(&mut self, index: c_int) -> Result<Value, Refused> {
        let state = self.state;
        if let Some(number) = uint::get(state, index) {
            return Ok(Value::from(number));
        }
        if is_null(state, index) {
            return Ok(Value::Null);
        }
        if let Some(handle) = handle::get(state, index) {
            return Ok(Value::Handle(handle.clone()));
        }
        Err(invalid("a userdata is no value that can be passed on"))
    }

    fn read_table(&mut self, index: c_int) -> Result<Value, Refused> {
        let state = self.state;
        let table = state.to_pointer(index);
        if self.around.contains(&table) {
            return Err(invalid("the table contains itself"));
        }
        if self.around.len() >= Value::DEPTH_MAX - 1 {
            return Err(invalid(format!("tables nest deeper than {}", Value::DEPTH_MAX)));
        }
        if !state.reserve(8) {
            return Err(invalid("the Lua stack is full"));
        }
        self.look(index)?;
        self.around.push(table);
        let value = if failure::is_error(state, index) {
            self.read_error(index)
        } else {
            match self.list_len(index) {
                Some(len) => self.read_list(index, len),
                None => self.read_map(index),
            }
        };
        self.around.pop();
        value
    }

    /// The length of a table that is a list.
    fn list_len(&self, index: c_int) -> Option<i64> {
        let state = self.state;
        let (mut count, mut max) = (0_i64, 0_i64);
        state.push_nil();
        while state.next(index) {
            state.pop(1);
            match state.to_exact_integer(-1) {
                Some(key) if key >= 1 => {
                    count += 1;
                    max = max.max(key);
                }
                _ => {
                    state.pop(1);
                    return None;
                }
            }
        }
        (count > 0 && max - count <= count.max(HOLES_MIN)).then_some(max)
    }

    fn read_list(&mut self, index: c_int, len: i64) -> Result<Value, Refused> {
        let state = self.state;
        let mut items = Vec::with_capacity(usize::try_from(len).unwrap_or(0).min(4096));
        for position in 1..=len {
            let item = match state.get_position(index, position) {
                Type::Nil => self.spend(size_of::<Value>()).map(|()| Value::Null),
                _ => self.read(state.top()),
            };
            items.push(item.map_err(|refused| refused.at(Step::Position(position)))?);
            state.pop(1);
        }
        Ok(Value::List(items))
    }

    fn read_map(&mut self, index: c_int) -> Result<Value, Refused> {
        let state = self.state;
        let mut map = Map::new();
        state.push_nil();
        while state.next(index) {
            // Before the key is looked at.
            self.spend(24 + state.raw_len(state.top() - 1))?;
            let key = self.read_key(state.top() - 1)?;
            let value = self.read(state.top());
            let value = match value {
                Ok(value) => value,
                Err(refused) => return Err(refused.at(Step::Field(key))),
            };
            if map.contains_key(&key) {
                return Err(invalid("it is there as a text and as a number").at(Step::Field(key)));
            }
            map.insert(key, value);
            state.pop(1);
        }
        Ok(Value::Map(map))
    }

    fn read_key(&self, index: c_int) -> Result<String, Refused> {
        let state = self.state;
        match (state.type_of(index), state.to_exact_integer(index)) {
            (Type::String, _) => match state.to_long_str(index) {
                Some(text) => Ok(text.to_owned()),
                None => Err(invalid("a key of a map must be UTF-8")),
            },
            (_, Some(number)) => Ok(number.to_string()),
            _ => Err(invalid(format!(
                "a {} cannot be the key of a map; use texts or whole numbers",
                state.type_name(index)
            ))),
        }
    }

    fn read_error(&mut self, index: c_int) -> Result<Value, Refused> {
        let mut map = Map::new();
        let fields = [
            ("kind", failure::KIND),
            ("message", failure::MESSAGE),
            ("retryable", failure::RETRYABLE),
            ("details", failure::DETAILS),
        ];
        for (name, position) in fields {
            if self.state.get_position(index, position) != Type::Nil {
                let value = self.read(self.state.top());
                map.insert(name.into(), value.map_err(|r| r.at(Step::Field(name.into())))?);
            }
            self.state.pop(1);
        }
        Ok(Value::Map(map))
    }
}

impl Refused {
    fn at(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }
}

fn invalid(message: impl Into<String>) -> Refused {
    Refused { kind: Kind::Invalid, message: message.into(), path: Vec::new() }
}

/// Pushes `payload.null`.
pub(crate) fn push_null(state: State<'_>) {
    state.get_or_make(&NULL, crate::modules::payload::make_null);
}

/// Whether the value is `payload.null`.
pub(crate) fn is_null(state: State<'_>, index: c_int) -> bool {
    if state.type_of(index) != Type::Userdata {
        return false;
    }
    let value = state.to_pointer(index);
    state.get_registry(&NULL);
    let null = state.to_pointer(-1);
    state.pop(1);
    value == null
}

/// Pushes a value.
pub(crate) fn push(state: State<'_>, value: &Value) {
    push_at(state, value, 0);
}

fn push_at(state: State<'_>, value: &Value, depth: usize) {
    if !state.reserve(4) || depth > Value::DEPTH_MAX {
        // Values that deep are refused wherever they enter the runtime.
        return state.push_nil();
    }
    match value {
        Value::Nil if depth == 0 => state.push_nil(),
        Value::Nil | Value::Null => push_null(state),
        Value::Bool(value) => state.push_bool(*value),
        Value::Int(value) => state.push_integer(*value),
        Value::UInt(value) => uint::push(state, *value),
        Value::Float(value) => state.push_number(*value),
        Value::String(text) => state.push_str(text),
        Value::Bytes(bytes) => state.push_bytes(bytes),
        Value::List(items) => {
            state.push_table(items.len(), 0);
            for (item, position) in items.iter().zip(1..) {
                push_at(state, item, depth + 1);
                state.set_position(-2, position);
            }
        }
        Value::Map(map) => {
            state.push_table(0, map.len());
            for (key, value) in map {
                push_at(state, value, depth + 1);
                state.set_field(-2, key);
            }
        }
        Value::Handle(handle) => handle::push(state, handle.clone()),
    }
}
