//! Payloads: a value in one of three formats.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Lower, WasmStr};
use wippy_model::{Error, Kind, Result, Value};

use crate::guest::Guest;

/// A payload from a guest. The format stays where it is until it is compared.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct FromGuest {
    format: WasmStr,
    data: Vec<u8>,
}

/// A payload for a guest.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct ToGuest {
    format: &'static str,
    data: Vec<u8>,
}

impl ToGuest {
    /// A string as `text`, bytes as `bytes`, anything else as `json` of at most `bytes_max`.
    pub(super) fn new(value: Value, bytes_max: usize) -> Result<Self> {
        Ok(match value {
            Value::String(text) => Self { format: "text", data: text.into_bytes() },
            Value::Bytes(data) => Self { format: "bytes", data },
            other => Self { format: "json", data: other.write_json(bytes_max)? },
        })
    }

    /// Bytes of its data.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }
}

/// The values of payloads, which share the guest's `limits.host_buffer_bytes`. A trap where a
/// format is no text at all.
pub(super) fn values(
    store: &StoreContextMut<'_, Guest>,
    payloads: Vec<FromGuest>,
) -> wasmtime::Result<Result<Vec<Value>>> {
    let mut left = store.data().held_bytes_max();
    let mut values = Vec::with_capacity(payloads.len());
    for (payload, number) in payloads.into_iter().zip(1..) {
        let format = payload.format.to_str(store)?;
        match value(&format, payload.data, &mut left) {
            Ok(value) => values.push(value),
            Err(error) => return Ok(Err(error.context(format_args!("payload {number}")))),
        }
    }
    Ok(Ok(values))
}

fn value(format: &str, data: Vec<u8>, left: &mut usize) -> Result<Value> {
    match format {
        "bytes" => Ok(Value::Bytes(data)),
        "text" => match String::from_utf8(data) {
            Ok(text) => Ok(Value::String(text)),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                Err(Error::invalid(format!(
                    "a text must be UTF-8, and byte {valid} is not: send it as \"bytes\""
                )))
            }
        },
        "json" => {
            let value = Value::read_json(&data, *left).map_err(|error| match error.kind() {
                Kind::ResourceExhausted => {
                    let message = "the values take more than limits.host_buffer_bytes allows";
                    Error::new(Kind::ResourceExhausted, message)
                }
                _ => error,
            })?;
            *left = left.saturating_sub(value.size_bytes());
            Ok(value)
        }
        other => {
            let shown: String = other.chars().take(40).collect();
            Err(Error::invalid(format!(
                "there is no format {shown:?}: formats are \"bytes\", \"text\" and \"json\""
            )))
        }
    }
}
