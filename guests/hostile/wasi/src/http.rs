//! Misuse of `wasi:http`.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, FutureIncomingResponse, Method, OutgoingRequest, Scheme};

fn request(authority: &str, fields: Fields) -> OutgoingRequest {
    let request = OutgoingRequest::new(fields);
    let _ = request.set_scheme(Some(&Scheme::Http));
    let _ = request.set_authority(Some(authority));
    let _ = request.set_path_with_query(Some("/large"));
    request
}

pub(crate) fn headers() -> ! {
    let fields = Fields::new();
    let value = vec![b'x'; 64 << 10];
    loop {
        let _ = fields.append("x-bomb", &value);
    }
}

pub(crate) fn requests() -> ! {
    let mut kept = Vec::new();
    let value = vec![b'x'; 16 << 10];
    loop {
        let fields = Fields::new();
        let _ = fields.append("x-bomb", &value);
        kept.push(request("localhost", fields));
    }
}

pub(crate) fn body_without_end(authority: &str) -> ! {
    let request = request(authority, Fields::new());
    let _ = request.set_method(&Method::Post);
    let Ok(body) = request.body() else { panic!("no body") };
    let Ok(stream) = body.write() else { panic!("no stream") };
    let response = handle(request, None);
    let chunk = [b'x'; 4096];
    loop {
        let _ = stream.blocking_write_and_flush(&chunk);
        std::hint::black_box(&response);
    }
}

pub(crate) fn body_unread(authority: &str) -> ! {
    let mut kept: Vec<FutureIncomingResponse> = Vec::new();
    let mut responses = Vec::new();
    loop {
        let Ok(future) = handle(request(authority, Fields::new()), None) else {
            // As many as there may be are under way: now wait for their answers.
            for future in kept.drain(..) {
                future.subscribe().block();
                if let Some(Ok(Ok(response))) = future.get() {
                    responses.push(response.consume());
                }
            }
            continue;
        };
        kept.push(future);
    }
}
