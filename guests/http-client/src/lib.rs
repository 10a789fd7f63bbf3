//! Requests over `wasi:http`, one function for each thing that a client does. Texts of
//! errors are those of `error-code`. Built for wasm32-unknown-unknown: it imports what it
//! calls, and no preview1 adapter.

mod world {
    wit_bindgen::generate!({ path: "world.wit" });
}

use wasip2::clocks::monotonic_clock;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method,
    OutgoingBody, OutgoingRequest, RequestOptions, Scheme, http_error_code,
};
use wasip2::io::poll;
use wasip2::io::streams::{InputStream, StreamError};
use world::{Guest, Response, Timeouts};

struct HttpClient;

const CHUNK: u64 = 64 * 1024;

fn code(code: ErrorCode) -> String {
    let text = format!("{code:?}");
    text.strip_prefix("ErrorCode::").map_or(text.clone(), str::to_owned)
}

fn stream_error(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => match http_error_code(&error) {
            Some(known) => code(known),
            None => error.to_debug_string(),
        },
    }
}

fn request(
    method: &str,
    url: &str,
    headers: &[(String, String)],
) -> Result<OutgoingRequest, String> {
    let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let fields: Vec<_> =
        headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
    let fields = Fields::from_list(&fields).map_err(|error| format!("{error:?}"))?;
    let request = OutgoingRequest::new(fields);
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        other => Method::Other(other.to_owned()),
    };
    request.set_method(&method).map_err(|()| "method refused")?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    request.set_scheme(Some(&scheme)).map_err(|()| "scheme refused")?;
    request.set_authority(Some(authority)).map_err(|()| "authority refused")?;
    request.set_path_with_query(Some(path)).map_err(|()| "path refused")?;
    Ok(request)
}

fn send(
    request: OutgoingRequest,
    options: Option<RequestOptions>,
) -> Result<FutureIncomingResponse, String> {
    outgoing_handler::handle(request, options).map_err(code)
}

fn wait(future: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
    future.subscribe().block();
    match future.get() {
        Some(Ok(response)) => response.map_err(code),
        Some(Err(())) => Err("taken already".to_owned()),
        None => Err("ready without a response".to_owned()),
    }
}

/// Reads a stream to its end. The stream goes away before its body does.
fn read_all(stream: InputStream, mut each: impl FnMut(&[u8])) -> Result<(), String> {
    loop {
        match stream.blocking_read(CHUNK) {
            Ok(bytes) => each(&bytes),
            Err(StreamError::Closed) => return Ok(()),
            Err(error) => return Err(stream_error(error)),
        }
    }
}

fn texts(fields: &Fields) -> Vec<(String, String)> {
    let mut texts: Vec<_> = fields
        .entries()
        .into_iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
        .collect();
    texts.sort();
    texts
}

fn finish(response: IncomingResponse) -> Result<Response, String> {
    let status = response.status();
    let headers = texts(&response.headers());
    let body = response.consume().map_err(|()| "no body")?;
    let mut bytes = Vec::new();
    read_all(body.stream().map_err(|()| "no stream")?, |chunk| bytes.extend_from_slice(chunk))?;
    let future = IncomingBody::finish(body);
    future.subscribe().block();
    let trailers = match future.get() {
        Some(Ok(Ok(Some(trailers)))) => texts(&trailers),
        Some(Ok(Ok(None))) => Vec::new(),
        Some(Ok(Err(error))) => return Err(format!("trailers: {}", code(error))),
        _ => return Err("no trailers".to_owned()),
    };
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Response { status, headers, body, trailers })
}

/// Writes `total` bytes, as many at a time as the stream takes.
fn write(body: &OutgoingBody, mut total: u64) -> Result<(), String> {
    let stream = body.write().map_err(|()| "no stream")?;
    let chunk = vec![b'x'; CHUNK as usize];
    while total > 0 {
        stream.subscribe().block();
        let room = stream.check_write().map_err(stream_error)?.min(total).min(CHUNK);
        stream.write(&chunk[..room as usize]).map_err(stream_error)?;
        total -= room;
    }
    stream.blocking_flush().map_err(stream_error)
}

impl Guest for HttpClient {
    fn request(
        method: String,
        url: String,
        headers: Vec<(String, String)>,
        body: Option<String>,
    ) -> Result<Response, String> {
        let request = request(&method, &url, &headers)?;
        let future = match body {
            None => send(request, None)?,
            Some(text) => {
                let body = request.body().map_err(|()| "no body")?;
                let future = send(request, None)?;
                {
                    let stream = body.write().map_err(|()| "no stream")?;
                    for part in text.as_bytes().chunks(4096) {
                        stream.blocking_write_and_flush(part).map_err(stream_error)?;
                    }
                }
                OutgoingBody::finish(body, None).map_err(code)?;
                future
            }
        };
        finish(wait(&future)?)
    }

    fn timed(url: String, timeouts: Timeouts) -> Result<Response, String> {
        let options = RequestOptions::new();
        let ns = |ms: Option<u32>| ms.map(|ms| u64::from(ms) * 1_000_000);
        options.set_connect_timeout(ns(timeouts.connect_ms)).map_err(|()| "not supported")?;
        options.set_first_byte_timeout(ns(timeouts.first_byte_ms)).map_err(|()| "not supported")?;
        options
            .set_between_bytes_timeout(ns(timeouts.between_bytes_ms))
            .map_err(|()| "not supported")?;
        let future = send(request("GET", &url, &[])?, Some(options))?;
        finish(wait(&future)?)
    }

