//! A worker that asks an HTTP service: the variable `API_URL` says where, and what comes back
//! is its result. The `http` example runs it.

mod world {
    wit_bindgen::generate!({
        inline: "
            package wippy:http-worker;

            world http-worker {
                export run: func() -> result<string, string>;
            }
        ",
    });
}

use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

struct HttpWorker;

impl world::Guest for HttpWorker {
    fn run() -> Result<String, String> {
        let url = std::env::var("API_URL").map_err(|_| "API_URL is not set")?;
        get(&url).map_err(|error| format!("cannot get {url}: {error}"))
    }
}

fn get(url: &str) -> Result<String, String> {
    let (scheme, rest) = url.split_once("://").ok_or("it has no scheme")?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&scheme)).map_err(|()| "bad scheme")?;
    request.set_authority(Some(authority)).map_err(|()| "bad host")?;
    request.set_path_with_query(Some(path)).map_err(|()| "bad path")?;

    let future = outgoing_handler::handle(request, None).map_err(|code| format!("{code:?}"))?;
    future.subscribe().block();
    let response = future
        .get()
        .and_then(Result::ok)
        .ok_or("no response")?
        .map_err(|code| format!("{code:?}"))?;
    if response.status() != 200 {
        return Err(format!("status {}", response.status()));
    }
    let body = response.consume().map_err(|()| "no body")?;
    let stream = body.stream().map_err(|()| "no stream")?;
    let mut text = Vec::new();
    loop {
        match stream.blocking_read(64 * 1024) {
            Ok(bytes) => text.extend(bytes),
            Err(StreamError::Closed) => break,
            Err(error) => return Err(error.to_string()),
        }
    }
    String::from_utf8(text).map_err(|error| error.to_string())
}

world::export!(HttpWorker with_types_in world);
