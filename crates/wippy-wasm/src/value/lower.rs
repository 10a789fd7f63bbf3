//! From a [`Value`] to what wasmtime takes, by type.
//!
//! Everything is checked here: wasmtime's own checks name neither the parameter nor the
//! place in it. The forms that are taken:
//!
//! - whole numbers: integers in range, and numbers without a fraction;
//! - `f32`, `f64`: numbers and integers; what `f32` would turn into infinity is refused;
//! - `string`, `char`: text, and bytes that are UTF-8;
//! - `list<u8>`: text, bytes, or a list of numbers from 0 to 255;
//! - lists and tuples: lists; an empty map is an empty list, as in Lua;
//! - records: maps. A missing `option` field is none. Other keys are ignored, unless one is
//!   a near miss of a missing field: then a misspelt option would vanish silently;
//! - enums: the name or the index, which counts from 0;
//! - flags: a list of names, or a map of names to booleans;
//! - variants and results: a map with the case as its only key; a case without payload also
//!   as its name, or with `true`, nil or null for a payload;
//! - options: see `option.rs`.
//!
//! A name with `_` is taken for the one with `-`.
//!
//! Limits: [`LOWERED_BYTES_MAX`]. Depth is bounded by the type.

use wasmtime::component::Val;
use wippy_model::{Error, Map, Value};

use super::mismatch::{Mismatch, quoted};
use super::signature::{Signature, place};
use super::types::Type;
use super::{near, option};

/// The most memory that the lowered arguments of one call take on the host, in bytes.
///
/// A dynamic value takes forty times the room of a byte, and a record of absent fields
/// grows out of an empty map: without this bound a small value could fill the host. Text
/// and bytes on their own are moved, not converted, and not counted.
pub const LOWERED_BYTES_MAX: usize = 256 << 20;

/// Lowers the arguments of a function.
///
/// # Errors
///
/// Of kind `Invalid`, when the number of arguments is wrong (the error shows the
/// signature), or one does not fit its type (the error names parameter, path and types).
pub fn lower_args(signature: &Signature, args: Vec<Value>) -> Result<Vec<Val>, Error> {
    check_count(signature, &args)?;
    let mut budget = Budget::new();
    let params = signature.params.iter().enumerate();
    params
        .zip(args)
        .map(|((index, (name, ty)), value)| {
            lower_value(value, ty, &mut budget).map_err(|mismatch| mismatch.at(&place(index, name)))
        })
        .collect()
}

/// Lowers one value.
///
/// # Errors
///
/// Of kind `Invalid`, when the value does not fit the type.
pub fn lower(value: Value, ty: &Type) -> Result<Val, Error> {
    lower_value(value, ty, &mut Budget::new()).map_err(|mismatch| mismatch.at(""))
}

pub(super) fn check_count(signature: &Signature, args: &[Value]) -> Result<(), Error> {
    if args.len() == signature.params.len() {
        Ok(())
    } else {
        Err(signature.wrong_count(args.len(), signature.params.len()))
    }
}

/// What is left of [`LOWERED_BYTES_MAX`].
pub(super) struct Budget {
    bytes_left: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { bytes_left: LOWERED_BYTES_MAX }
    }

    /// Takes room for that many values, before they are made.
    fn take_values(&mut self, count: usize) -> Result<(), Mismatch> {
        self.take_bytes(count.saturating_mul(size_of::<Val>()))
    }

    fn take_name(&mut self, name: &str) -> Result<(), Mismatch> {
        self.take_bytes(size_of::<String>() + name.len())
    }

    fn take_bytes(&mut self, bytes: usize) -> Result<(), Mismatch> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or_else(|| {
            let mib = LOWERED_BYTES_MAX >> 20;
            Mismatch::new(format!("too large: the arguments take more than {mib} MiB to pass"))
        })?;
        Ok(())
    }
}

