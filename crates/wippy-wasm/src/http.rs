//! `wasi:http` of a guest, outgoing: the grant, the policy, and what the host holds for it.
//!
//! A request is sent where the entry is granted `wasi:http` and the policy allows
//! `http_client.request` on its URL, and for each private or loopback address of its host
//! `http_client.private_ip` on that address. A denial is `HTTP-request-denied` to the guest;
//! the debug log says which it was. The resource of `http_client.request` is the URL without
//! its query, made the same for the ways to write it (see [`resource`]).
//!
//! Bounds: `http_concurrency` requests under way, from the call of the handler until the
//! response's body has ended or been dropped; past it a request fails with
//! `connection-limit-reached`. Requests and header fields that the guest keeps and bodies that
//! it has not sent count against `host_buffer_bytes`, with the grant and without; past it the
//! process ends (exit `Limit`). `http_0_3` has the same for WASI 0.3.
//!
//! The guest's requests are tasks that its resource table owns: they end with it, and their
//! connections close.

use std::any::Any;
use std::future::ready;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceTable};
use wasmtime_wasi_http::p2::HeaderResult;
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types::{
    self, ErrorCode, Host as _, HostFields as _, HostOutgoingRequest as _, Method, Scheme,
};
use wasmtime_wasi_http::p2::body::{HostFutureTrailers, HostOutgoingBody};
use wasmtime_wasi_http::p2::types::{
    HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse,
};
use wasmtime_wasi_http::{
    Error, FieldMap, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};
use wippy_host::{HttpBody, HttpClient, HttpError, HttpTimeouts, Resolver, is_private};
use wippy_kernel::ProcessContext;
use wippy_model::{Limit, Limits};

use crate::denials::Denials;
use crate::guest::Guest;
use crate::http_0_3;
use crate::trap::LimitReached;

/// The most that a guest may write to a request's body at once, and how many of these may
/// wait for the connection.
const CHUNK_BYTES_MAX: usize = 64 << 10;
const CHUNKS_MAX: usize = 1;

/// What a body that is not sent yet holds at most: one chunk more than may wait.
const BODY_BYTES_MAX: usize = CHUNK_BYTES_MAX * (CHUNKS_MAX + 1);

/// What a header field takes beside its name and value, and what a place for one takes.
const FIELD_BYTES: usize = 32;
const FIELD_PLACE_BYTES: usize = 112;

/// The most that one set of header fields takes.
const FIELDS_BYTES_MAX: usize = 128 << 10;

/// The interfaces with shadowed functions; wasmtime-wasi-http's own version, or the linker
/// would have both.
const HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";
const TYPES: &str = "wasi:http/types@0.2.12";

/// The HTTP side of one guest, made at its first use.
pub(crate) struct Http {
    ctx: WasiHttpCtx,
    hooks: Hooks,
    held: Held,
}

/// What decides about requests and sends them.
struct Hooks {
    granted: bool,
    process: ProcessContext,
    denials: Arc<Denials>,
    client: Arc<HttpClient>,
    resolver: Resolver,
    under_way: Arc<Semaphore>,
    arrived: Arc<AtomicU64>,
}

/// An upper bound of the bytes that the resource table holds for HTTP; counted again when it
/// would reach the limit.
struct Held {
    bytes: u64,
    bytes_max: u64,
    /// Header fields of responses that came since.
    arrived: Arc<AtomicU64>,
}

impl Http {
    pub(crate) fn new(
        process: ProcessContext,
        granted: bool,
        denials: Arc<Denials>,
        limits: &Limits,
        client: Arc<HttpClient>,
    ) -> Self {
        let arrived = Arc::new(AtomicU64::new(0));
        let mut ctx = WasiHttpCtx::new();
        let bytes_max = limits.host_buffer_bytes;
        ctx.set_field_size_limit(
            FIELDS_BYTES_MAX.min(usize::try_from(bytes_max).unwrap_or(usize::MAX)),
        );
        Self {
            ctx,
            hooks: Hooks {
                granted,
                process,
                denials,
                resolver: client.lookups().resolver(),
                client,
                under_way: Arc::new(Semaphore::new(limits.http_concurrency as usize)),
                arrived: arrived.clone(),
            },
            held: Held { bytes: 0, bytes_max, arrived },
        }
    }