    fn download(url: String) -> Result<u64, String> {
        let future = send(request("GET", &url, &[])?, None)?;
        let response = wait(&future)?;
        let body = response.consume().map_err(|()| "no body")?;
        let mut total = 0;
        read_all(body.stream().map_err(|()| "no stream")?, |chunk| total += chunk.len() as u64)?;
        Ok(total)
    }

    fn upload(url: String, bytes: u64, trailer: Option<String>) -> Result<Response, String> {
        let mut headers = Vec::new();
        if trailer.is_some() {
            headers.push(("trailer".to_owned(), "x-checksum".to_owned()));
        }
        let request = request("POST", &url, &headers)?;
        let body = request.body().map_err(|()| "no body")?;
        let future = send(request, None)?;
        write(&body, bytes)?;
        let trailers = match trailer {
            Some(text) => {
                let trailers = Fields::new();
                trailers
                    .append("x-checksum", text.as_bytes())
                    .map_err(|error| format!("{error:?}"))?;
                Some(trailers)
            }
            None => None,
        };
        OutgoingBody::finish(body, trailers).map_err(code)?;
        finish(wait(&future)?)
    }

    fn short_body(url: String, announced: u64, written: u64) -> Result<String, String> {
        let headers = [("content-length".to_owned(), announced.to_string())];
        let request = request("POST", &url, &headers)?;
        let body = request.body().map_err(|()| "no body")?;
        let future = send(request, None)?;
        write(&body, written)?;
        let finished = OutgoingBody::finish(body, None);
        let response = wait(&future);
        Ok(format!(
            "finish: {}, response: {}",
            finished.map_or_else(code, |()| "ok".to_owned()),
            response.map_or_else(|error| error, |response| response.status().to_string())
        ))
    }

    fn concurrent(url: String, requests: u32) -> Result<u32, String> {
        let mut waiting = Vec::new();
        for _ in 0..requests {
            waiting.push(send(request("GET", &url, &[])?, None)?);
        }
        let mut bytes = 0;
        while !waiting.is_empty() {
            let mut ready = {
                let pollables: Vec<_> = waiting.iter().map(|future| future.subscribe()).collect();
                poll::poll(&pollables.iter().collect::<Vec<_>>())
            };
            ready.sort_unstable();
            for at in ready.into_iter().rev() {
                let future = waiting.swap_remove(at as usize);
                let response = finish(wait(&future)?)?;
                bytes += response.body.len() as u32;
            }
        }
        Ok(bytes)
    }

    fn hold(url: String, responses: u32) -> Vec<String> {
        let mut held = Vec::new();
        let mut outcomes = Vec::new();
        for _ in 0..responses {
            let outcome = request("GET", &url, &[])
                .and_then(|request| send(request, None))
                .and_then(|future| wait(&future));
            match outcome {
                Ok(response) => {
                    outcomes.push(response.status().to_string());
                    held.push(response);
                }
                Err(error) => outcomes.push(error),
            }
        }
        held.clear();
        let again = request("GET", &url, &[])
            .and_then(|request| send(request, None))
            .and_then(|future| wait(&future));
        outcomes.push(again.map_or_else(|error| error, |response| response.status().to_string()));
        outcomes
    }

    fn unread(url: String, wait_ms: u32) -> Result<u16, String> {
        let future = send(request("GET", &url, &[])?, None)?;
        let response = wait(&future)?;
        let _body = response.consume().map_err(|()| "no body")?;
        monotonic_clock::subscribe_duration(u64::from(wait_ms) * 1_000_000).block();
        Ok(response.status())
    }

    fn header(name: String, value: String) -> String {
        match Fields::new().append(&name, value.as_bytes()) {
            Ok(()) => "ok".to_owned(),
            Err(error) => format!("{error:?}").replace("HeaderError::", ""),
        }
    }

    fn field_bomb(sets: u32, bytes: u32) -> u32 {
        let value = vec![b'x'; bytes as usize];
        let mut kept = Vec::new();
        for _ in 0..sets {
            let fields = Fields::new();
            if fields.append("x-bomb", &value).is_ok() {
                kept.push(fields);
            }
        }
        kept.len() as u32
    }

    fn field_churn(sets: u32, bytes: u32) -> u32 {
        let value = vec![b'x'; bytes as usize];
        (0..sets).filter(|_| Fields::new().append("x-churn", &value).is_ok()).count() as u32
    }

    fn body_bomb(bodies: u32) -> Result<u32, String> {
        let chunk = vec![0; CHUNK as usize];
        let mut kept = Vec::new();
        for _ in 0..bodies {
            let request = OutgoingRequest::new(Fields::new());
            let body = request.body().map_err(|()| "no body")?;
            let stream = body.write().map_err(|()| "no stream")?;
            let room = stream.check_write().map_err(stream_error)?.min(CHUNK);
            stream.write(&chunk[..room as usize]).map_err(stream_error)?;
            kept.push((stream, body, request));
        }
        Ok(kept.len() as u32)
    }
}

world::export!(HttpClient with_types_in world);