pub(super) fn lower_value(value: Value, ty: &Type, budget: &mut Budget) -> Result<Val, Mismatch> {
    Ok(match ty {
        Type::Bool => match value {
            Value::Bool(value) => Val::Bool(value),
            other => return Err(Mismatch::expected(ty, &other)),
        },
        Type::U8 => Val::U8(whole(&value, ty)?),
        Type::U16 => Val::U16(whole(&value, ty)?),
        Type::U32 => Val::U32(whole(&value, ty)?),
        Type::U64 => Val::U64(whole(&value, ty)?),
        Type::S8 => Val::S8(whole(&value, ty)?),
        Type::S16 => Val::S16(whole(&value, ty)?),
        Type::S32 => Val::S32(whole(&value, ty)?),
        Type::S64 => Val::S64(whole(&value, ty)?),
        Type::I32 => Val::S32(match whole::<i32>(&value, ty) {
            Ok(number) => number,
            Err(mismatch) => whole::<u32>(&value, ty).map_err(|_| mismatch)?.cast_signed(),
        }),
        Type::I64 => Val::S64(match whole::<i64>(&value, ty) {
            Ok(number) => number,
            Err(mismatch) => whole::<u64>(&value, ty).map_err(|_| mismatch)?.cast_signed(),
        }),
        Type::F32 => Val::Float32(single(&value)?),
        Type::F64 => Val::Float64(double(&value, ty)?),
        Type::Char => Val::Char(character(value)?),
        Type::String => Val::String(text(value)?),
        Type::Bytes => {
            let bytes = bytes(value)?;
            budget.take_values(bytes.len())?;
            Val::List(bytes.into_iter().map(Val::U8).collect())
        }
        Type::List(item) => {
            let values = items(value).map_err(|other| Mismatch::expected(ty, &other))?;
            budget.take_values(values.len())?;
            let lowered = values.into_iter().enumerate().map(|(index, value)| {
                lower_value(value, item, budget).map_err(|mismatch| mismatch.in_item(index))
            });
            Val::List(lowered.collect::<Result<_, _>>()?)
        }
        Type::Tuple(types) => Val::Tuple(tuple(value, types, ty, budget)?),
        Type::Record(fields) => Val::Record(record(value, fields, ty, budget)?),
        Type::Variant(cases) => {
            let names = cases.iter().map(|(name, _)| name.as_str());
            let (index, payload) = case(value, names, ty)?;
            let (name, ty) = cases.get(index).ok_or_else(|| Mismatch::new("no such case"))?;
            budget.take_name(name)?;
            Val::Variant(name.clone(), lower_payload(payload, name, ty.as_ref(), budget)?)
        }
        Type::Result(ok, err) => {
            let (index, payload) = case(value, ["ok", "err"].into_iter(), ty)?;
            Val::Result(if index == 0 {
                Ok(lower_payload(payload, "ok", ok.as_deref(), budget)?)
            } else {
                Err(lower_payload(payload, "err", err.as_deref(), budget)?)
            })
        }
        Type::Enum(names) => {
            let name = enum_name(&value, names, ty)?;
            budget.take_name(name)?;
            Val::Enum(name.to_owned())
        }
        Type::Flags(names) => Val::Flags(flags(value, names, ty, budget)?),
        Type::Option(inner) => Val::Option(match option::payload(value, inner) {
            None => None,
            Some(value) => {
                budget.take_values(1)?;
                Some(Box::new(lower_value(value, inner, budget)?))
            }
        }),
        Type::Own | Type::Borrow | Type::Stream(_) | Type::Future(_) | Type::Other(_) => {
            return Err(Mismatch::new(format!("{ty} cannot be passed here")));
        }
    })
}

/// A whole number in the range of `T`.
fn whole<T: TryFrom<i128>>(value: &Value, ty: &Type) -> Result<T, Mismatch> {
    let number = match value {
        Value::Int(number) => i128::from(*number),
        Value::UInt(number) => i128::from(*number),
        // The fraction of what is not finite is NaN. The cast saturates, far out of range.
        Value::Float(number) if number.fract() == 0.0 => *number as i128,
        other => return Err(Mismatch::expected(ty, other)),
    };
    T::try_from(number).map_err(|_| match range(ty) {
        Some((from, to)) => Mismatch::expected(format!("{ty} ({from} to {to})"), value),
        None => Mismatch::expected(ty, value),
    })
}

/// The range that an error shows.
fn range(ty: &Type) -> Option<(i128, i128)> {
    let signed = |bits: u32| (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1);
    let unsigned = |bits: u32| (0, (1_i128 << bits) - 1);
    Some(match ty {
        Type::U8 => unsigned(8),
        Type::U16 => unsigned(16),
        Type::U32 => unsigned(32),
        Type::U64 => unsigned(64),
        Type::S8 => signed(8),
        Type::S16 => signed(16),
        Type::S32 => signed(32),
        Type::S64 => signed(64),
        Type::I32 => (signed(32).0, unsigned(32).1),
        Type::I64 => (signed(64).0, unsigned(64).1),
        _ => return None,
    })
}

