//! The HTTP server: services, routers, endpoints, static files.

use std::time::Duration;

use indexmap::IndexMap;
use wippy_model::EntryId;

use super::lifecycle::Lifecycle;
use super::target::{Filesystem, Function, Router, Server};
use crate::schema::{AbsolutePath, ByteSize, Count, IdOf, Name, Written, choice, record};

record! {
    /// An HTTP server.
    pub struct HttpService {
        /// The address it listens on, such as `:8080` or `127.0.0.1:8080`.
        addr: String as Name => required,
        /// How long things may take.
        timeouts: HttpTimeouts => group,
        /// Bytes of one request's body.
        max_body_bytes: u64 as ByteSize => or(64 << 20),
        /// Bytes of one request's headers.
        max_header_bytes: u64 as ByteSize => or(64 << 10),
        /// Requests under way; more wait to be accepted.
        max_concurrency: u32 as Count => or(1024),
        /// How it starts and stops.
        lifecycle: Lifecycle => group,
    }
    ignored { host, worker_class }
}

record! {
    /// How long an HTTP server waits.
    pub struct HttpTimeouts {
        /// For the whole request.
        read: Duration => or(Duration::from_secs(30)),
        /// For the whole response; 0 is without limit.
        write: Duration => or(Duration::ZERO),
        /// For the next request of a connection.
        idle: Duration => or(Duration::from_secs(60)),
    }
}

record! {
    /// Endpoints under one prefix.
    pub struct HttpRouter {
        /// The server.
        server: EntryId as IdOf<Server> => or_meta,
        /// What every path starts with.
        prefix: String as AbsolutePath => or("/".to_owned()),
        /// Middleware, in order.
        middleware: Vec<String> as Vec<Name> => or(Vec::new()),
        /// Settings of the middleware.
        options: IndexMap<String, String> as IndexMap<String, Written> => or(IndexMap::new()),
        /// Middleware that runs once an endpoint is found.
        post_middleware: Vec<String> as Vec<Name> => or(Vec::new()),
        /// Settings of that middleware.
        post_options: IndexMap<String, String> as IndexMap<String, Written> => or(IndexMap::new()),
    }
}

record! {
    /// A function behind a path.
    pub struct HttpEndpoint {
        /// The router.
        router: EntryId as IdOf<Router> => or_meta,
        /// The request method.
        method: HttpMethod => or(HttpMethod::Get),
        /// The path below the router's prefix; `{name}` is a parameter.
        path: String as AbsolutePath => required,
        /// The function.
        func: EntryId as IdOf<Function> => required,
    }
}

choice! {
    /// The method of an HTTP request.
    pub enum HttpMethod {
        /// GET, and HEAD.
        Get = "GET",
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// PATCH.
        Patch = "PATCH",
        /// DELETE.
        Delete = "DELETE",
        /// HEAD.
        Head = "HEAD",
        /// OPTIONS.
        Options = "OPTIONS",
        /// Every method.
        Any = "*",
    }
}

record! {
    /// Files behind a path.
    pub struct HttpStatic {
        /// The server.
        server: EntryId as IdOf<Server> => or_meta,
        /// The path of the folder.
        path: String as AbsolutePath => or("/".to_owned()),
        /// The filesystem.
        fs: EntryId as IdOf<Filesystem> => required,
        /// The folder in that filesystem.
        directory: String as Name => or("/".to_owned()),
        /// The file that stands for a folder.
        index: String as Name => or("index.html".to_owned()),
        /// Whether a path that names no file gets the root's index file.
        spa: bool => or(false),
        /// The `cache-control` header.
        cache: String as Name => optional,
        /// Middleware, in order.
        middleware: Vec<String> as Vec<Name> => or(Vec::new()),
        /// Settings of the middleware.
        options: IndexMap<String, String> as IndexMap<String, Written> => or(IndexMap::new()),
    }
}
