//! From what wasmtime gives to a [`Value`], by type.
//!
//! There is one form for each value, and [`lower`](super::lower) takes it back: records are
//! maps with every field in the order of the type, bytes are bytes, flags a map of those
//! that are set, a case without payload is its name, a result `{ok = v}` or `{err = e}`
//! with `true` for no payload. Options: see `option.rs`.
//!
//! Limits: what a guest can make the host allocate is bounded where wasmtime makes the
//! dynamic value (`Store::set_hostcall_fuel`); what is made of it here is of that size.

use wasmtime::component::Val;
use wippy_model::{Error, Map, Value};

use super::option;
use super::types::Type;

/// Lifts one value.
///
/// # Errors
///
/// Of kind `Invalid` for handles, streams and futures, which have no form as a value yet;
/// of kind `Internal` when the value is not of the type.
pub fn lift(val: Val, ty: &Type) -> Result<Value, Error> {
    Ok(match (ty, val) {
        (Type::Bool, Val::Bool(value)) => Value::Bool(value),
        (Type::U8, Val::U8(number)) => Value::Int(number.into()),
        (Type::U16, Val::U16(number)) => Value::Int(number.into()),
        (Type::U32, Val::U32(number)) => Value::Int(number.into()),
        (Type::U64, Val::U64(number)) => Value::from(number),
        (Type::S8, Val::S8(number)) => Value::Int(number.into()),
        (Type::S16, Val::S16(number)) => Value::Int(number.into()),
        (Type::S32 | Type::I32, Val::S32(number)) => Value::Int(number.into()),
        (Type::S64 | Type::I64, Val::S64(number)) => Value::Int(number),
        (Type::F32, Val::Float32(number)) => Value::Float(number.into()),
        (Type::F64, Val::Float64(number)) => Value::Float(number),
        (Type::Char, Val::Char(value)) => Value::String(value.into()),
        (Type::String, Val::String(text)) => Value::String(text),
        (Type::Bytes, Val::List(items)) => Value::Bytes(
            items
                .into_iter()
                .map(|item| match item {
                    Val::U8(byte) => Ok(byte),
                    _ => Err(not_of(&Type::U8)),
                })
                .collect::<Result<_, _>>()?,
        ),
        (Type::List(item), Val::List(vals)) => Value::List(
            vals.into_iter().map(|val| lift_present(val, item)).collect::<Result<_, _>>()?,
        ),
        (Type::Tuple(types), Val::Tuple(vals)) if types.len() == vals.len() => Value::List(
            vals.into_iter()
                .zip(types)
                .map(|(val, ty)| lift_present(val, ty))
                .collect::<Result<_, _>>()?,
        ),
        (Type::Record(fields), Val::Record(vals)) if fields.len() == vals.len() => Value::Map(
            vals.into_iter()
                .zip(fields)
                .map(|((name, val), (_, ty))| Ok((name, lift(val, ty)?)))
                .collect::<Result<_, Error>>()?,
        ),
        (Type::Variant(cases), Val::Variant(name, payload)) => {
            let case = cases.iter().find(|(case, _)| *case == name);
            match (case.and_then(|(_, ty)| ty.as_ref()), payload) {
                (Some(ty), Some(val)) => single(name, lift_present(*val, ty)?),
                _ => Value::String(name),
            }
        }
        (Type::Result(ok, err), Val::Result(result)) => {
            let (name, ty, payload) = match result {
                Ok(payload) => ("ok", ok, payload),
                Err(payload) => ("err", err, payload),
            };
            single(name, lift_arm(payload, ty.as_deref())?.unwrap_or(Value::Bool(true)))
        }
        (Type::Enum(_), Val::Enum(name)) => Value::String(name),
        (Type::Flags(_), Val::Flags(names)) => {
            Value::Map(names.into_iter().map(|name| (name, Value::Bool(true))).collect())
        }
        (Type::Option(inner), Val::Option(payload)) => match payload {
            None => Value::Nil,
            Some(val) => option::some(lift(*val, inner)?, inner),
        },
        (Type::Own | Type::Borrow | Type::Stream(_) | Type::Future(_) | Type::Other(_), _) => {
            return Err(Error::invalid(format!("{ty} cannot be returned here")));
        }
        (ty, _) => return Err(not_of(ty)),
    })
}

/// Lifts a value to where nothing can be absent.
fn lift_present(val: Val, ty: &Type) -> Result<Value, Error> {
    Ok(option::present(lift(val, ty)?, ty))
}

/// Lifts the payload of a result's arm; `None` when the arm has none.
pub(super) fn lift_arm(val: Option<Box<Val>>, ty: Option<&Type>) -> Result<Option<Value>, Error> {
    match (val, ty) {
        (Some(val), Some(ty)) => Ok(Some(lift_present(*val, ty)?)),
        _ => Ok(None),
    }
}

/// A map of one key.
pub(super) fn single(name: impl Into<String>, value: Value) -> Value {
    Value::Map(Map::from_iter([(name.into(), value)]))
}

fn not_of(ty: &Type) -> Error {
    Error::internal(format!("the engine gave a value that is no {ty}"))
}