fn double(value: &Value, ty: &Type) -> Result<f64, Mismatch> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Int(number) => Ok(*number as f64),
        Value::UInt(number) => Ok(*number as f64),
        other => Err(Mismatch::expected(ty, other)),
    }
}

fn single(value: &Value) -> Result<f32, Mismatch> {
    let wide = double(value, &Type::F32)?;
    let narrow = wide as f32;
    if narrow.is_infinite() && wide.is_finite() {
        return Err(Mismatch::expected(format!("f32 (up to {:e})", f32::MAX), value));
    }
    Ok(narrow)
}

fn character(value: Value) -> Result<char, Mismatch> {
    let expected = |value: &Value| Mismatch::expected("char (a string of one character)", value);
    let text = match value {
        Value::String(text) => text,
        Value::Bytes(bytes) => {
            String::from_utf8(bytes).map_err(|error| expected(&error.into_bytes().into()))?
        }
        other => return Err(expected(&other)),
    };
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(expected(&Value::String(text))),
    }
}

/// The text of a string.
pub(super) fn text(value: Value) -> Result<String, Mismatch> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bytes(bytes) => String::from_utf8(bytes).map_err(|error| {
            Mismatch::new(format!(
                "expected string, got {} bytes that are not UTF-8",
                error.as_bytes().len()
            ))
        }),
        other => Err(Mismatch::expected(&Type::String, &other)),
    }
}

/// The bytes of a `list<u8>`.
pub(super) fn bytes(value: Value) -> Result<Vec<u8>, Mismatch> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        Value::String(text) => Ok(text.into_bytes()),
        other => items(other)
            .map_err(|other| Mismatch::expected(&Type::Bytes, &other))?
            .iter()
            .enumerate()
            .map(|(index, value)| whole(value, &Type::U8).map_err(|m| m.in_item(index)))
            .collect(),
    }
}

/// The items of a list; the value itself when it is none.
fn items(value: Value) -> Result<Vec<Value>, Value> {
    match value {
        Value::List(items) => Ok(items),
        Value::Map(map) if map.is_empty() => Ok(Vec::new()),
        other => Err(other),
    }
}

fn tuple(
    value: Value,
    types: &[Type],
    ty: &Type,
    budget: &mut Budget,
) -> Result<Vec<Val>, Mismatch> {
    let values = items(value).map_err(|other| Mismatch::expected(ty, &other))?;
    if values.len() != types.len() {
        return Err(Mismatch::expected(
            format!("a list of exactly {} for {ty}", types.len()),
            &Value::List(values),
        ));
    }
    budget.take_values(values.len())?;
    let both = values.into_iter().zip(types).enumerate();
    both.map(|(index, (value, ty))| {
        lower_value(value, ty, budget).map_err(|mismatch| mismatch.in_item(index))
    })
    .collect()
}

fn record(
    value: Value,
    fields: &[(String, Type)],
    ty: &Type,
    budget: &mut Budget,
) -> Result<Vec<(String, Val)>, Mismatch> {
    let mut map = match value {
        Value::Map(map) => map,
        Value::List(items) if items.is_empty() => Map::new(),
        other => return Err(Mismatch::expected(ty, &other)),
    };
    let mut missing = Vec::new();
    let mut lowered = Vec::with_capacity(fields.len());
    for (name, ty) in fields {
        budget.take_values(1)?;
        budget.take_name(name)?;
        let value = match take_key(&mut map, name) {
            Some(value) => value,
            None => {
                missing.push((name, ty));
                // What is needed is reported below, after what was perhaps meant for it.
                if !ty.is_option() {
                    continue;
                }
                Value::Nil
            }
        };
        let value = lower_value(value, ty, budget).map_err(|mismatch| mismatch.in_field(name))?;
        lowered.push((name.clone(), value));
    }
    for (name, _) in &missing {
        if let Some(given) = map.keys().find(|given| near::is_near(given, name)) {
            return Err(Mismatch::new(format!(
                "unknown field {}, did you mean \"{name}\"?",
                quoted(given)
            )));
        }
    }
    match missing.iter().find(|(_, ty)| !ty.is_option()) {
        Some((name, ty)) => Err(Mismatch::missing(ty).in_field(name)),
        None => Ok(lowered),
    }
}

/// Takes a field out of a map: by its name, else with `_` for `-`.
fn take_key(map: &mut Map, name: &str) -> Option<Value> {
    map.swap_remove(name).or_else(|| {
        let given = map.keys().position(|given| near::is_same(given, name))?;
        map.swap_remove_index(given).map(|(_, value)| value)
    })
}