    pub(crate) fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView { hooks: &mut self.hooks, table, ctx: &mut self.ctx }
    }

    /// Counts bytes that the guest is about to make the host hold.
    pub(crate) fn charge(
        &mut self,
        bytes: usize,
        table: &mut ResourceTable,
    ) -> wasmtime::Result<()> {
        let Held { bytes: held, bytes_max, arrived } = &mut self.held;
        *held = held.saturating_add(bytes as u64).saturating_add(arrived.swap(0, Relaxed));
        if *held > *bytes_max {
            *held = table_bytes(table).saturating_add(bytes as u64);
        }
        if *held > *bytes_max {
            let text =
                format!("its HTTP headers and bodies would take more than {bytes_max} bytes");
            return Err(LimitReached { limit: Limit::HostBuffer, text }.into());
        }
        Ok(())
    }
}

/// What the table holds for HTTP. Fields that several resources share count for each of them:
/// the first change of one of them copies all of them.
fn table_bytes(table: &mut ResourceTable) -> u64 {
    table.iter_mut().map(|entry| entry_bytes(entry) as u64).sum()
}

fn entry_bytes(entry: &dyn Any) -> usize {
    let body = |there: bool| if there { BODY_BYTES_MAX } else { 0 };
    if let Some(fields) = entry.downcast_ref::<FieldMap>() {
        map_bytes(fields)
    } else if let Some(request) = entry.downcast_ref::<HostOutgoingRequest>() {
        method_bytes(&request.method)
            + request.scheme.as_ref().map_or(0, scheme_bytes)
            + text_bytes(request.authority.as_ref())
            + text_bytes(request.path_with_query.as_ref())
            + map_bytes(&request.headers)
            + body(request.body.is_some())
    } else if let Some(response) = entry.downcast_ref::<HostOutgoingResponse>() {
        map_bytes(&response.headers) + body(response.body.is_some())
    } else if let Some(response) = entry.downcast_ref::<HostIncomingResponse>() {
        map_bytes(&response.headers)
    } else if let Some(HostFutureIncomingResponse::Ready(Ok((response, _)))) = entry.downcast_ref()
    {
        map_bytes(response.headers())
    } else if let Some(HostFutureTrailers::Done(Ok(Some(trailers)))) = entry.downcast_ref() {
        map_bytes(trailers)
    } else if entry.is::<HostOutgoingBody>() {
        BODY_BYTES_MAX
    } else {
        http_0_3::entry_bytes(entry)
    }
}

/// What header fields take, places of removed ones included.
pub(crate) fn map_bytes(map: &HeaderMap) -> usize {
    let fields = map.iter().map(|(name, value)| field_bytes(name.as_str(), value.as_bytes()));
    let empty = map.capacity().saturating_sub(map.keys_len());
    fields.sum::<usize>() + empty * FIELD_PLACE_BYTES
}

pub(crate) fn field_bytes(name: &str, value: &[u8]) -> usize {
    name.len() + value.len() + FIELD_BYTES
}

fn method_bytes(method: &Method) -> usize {
    match method {
        Method::Other(name) => name.len(),
        _ => 0,
    }
}

fn scheme_bytes(scheme: &Scheme) -> usize {
    match scheme {
        Scheme::Other(name) => name.len(),
        _ => 0,
    }
}

pub(crate) fn text_bytes(text: Option<&String>) -> usize {
    text.map_or(0, String::len)
}

// --- Sending ----------------------------------------------------------------------------

type Sent = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        read: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        drop(read);
        let permit = match self.admit(&mut request) {
            Ok(permit) => permit,
            Err(error) => return Box::new(ready(Err(error))),
        };
        let (process, client) = (self.process.clone(), self.client.clone());
        let denials = self.denials.clone();
        let (resolver, arrived) = (self.resolver.clone(), self.arrived.clone());
        Box::new(async move {
            let allow = |address: IpAddr| permits_address(&process, &denials, address);
            let sent = client.send(request, timeouts(options), &resolver, allow).await;
            let (response, rest) = sent.map_err(error)?;
            arrived.fetch_add(map_bytes(response.headers()) as u64, Relaxed);
            let response = response.map(|body| {
                let permit = (!body.is_end_stream()).then_some(permit);
                GuestBody { body, permit, arrived }.boxed_unsync()
            });
            let rest: Box<dyn Future<Output = _> + Send> =
                Box::new(async move { rest.await.map_err(error) });
            Ok((response, rest))
        })
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        CHUNKS_MAX
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES_MAX
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES_MAX
    }
}

