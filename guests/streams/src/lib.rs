//! Reads a great deal through streams and keeps none of it: a file, and an HTTP response.
//! Built for wasm32-unknown-unknown: it imports what it calls, and no preview1 adapter.

mod world {
    wit_bindgen::generate!({
        inline: "
            package wippy:streams;

            world streams {
                /// Counts the bytes of a file in the first mounted directory.
                export read: func(path: string) -> result<u64, string>;

                /// Counts the bytes that an HTTP server sends for a path.
                export download: func(authority: string, path: string) -> result<u64, string>;
            }
        ",
    });
}

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, OutgoingRequest, Scheme};
use wasip2::io::streams::{InputStream, StreamError};

struct Stream;

const CHUNK: u64 = 64 * 1024;

fn count(stream: InputStream) -> Result<u64, String> {
    let mut total = 0;
    loop {
        match stream.blocking_read(CHUNK) {
            Ok(bytes) => total += bytes.len() as u64,
            Err(StreamError::Closed) => return Ok(total),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
}

impl world::Guest for Stream {
    fn read(path: String) -> Result<u64, String> {
        let directories = get_directories();
        let (directory, _) = directories.first().ok_or("nothing is mounted")?;
        let file = directory
            .open_at(PathFlags::empty(), &path, OpenFlags::empty(), DescriptorFlags::READ)
            .map_err(|code| code.name())?;
        count(file.read_via_stream(0).map_err(|code| code.name())?)
    }

    fn download(authority: String, path: String) -> Result<u64, String> {
        let request = OutgoingRequest::new(Fields::new());
        request.set_scheme(Some(&Scheme::Http)).map_err(|()| "scheme")?;
        request.set_authority(Some(&authority)).map_err(|()| "authority")?;
        request.set_path_with_query(Some(&path)).map_err(|()| "path")?;
        let future = handle(request, None).map_err(|code| format!("{code:?}"))?;
        future.subscribe().block();
        let response = future.get().and_then(Result::ok).ok_or("no response")?;
        let response = response.map_err(|code| format!("{code:?}"))?;
        let body = response.consume().map_err(|()| "no body")?;
        count(body.stream().map_err(|()| "no stream")?)
    }
}

world::export!(Stream with_types_in world);