/// The case that a value names, and its payload; `None` for a bare name.
fn case<'a>(
    value: Value,
    names: impl Iterator<Item = &'a str> + Clone,
    ty: &Type,
) -> Result<(usize, Option<Value>), Mismatch> {
    let (given, payload) = match value {
        Value::String(name) => (name, None),
        Value::Map(mut map) if map.len() == 1 => match map.pop() {
            Some((name, payload)) => (name, Some(payload)),
            None => return Err(Mismatch::expected(ty, &Value::Map(map))),
        },
        Value::Map(map) if !map.is_empty() => {
            let expected = format!("one case of {ty}");
            return Err(Mismatch::expected(expected, &Value::Map(map)));
        }
        other => return Err(Mismatch::expected(ty, &other)),
    };
    match near::position(&given, names.clone()) {
        Some(index) => Ok((index, payload)),
        None => Err(unknown_name("case", &given, names)),
    }
}

fn lower_payload(
    value: Option<Value>,
    name: &str,
    ty: Option<&Type>,
    budget: &mut Budget,
) -> Result<Option<Box<Val>>, Mismatch> {
    match (value, ty) {
        (Some(value), Some(ty)) => {
            budget.take_values(1)?;
            let lowered = lower_value(value, ty, budget);
            Ok(Some(Box::new(lowered.map_err(|mismatch| mismatch.in_field(name))?)))
        }
        (None, Some(ty)) => {
            Err(Mismatch::new(format!("case \"{name}\" needs a payload: {{{name} = {ty}}}")))
        }
        (None | Some(Value::Nil | Value::Null | Value::Bool(true)), None) => Ok(None),
        (Some(other), None) => {
            let expected = "true, because this case has no payload";
            Err(Mismatch::expected(expected, &other).in_field(name))
        }
    }
}

fn enum_name<'a>(value: &Value, names: &'a [String], ty: &Type) -> Result<&'a str, Mismatch> {
    let index = match value {
        Value::String(given) => {
            let all = names.iter().map(String::as_str);
            near::position(given, all.clone()).ok_or_else(|| unknown_name("case", given, all))?
        }
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => {
            whole::<usize>(value, ty).unwrap_or(usize::MAX)
        }
        other => return Err(Mismatch::expected(ty, other)),
    };
    names.get(index).map(String::as_str).ok_or_else(|| {
        let last = names.len().saturating_sub(1);
        Mismatch::expected(format!("an index from 0 to {last} into {ty}"), value)
    })
}

fn flags(
    value: Value,
    names: &[String],
    ty: &Type,
    budget: &mut Budget,
) -> Result<Vec<String>, Mismatch> {
    let mut set = vec![false; names.len()];
    let mut turn = |given: &str, on: bool| {
        let all = names.iter().map(String::as_str);
        let index =
            near::position(given, all.clone()).ok_or_else(|| unknown_name("flag", given, all))?;
        if let Some(flag) = set.get_mut(index) {
            *flag = on;
        }
        Ok(())
    };
    match value {
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let Value::String(given) = item else {
                    let mismatch = Mismatch::expected("the name of a flag", item);
                    return Err(mismatch.in_item(index));
                };
                turn(given, true).map_err(|mismatch: Mismatch| mismatch.in_item(index))?;
            }
        }
        Value::Map(map) => {
            for (given, on) in &map {
                match on {
                    Value::Bool(on) => turn(given, *on)?,
                    other => return Err(Mismatch::expected(&Type::Bool, other).in_field(given)),
                }
            }
        }
        other => return Err(Mismatch::expected(ty, &other)),
    }
    let set = names.iter().zip(set).filter(|(_, on)| *on);
    set.map(|(name, _)| budget.take_name(name).map(|()| name.clone())).collect()
}

/// The error of a name that a type does not have.
fn unknown_name<'a>(what: &str, given: &str, names: impl Iterator<Item = &'a str>) -> Mismatch {
    const SHOWN_MAX: usize = 12;
    let names: Vec<_> = names.collect();
    let meant = names.iter().find(|name| near::is_near(given, name));
    let hint = match meant {
        Some(name) => format!("did you mean \"{name}\"?"),
        None => {
            let rest = if names.len() > SHOWN_MAX { ", …" } else { "" };
            let shown: Vec<_> = names.iter().take(SHOWN_MAX).copied().collect();
            format!("there are {}{rest}", shown.join(", "))
        }
    };
    Mismatch::new(format!("unknown {what} {}, {hint}", quoted(given)))
}

#[cfg(test)]
mod tests;