impl Hooks {
    /// Grant, policy, and a place among the requests under way. The request then goes to the
    /// host that the policy was asked about.
    fn admit(&self, request: &mut Request<WasiBody>) -> Result<OwnedSemaphorePermit, Error> {
        let entry = self.process.entry();
        if !self.granted {
            let why = "add imports: [wasi:http] to the entry";
            self.denials.tell(entry, "a request", &why);
            return Err(Error::HttpRequestDenied);
        }
        let (uri, host) = plain_host(request.uri()).ok_or(Error::HttpRequestUriInvalid)?;
        *request.uri_mut() = uri;
        if let Some(header) = request.headers_mut().get_mut(HOST) {
            *header = host;
        }
        let resource = resource(request.uri());
        if let Err(error) = self.process.authorize("http_client.request", &resource) {
            self.denials.tell(entry, "a request", &error);
            return Err(Error::HttpRequestDenied);
        }
        self.under_way.clone().try_acquire_owned().map_err(|_| {
            tracing::debug!(%entry, "a request is refused: limits.http_concurrency are under way");
            Error::ConnectionLimitReached
        })
    }
}

fn permits_address(process: &ProcessContext, denials: &Denials, address: IpAddr) -> bool {
    if !is_private(address) {
        return true;
    }
    let address = address.to_canonical().to_string();
    match process.authorize("http_client.private_ip", &address) {
        Ok(()) => true,
        Err(error) => {
            denials.tell(process.entry(), "a request to a private address", &error);
            false
        }
    }
}

fn timeouts(options: Option<RequestOptions>) -> HttpTimeouts {
    let options = options.unwrap_or_default();
    HttpTimeouts {
        connect: options.connect_timeout.unwrap_or(HttpTimeouts::DEFAULT),
        first_byte: options.first_byte_timeout.unwrap_or(HttpTimeouts::DEFAULT),
        between_bytes: options.between_bytes_timeout.unwrap_or(HttpTimeouts::DEFAULT),
    }
}

/// A URI with its host as the URL standard reads it, and that host and port as a header: in
/// lower case, punycode, and an IPv4 address in its usual form (`0x7f.1` is `127.0.0.1`). None
/// where it is no host, or has a user before it.
fn plain_host(uri: &Uri) -> Option<(Uri, HeaderValue)> {
    let mut parts = uri.clone().into_parts();
    let authority = parts.authority?;
    if authority.as_str().contains('@') {
        return None;
    }
    let port = authority.as_str().strip_prefix(authority.host())?;
    let host = url::Host::parse(authority.host()).ok()?;
    let plain = format!("{host}{port}");
    let header = HeaderValue::from_str(&plain).ok()?;
    parts.authority = Some(plain.parse().ok()?);
    Some((Uri::from_parts(parts).ok()?, header))
}

/// What `http_client.request` is asked about: scheme, host, port and path. The host is that of
/// [`plain_host`] without a final dot, the scheme's own port is left out, and the path is
/// without `.` and `..`, as the server takes it, and with as few escapes as can be.
fn resource(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let host = uri.host().unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host);
    let port = match (scheme, uri.port_u16()) {
        ("http", Some(80)) | ("https", Some(443)) | (_, None) => String::new(),
        (_, Some(port)) => format!(":{port}"),
    };
    format!("{scheme}://{host}{port}{}", plain_path(uri.path()))
}

