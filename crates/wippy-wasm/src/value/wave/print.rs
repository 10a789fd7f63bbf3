//! Prints values as WAVE.
//!
//! With a type, the text is one that [`parse`](super::parse) reads back. A value without a
//! type (what a Lua process exits with) prints as the text that looks most like it: maps as
//! records, with keys that are no labels in quotes.

use std::fmt::Write;

use wasm_wave::lex::Keyword;
use wippy_model::Value;

use crate::value::option;
use crate::value::types::Type;

/// Prints a value, of the form that [`lift`](crate::value::lift) makes.
///
/// A part that is not of its type is printed as if it had none.
pub fn print(value: &Value, ty: Option<&Type>) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match ty {
        Some(ty) => typed(&mut text, value, ty),
        None => untyped(&mut text, value),
    };
    text
}

fn typed(out: &mut String, value: &Value, ty: &Type) -> std::fmt::Result {
    match (ty, value) {
        (Type::Option(inner), value) => match option::payload_ref(value, inner) {
            None => out.write_str("none"),
            Some(payload) => {
                out.push_str("some(");
                typed(out, payload, inner)?;
                out.write_char(')')
            }
        },
        (Type::F32, Value::Float(number)) => float(out, *number as f32, number.is_nan()),
        (Type::Char, Value::String(text)) => {
            out.push('\'');
            text.chars().try_for_each(|c| character(out, c))?;
            out.write_char('\'')
        }
        (Type::List(item), Value::List(items)) => {
            surround(out, '[', ']', items, |out, value| typed(out, value, item))
        }
        (Type::Tuple(types), Value::List(items)) if types.len() == items.len() => {
            let both = items.iter().zip(types);
            surround(out, '(', ')', both, |out, (value, ty)| typed(out, value, ty))
        }
        (Type::Record(fields), Value::Map(map)) => {
            let shown: Vec<_> = fields
                .iter()
                .map(|(name, ty)| (name, ty, map.get(name).unwrap_or(&Value::Nil)))
                .filter(|(_, ty, value)| !(ty.is_option() && matches!(value, Value::Nil)))
                .collect();
            if shown.is_empty() {
                return out.write_str("{:}");
            }
            surround(out, '{', '}', shown, |out, (name, ty, value)| {
                write!(out, "{name}: ")?;
                typed(out, value, ty)
            })
        }
        (Type::Variant(_) | Type::Enum(_), Value::String(name)) => label(out, name),
        (Type::Variant(cases), Value::Map(map)) => match map.first() {
            Some((name, payload)) if map.len() == 1 => {
                label(out, name)?;
                let case = cases.iter().find(|(case, _)| case == name);
                match case.and_then(|(_, ty)| ty.as_ref()) {
                    Some(ty) => parenthesised(out, payload, ty),
                    None => Ok(()),
                }
            }
            _ => untyped(out, value),
        },
        (Type::Result(ok, err), Value::Map(map)) => {
            let (name, ty, payload) = match (map.get("ok"), map.get("err")) {
                (Some(payload), _) => ("ok", ok, payload),
                (None, Some(payload)) => ("err", err, payload),
                (None, None) => return untyped(out, value),
            };
            out.push_str(name);
            ty.as_ref().map_or(Ok(()), |ty| parenthesised(out, payload, ty))
        }
        (Type::Flags(_), Value::Map(map)) => {
            let set = map.iter().filter(|(_, on)| **on == Value::Bool(true));
            surround(out, '{', '}', set, |out, (name, _)| out.write_str(name))
        }
        (_, value) => untyped(out, value),
    }
}

fn untyped(out: &mut String, value: &Value) -> std::fmt::Result {
    match value {
        Value::Nil | Value::Null => out.write_str("none"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Int(number) => write!(out, "{number}"),
        Value::UInt(number) => write!(out, "{number}"),
        Value::Float(number) => float(out, *number, number.is_nan()),
        Value::String(text) => {
            out.push('"');
            text.chars().try_for_each(|c| character(out, c))?;
            out.write_char('"')
        }
        Value::Bytes(bytes) => surround(out, '[', ']', bytes, |out, byte| write!(out, "{byte}")),
        Value::List(items) => surround(out, '[', ']', items, untyped),
        Value::Map(map) if map.is_empty() => out.write_str("{:}"),
        Value::Map(map) => surround(out, '{', '}', map, |out, (key, value)| {
            if is_label(key) {
                out.push_str(key);
            } else {
                untyped(out, &Value::from(key.as_str()))?;
            }
            out.push_str(": ");
            untyped(out, value)
        }),
        Value::Handle(handle) => write!(out, "<{}>", handle.name),
    }
}

fn parenthesised(out: &mut String, value: &Value, ty: &Type) -> std::fmt::Result {
    out.push('(');
    typed(out, value, ty)?;
    out.write_char(')')
}

fn surround<T>(
    out: &mut String,
    open: char,
    close: char,
    items: impl IntoIterator<Item = T>,
    mut each: impl FnMut(&mut String, T) -> std::fmt::Result,
) -> std::fmt::Result {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        each(out, item)?;
    }
    out.write_char(close)
}

fn float(out: &mut String, number: impl std::fmt::Display, is_nan: bool) -> std::fmt::Result {
    if is_nan { out.write_str("nan") } else { write!(out, "{number}") }
}

/// A case name; one that is a word of WAVE itself takes a `%`.
fn label(out: &mut String, name: &str) -> std::fmt::Result {
    if Keyword::decode(name).is_some() {
        out.push('%');
    }
    out.write_str(name)
}

fn is_label(key: &str) -> bool {
    key.split('-')
        .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        && key.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// One character of a string. What a terminal would act on is escaped.
fn character(out: &mut String, c: char) -> std::fmt::Result {
    match c {
        '\\' | '"' | '\'' | '\t' | '\r' | '\n' => write!(out, "{}", c.escape_default()),
        ' '..='~' => out.write_char(c),
        _ if c.is_control() => write!(out, "{}", c.escape_unicode()),
        _ => write!(out, "{}", c.escape_debug()),
    }
}
