//! `wippy:runtime/funcs@0.1.0`: a guest calls functions of the node.
//!
//! The interface is in `wit/runtime/funcs.wit`. A call suspends its guest alone; the function
//! runs on the guest's own task, beside it. What goes wrong with the call is the `err` of its
//! result, and a guest without the grant traps.

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;
use wippy_model::{EntryId, Error, Value};

use crate::guest::Guest;
use crate::link::Ungranted;

/// The interface's name, as guests import it.
pub(crate) const INTERFACE: &str = "wippy:runtime/funcs@0.1.0";

/// Its name in `imports`.
pub(crate) const GRANT: &str = "funcs";

/// Defines the interface.
pub(crate) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut funcs = linker.instance(INTERFACE)?;
    funcs.func_wrap_async(
        "call-string",
        |store: StoreContextMut<'_, Guest>, (target, input): (String, String)| {
            Box::new(async move {
                let result = call(store, "call-string", &target, Value::String(input)).await?;
                Ok((result.and_then(text),))
            })
        },
    )?;
    funcs.func_wrap_async(
        "call-bytes",
        |store: StoreContextMut<'_, Guest>, (target, input): (String, Vec<u8>)| {
            Box::new(async move {
                let result = call(store, "call-bytes", &target, Value::Bytes(input)).await?;
                Ok((result.map(bytes),))
            })
        },
    )
}

/// The result of a call, or what went wrong as a text. A missing grant is a trap.
async fn call(
    store: StoreContextMut<'_, Guest>,
    function: &str,
    target: &str,
    input: Value,
) -> wasmtime::Result<Result<Value, String>> {
    let guest = store.data();
    let process = guest.process.clone();
    if !guest.grants().funcs {
        return Err(Ungranted::new(process.entry(), INTERFACE, function, Some(GRANT)).into());
    }
    let target = match EntryId::parse_in(process.entry().namespace(), target) {
        Ok(target) => target,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let context = process.context().clone();
    let result = process.call(target, vec![input], context).await;
    Ok(result.map_err(|error: Error| error.to_string()))
}

fn text(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bytes(bytes) => String::from_utf8(bytes)
            .map_err(|_| "the result is a byte string that is no UTF-8: use call-bytes".to_owned()),
        other => Ok(other.to_json().to_string()),
    }
}

fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.into_bytes(),
        Value::Bytes(bytes) => bytes,
        other => other.to_json().to_string().into_bytes(),
    }
}