/// A path with escapes in one form alone (RFC 3986, 6.2.2) and without dot segments (5.2.4).
fn plain_path(path: &str) -> String {
    let path = plain_escapes(path);
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.trim_start_matches('/').split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// A path where only what must be escaped is, in upper case.
fn plain_escapes(path: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let plain = |byte: u8| unreserved(byte) || b"!$&'()*+,;=:@/%".contains(&byte);
    let mut text = String::with_capacity(path.len());
    let mut bytes = path.as_bytes();
    while let [first, rest @ ..] = bytes {
        let (byte, rest, as_it_is) = match escape(bytes) {
            Some((byte, rest)) => (byte, rest, unreserved(byte)),
            None => (*first, rest, plain(*first)),
        };
        if as_it_is {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        bytes = rest;
    }
    text
}

/// The byte that an escape at the beginning stands for, and what comes after it.
fn escape(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, rest @ ..] = bytes else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let byte = u8::try_from(digit(high)? * 16 + digit(low)?).ok()?;
    Some((byte, rest))
}

/// A response's body, which keeps the request's place until it ends.
struct GuestBody {
    body: HttpBody,
    permit: Option<OwnedSemaphorePermit>,
    arrived: Arc<AtomicU64>,
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.arrived.fetch_add(map_bytes(trailers) as u64, Relaxed);
                }
            }
            None | Some(Err(_)) => self.permit = None,
        }
        Poll::Ready(frame.map(|frame| frame.map_err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// --- Errors -----------------------------------------------------------------------------

/// The client's error as `wasi:http` has it.
fn error(error: HttpError) -> Error {
    tracing::debug!("a request failed: {}", chain(&error));
    match error {
        HttpError::Uri(_) => Error::HttpRequestUriInvalid,
        HttpError::Denied(_) => Error::HttpRequestDenied,
        HttpError::Resolve { .. } => {
            Error::DnsError { rcode: Some("address not available".to_owned()), info_code: None }
        }
        HttpError::Connect { source, .. } => match source.kind() {
            ErrorKind::ConnectionRefused => Error::ConnectionRefused,
            ErrorKind::TimedOut => Error::ConnectionTimeout,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                Error::DestinationIpUnroutable
            }
            _ => Error::DestinationUnavailable,
        },
        HttpError::ConnectTimeout => Error::ConnectionTimeout,
        HttpError::Tls(source) => tls_error(&source),
        HttpError::FirstByteTimeout | HttpError::BetweenBytesTimeout => {
            Error::ConnectionReadTimeout
        }
        HttpError::HeaderSection => Error::HttpResponseHeaderSectionSize(None),
        HttpError::Incomplete => Error::HttpResponseIncomplete,
        HttpError::Terminated => Error::ConnectionTerminated,
        _ => Error::HttpProtocolError,
    }
}

fn tls_error(error: &std::io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(_)) => Error::TlsCertificateError,
        Some(rustls::Error::AlertReceived(alert)) => Error::TlsAlertReceived {
            alert_id: Some(u8::from(*alert)),
            alert_message: Some(format!("{alert:?}")),
        },
        _ => Error::TlsProtocolError,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// What a body's stream can fail with, for `http-error-code`.
fn stream_error_code(error: &Error) -> Option<ErrorCode> {
    Some(match error {
        Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        Error::HttpResponseIncomplete => ErrorCode::HttpResponseIncomplete,
        Error::HttpProtocolError => ErrorCode::HttpProtocolError,
        Error::HttpResponseHeaderSectionSize(size) => {
            ErrorCode::HttpResponseHeaderSectionSize(*size)
        }
        _ => return None,
    })
}

// --- Linking ----------------------------------------------------------------------------

/// Shadows what makes the host hold something for the guest, and what tells it of errors.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.instance(HANDLER)?.func_wrap("handle", handle)?;
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "[static]fields.from-list",
        |mut store: Store<'_>, (entries,): (Vec<(String, Vec<u8>)>,)| {
            let guest = store.data_mut();
            guest
                .charge_http(entries.iter().map(|(name, value)| field_bytes(name, value)).sum())?;
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
    )?;
    link_messages(&mut types)?;
    types.func_wrap(
        "http-error-code",
        |mut store: Store<'_>, (io_error,): (Resource<types::IoError>,)| {
            let mut http = store.data_mut().http();
            let code = http.table.get(&io_error)?.downcast_ref().and_then(stream_error_code);
            Ok((match code {
                Some(code) => Some(code),
                None => http.http_error_code(io_error)?,
            },))
        },
    )
}

