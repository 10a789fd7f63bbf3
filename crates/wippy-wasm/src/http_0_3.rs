//! `wasi:http` 0.3 of a guest: what the host holds for it, counted as that of 0.2.
//!
//! Grant and policy are asked by the same hooks as for 0.2. How many bodies, futures and
//! streams a guest has is bounded where those of all of WASI 0.3 are.

use std::any::Any;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource};
use wasmtime_wasi_http::p3::bindings::http::types::{
    HeaderError, Host as _, HostFields as _, HostRequest as _, Method, Scheme,
};
use wasmtime_wasi_http::p3::{Request, Response};
use wasmtime_wasi_http::{FieldMap, WasiHttpCtxView, WasiHttpView};

use crate::guest::Guest;
use crate::http::{field_bytes, map_bytes, text_bytes};

/// wasmtime-wasi-http's own version, or the linker would have both.
const TYPES: &str = "wasi:http/types@0.3.0";

/// What a resource of 0.3 holds. Its fields are those of 0.2.
pub(crate) fn entry_bytes(entry: &dyn Any) -> usize {
    if let Some(request) = entry.downcast_ref::<Request>() {
        request.method.as_str().len()
            + request.scheme.as_ref().map_or(0, |scheme| scheme.as_str().len())
            + request.authority.as_ref().map_or(0, |authority| authority.as_str().len())
            + request.path_with_query.as_ref().map_or(0, |path| path.as_str().len())
            + map_bytes(&request.headers)
    } else if let Some(response) = entry.downcast_ref::<Response>() {
        map_bytes(&response.headers)
    } else {
        0
    }
}

/// Shadows what makes the host hold something for the guest.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    link_fields(&mut types)?;
    link_requests(&mut types)
}

fn link_fields(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[static]fields.from-list",
        |mut store: Store<'_>, (entries,): (Vec<(String, Vec<u8>)>,)| {
            let guest = store.data_mut();
            let bytes = entries.iter().map(|(name, value)| field_bytes(name, value)).sum();
            guest.charge_http(bytes)?;
            let mut http = guest.http();
            let made = http.from_list(entries);
            Ok((header_result(&mut http, made)?,))
        },
    )?;
    types.func_wrap(
        "[method]fields.append",
        |mut store: Store<'_>, (fields, name, value): (Resource<FieldMap>, String, Vec<u8>)| {
            let guest = store.data_mut();
            guest.charge_http(field_bytes(&name, &value))?;
            let mut http = guest.http();
            let appended = http.append(fields, name, value);
            Ok((header_result(&mut http, appended)?,))
        },
    )?;
    types.func_wrap(
        "[method]fields.set",
        |mut store: Store<'_>,
         (fields, name, values): (Resource<FieldMap>, String, Vec<Vec<u8>>)| {
            let guest = store.data_mut();
            guest.charge_http(values.iter().map(|value| field_bytes(&name, value)).sum())?;
            let mut http = guest.http();
            let set = http.set(fields, name, values);
            Ok((header_result(&mut http, set)?,))
        },
    )?;
    types.func_wrap(
        "[method]fields.clone",
        |mut store: Store<'_>, (fields,): (Resource<FieldMap>,)| {
            let guest = store.data_mut();
            let bytes = map_bytes(guest.http().table.get(&fields)?);
            guest.charge_http(bytes)?;
            Ok((guest.http().clone(fields)?,))
        },
    )
}

fn link_requests(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]request.set-method",
        |mut store: Store<'_>, (request, method): (Resource<Request>, Method)| {
            let guest = store.data_mut();
            guest.charge_http(match &method {
                Method::Other(name) => name.len(),
                _ => 0,
            })?;
            Ok((guest.http().set_method(request, method)?,))
        },
    )?;
    types.func_wrap(
        "[method]request.set-scheme",
        |mut store: Store<'_>, (request, scheme): (Resource<Request>, Option<Scheme>)| {
            let guest = store.data_mut();
            guest.charge_http(match &scheme {
                Some(Scheme::Other(name)) => name.len(),
                _ => 0,
            })?;
            Ok((guest.http().set_scheme(request, scheme)?,))
        },
    )?;
    types.func_wrap(
        "[method]request.set-authority",
        |mut store: Store<'_>, (request, text): (Resource<Request>, Option<String>)| {
            let guest = store.data_mut();
            guest.charge_http(text_bytes(text.as_ref()))?;
            Ok((guest.http().set_authority(request, text)?,))
        },
    )?;
    types.func_wrap(
        "[method]request.set-path-with-query",
        |mut store: Store<'_>, (request, text): (Resource<Request>, Option<String>)| {
            let guest = store.data_mut();
            guest.charge_http(text_bytes(text.as_ref()))?;
            Ok((guest.http().set_path_with_query(request, text)?,))
        },
    )
}

type Store<'a> = StoreContextMut<'a, Guest>;

fn header_result<T>(
    http: &mut WasiHttpCtxView<'_>,
    result: Result<T, wasmtime_wasi::TrappableError<HeaderError>>,
) -> wasmtime::Result<Result<T, HeaderError>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => Ok(Err(http.convert_header_error(error)?)),
    }
}