/// What the guest puts into requests and responses beside their fields.
fn link_messages(types: &mut LinkerInstance<'_, Guest>) -> wasmtime::Result<()> {
    types.func_wrap(
        "[method]outgoing-request.body",
        |mut store: Store<'_>, (request,): (Resource<HostOutgoingRequest>,)| {
            let guest = store.data_mut();
            guest.charge_http(BODY_BYTES_MAX)?;
            Ok((types::HostOutgoingRequest::body(&mut guest.http(), request)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-response.body",
        |mut store: Store<'_>, (response,): (Resource<HostOutgoingResponse>,)| {
            let guest = store.data_mut();
            guest.charge_http(BODY_BYTES_MAX)?;
            Ok((types::HostOutgoingResponse::body(&mut guest.http(), response)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: Store<'_>, (request, method): (Resource<HostOutgoingRequest>, Method)| {
            let guest = store.data_mut();
            guest.charge_http(method_bytes(&method))?;
            Ok((guest.http().set_method(request, method)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-scheme",
        |mut store: Store<'_>,
         (request, scheme): (Resource<HostOutgoingRequest>, Option<Scheme>)| {
            let guest = store.data_mut();
            guest.charge_http(scheme.as_ref().map_or(0, scheme_bytes))?;
            Ok((guest.http().set_scheme(request, scheme)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: Store<'_>, (request, text): (Resource<HostOutgoingRequest>, Option<String>)| {
            let guest = store.data_mut();
            guest.charge_http(text_bytes(text.as_ref()))?;
            Ok((guest.http().set_authority(request, text)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-path-with-query",
        |mut store: Store<'_>, (request, text): (Resource<HostOutgoingRequest>, Option<String>)| {
            let guest = store.data_mut();
            guest.charge_http(text_bytes(text.as_ref()))?;
            Ok((guest.http().set_path_with_query(request, text)?,))
        },
    )
}

type Store<'a> = StoreContextMut<'a, Guest>;

type Handle = (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>);
type Handled = Result<Resource<HostFutureIncomingResponse>, ErrorCode>;

/// Looks at what is held already before it sends.
fn handle(mut store: Store<'_>, (request, options): Handle) -> wasmtime::Result<(Handled,)> {
    let guest = store.data_mut();
    guest.charge_http(0)?;
    let mut http = guest.http();
    Ok((match http.handle(request, options) {
        Ok(response) => Ok(response),
        Err(error) => Err(http.convert_error_code(error)?),
    },))
}

fn header_result<T>(
    http: &mut WasiHttpCtxView<'_>,
    result: HeaderResult<T>,
) -> wasmtime::Result<Result<T, types::HeaderError>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => Ok(Err(http.convert_header_error(error)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_the_same_for_all_ways_to_write_it() {
        for (uri, expected) in [
            ("http://Example.COM/a/b?secret=1", "http://example.com/a/b"),
            ("http://example.com:80", "http://example.com/"),
            ("https://example.com.:443/", "https://example.com/"),
            ("http://example.com:8080/x/", "http://example.com:8080/x/"),
            ("https://example.com:80/", "https://example.com:80/"),
            ("http://[::1]:9/", "http://[::1]:9/"),
            ("http://h/public/../admin", "http://h/admin"),
            ("http://h/public/%2E%2e/admin/.", "http://h/admin/"),
            ("http://h/a/./b/..", "http://h/a/"),
            ("http://h/../../x", "http://h/x"),
            ("http://h//x", "http://h/x"),
            // Escapes.
            ("http://h/%61dmin/%41%2d%2e%5f%7E", "http://h/admin/A-._~"),
            ("http://h/a%2fb%3a%c3%A9", "http://h/a%2Fb%3A%C3%A9"),
            ("http://h/a%2561/%zz/%4", "http://h/a%2561/%zz/%4"),
            ("http://h/x/%2e%2E/y/.%2e/z", "http://h/z"),
            ("http://h/caf\u{e9}", "http://h/caf%C3%A9"),
            ("http://h/a;b=(c)!$&'*+,@d", "http://h/a;b=(c)!$&'*+,@d"),
            // Hosts.
            ("http://1572395042/", "http://93.184.216.34/"),
            ("http://0x5d.0xb8.0xd8.0x22/", "http://93.184.216.34/"),
            ("http://0x7f.1:8080/", "http://127.0.0.1:8080/"),
            ("http://127.0.0.1./", "http://127.0.0.1/"),
            ("http://[0:0:0:0:0:0:0:1]/", "http://[::1]/"),
            ("http://[2001:DB8::0:1]:80/", "http://[2001:db8::1]/"),
            ("http://my_service/", "http://my_service/"),
        ] {
            let (plain, header) = plain_host(&uri.parse().unwrap()).unwrap();
            assert_eq!(resource(&plain), expected, "{uri}");
            assert_eq!(header, plain.authority().unwrap().as_str(), "{uri}");
        }
    }

    #[test]
    fn what_has_no_host_or_a_user_is_no_resource() {
        for uri in
            ["/path", "http://ann@h/", "http://h@h/", "http://0x7f.1.2.3.4/", "http://[::x]/"]
        {
            let parsed = uri.parse::<Uri>();
            assert!(parsed.is_err() || plain_host(&parsed.unwrap()).is_none(), "{uri}");
        }
    }
}
