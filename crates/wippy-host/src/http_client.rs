//! The HTTP client: one request, one connection, streaming both ways.
//!
//! It resolves the name, asks the caller about each address, and connects to exactly the
//! address that was allowed: a second look-up could give another (DNS rebinding). HTTP/1.1,
//! with TLS for `https`. It follows no redirect, keeps no connection for a later request, and
//! knows no proxy and no cookie.
//!
//! What it holds for one request is bounded: [`HttpClient::BUFFER_BYTES_MAX`] read ahead, which
//! is also the most that a response's header section may take,
//! [`HttpClient::HEADERS_MAX`] header fields, and what the caller's body hands over at a time.
//! A body that nobody reads is not received.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::address::{Lookups, Resolver};

/// How long a request may wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// For the name, the connection and TLS together.
    pub connect: Duration,
    /// From the last part of the request that was sent to the head of the response.
    pub first_byte: Duration,
    /// Between two parts of the response's body.
    pub between_bytes: Duration,
}

impl HttpTimeouts {
    /// Each of them by default.
    pub const DEFAULT: Duration = Duration::from_secs(600);
}

impl Default for HttpTimeouts {
    fn default() -> Self {
        Self { connect: Self::DEFAULT, first_byte: Self::DEFAULT, between_bytes: Self::DEFAULT }
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The URI has no host, a scheme other than `http` and `https`, or user information.
    #[error("the URI is refused: {0}")]
    Uri(&'static str),
    /// The caller's check refused every address of the host.
    #[error("no address of {0} is allowed")]
    Denied(String),
    /// The host has no address, or the resolver failed.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nobody could be connected to.
    #[error("cannot connect to {address}")]
    Connect {
        /// The last address that was tried.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Name, connection or TLS took too long.
    #[error("the connection took too long")]
    ConnectTimeout,
    /// TLS failed; a certificate that was refused is a [`rustls::Error`] inside.
    #[error("TLS failed")]
    Tls(#[source] io::Error),
    /// No response came in time.
    #[error("the response took too long to begin")]
    FirstByteTimeout,
    /// The response's body stopped for too long.
    #[error("the response's body stopped for too long")]
    BetweenBytesTimeout,
    /// The response has too many header fields, or too large ones.
    #[error("the response's header section is too large")]
    HeaderSection,
    /// The connection ended inside the response.
    #[error("the connection ended before the response was complete")]
    Incomplete,
    /// The connection ended before the response.
    #[error("the connection ended before a response")]
    Terminated,
    /// The request's body failed.
    #[error("the request's body failed")]
    RequestBody(#[source] hyper::Error),
    /// What came is no HTTP, or the connection broke.
    #[error("HTTP failed")]
    Protocol(#[source] hyper::Error),
}

impl From<hyper::Error> for HttpError {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse_too_large() {
            Self::HeaderSection
        } else if error.is_incomplete_message() {
            Self::Incomplete
        } else if error.is_canceled() || error.is_closed() {
            Self::Terminated
        } else if error.is_user() || error.is_body_write_aborted() {
            Self::RequestBody(error)
        } else {
            match error.source().and_then(|source| source.downcast_ref()).map(io::Error::kind) {
                Some(io::ErrorKind::UnexpectedEof) => Self::Incomplete,
                Some(
                    io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionReset,
                ) => Self::Terminated,
                _ => Self::Protocol(error),
            }
        }
    }
}

/// Sends requests. One serves a whole node.
#[derive(Debug, Default)]
pub struct HttpClient {
    tls: OnceLock<Arc<ClientConfig>>,
    roots: Vec<CertificateDer<'static>>,
    lookups: Lookups,
}

/// A response whose body is still coming.
pub type HttpResponse = Response<HttpBody>;

/// Drives a connection: sends what is left of the request and receives the response's body.
/// Dropping it closes the connection.
pub type HttpConnection = Pin<Box<dyn Future<Output = Result<(), HttpError>> + Send>>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl HttpClient {
    /// What one connection reads ahead, and the most that a header section takes.
    pub const BUFFER_BYTES_MAX: usize = 128 << 10;

    /// The look-ups of its node.
    pub fn lookups(&self) -> &Lookups {
        &self.lookups
    }

    /// Header fields of one response.
    pub const HEADERS_MAX: usize = 256;

    /// A client that trusts the roots of the Web's certificate authorities.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client that trusts these certificates too.
    pub fn with_roots(roots: Vec<CertificateDer<'static>>) -> Self {
        Self { roots, ..Self::default() }
    }

    /// Sends a request with an absolute URI. Gives the response as soon as its head is there,
    /// and the future that drives the connection for the bodies.
    ///
    /// `allow` is asked about each address of the host before anything connects to it.
    ///
    /// # Errors
    ///
    /// What kept the response from coming. An error of the body comes out of the body.
    pub async fn send<B>(
        &self,
        mut request: Request<B>,
        timeouts: HttpTimeouts,
        resolver: &Resolver,
        allow: impl Fn(IpAddr) -> bool,
    ) -> Result<(HttpResponse, HttpConnection), HttpError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let target = Target::of(request.uri())?;
        // What is there at once would still come in no time.
        if timeouts.connect.is_zero() {
            return Err(HttpError::ConnectTimeout);
        }
        if timeouts.first_byte.is_zero() {
            return Err(HttpError::FirstByteTimeout);
        }
        let stream = timeout(timeouts.connect, self.connect(&target, resolver, allow))
            .await
            .map_err(|_| HttpError::ConnectTimeout)??;
        // Only a proxy is told scheme and authority.
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
        let progress = Arc::new(Progress { start: Instant::now(), sent_ms: AtomicU64::new(0) });
        let request =
            request.map(|body| Sending { body: Box::pin(body), progress: progress.clone() });
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(Self::BUFFER_BYTES_MAX)
            .max_headers(Self::HEADERS_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        exchange(sender, connection, request, timeouts, &progress).await
    }

    async fn connect(
        &self,
        target: &Target,
        resolver: &Resolver,
        allow: impl Fn(IpAddr) -> bool,
    ) -> Result<Box<dyn Stream>, HttpError> {
        let Target { host, port, tls } = target;
        let failed = |source| HttpError::Resolve { host: host.clone(), source };
        let found = resolver.lookup(host).await.map_err(failed)?;
        if found.is_empty() {
            return Err(failed(io::ErrorKind::NotFound.into()));
        }
        let mut result = Err(HttpError::Denied(host.clone()));
        for address in found.into_iter().filter(|address| allow(*address)) {
            let address = SocketAddr::new(address, *port);
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    result = Ok(stream);
                    break;
                }
                Err(source) => result = Err(HttpError::Connect { address, source }),
            }
        }
        let stream = result?;
        // A request is written in few large parts; waiting for more gains nothing. That it
        // failed is no reason to fail the request.
        let _ = stream.set_nodelay(true);
        if !tls {
            return Ok(Box::new(stream));
        }
        let invalid = |_| HttpError::Uri("the host is no name that a certificate can have");
        let name = match host.parse::<IpAddr>() {
            Ok(address) => ServerName::from(address),
            Err(_) => ServerName::try_from(host.clone()).map_err(invalid)?,
        };
        let connector = TlsConnector::from(self.tls()?);
        Ok(Box::new(connector.connect(name, stream).await.map_err(HttpError::Tls)?))
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, HttpError> {
        if let Some(config) = self.tls.get() {
            return Ok(config.clone());
        }
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
        roots.add_parsable_certificates(self.roots.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| HttpError::Tls(io::Error::other(error)))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(self.tls.get_or_init(|| Arc::new(config)).clone())
    }
}

/// Whom to connect to.
struct Target {
    host: String,
    port: u16,
    tls: bool,
}

impl Target {
    fn of(uri: &Uri) -> Result<Self, HttpError> {
        let authority = uri.authority().ok_or(HttpError::Uri("it has no host"))?;
        if authority.as_str().contains('@') {
            // It would make another host look like the first one (RFC 9110, 4.2.4).
            return Err(HttpError::Uri("it has user information"));
        }
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(HttpError::Uri("its scheme is neither http nor https")),
        };
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(_) => authority.port_u16().ok_or(HttpError::Uri("its port is no port"))?,
            None => return Err(HttpError::Uri("its host is no host")),
        };
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(HttpError::Uri("it has no host"));
        }
        Ok(Self { host: host.to_owned(), port, tls })
    }
}

/// Sends the request and drives the connection until the head of the response is there.
async fn exchange<B>(
    mut sender: http1::SendRequest<Sending<B>>,
    connection: http1::Connection<TokioIo<Box<dyn Stream>>, Sending<B>>,
    request: Request<Sending<B>>,
    timeouts: HttpTimeouts,
    progress: &Progress,
) -> Result<(HttpResponse, HttpConnection), HttpError>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    progress.mark();
    let mut connection = Some(connection);
    let response = {
        let mut response = pin!(sender.send_request(request));
        let mut late = pin!(sleep(timeouts.first_byte));
        poll_fn(|context| {
            loop {
                if let Poll::Ready(response) = response.as_mut().poll(context) {
                    return Poll::Ready(response.map_err(HttpError::from));
                }
                let Some(driven) = connection.as_mut() else { break };
                let Poll::Ready(end) = Pin::new(driven).poll(context) else { break };
                connection = None;
                if let Err(error) = end {
                    // The response may have come right before, such as from a peer that
                    // ends TLS without saying so.
                    return Poll::Ready(match response.as_mut().poll(context) {
                        Poll::Ready(Ok(response)) => Ok(response),
                        _ => Err(error.into()),
                    });
                }
            }
            loop {
                ready!(late.as_mut().poll(context));
                let left = timeouts.first_byte.saturating_sub(progress.idle());
                if left.is_zero() {
                    return Poll::Ready(Err(HttpError::FirstByteTimeout));
                }
                late.set(sleep(left));
            }
        })
        .await?
    };
    let response = response.map(|incoming| HttpBody {
        incoming,
        timeout: timeouts.between_bytes,
        timer: None,
        waiting: false,
    });
    let rest = async move {
        match connection {
            Some(connection) => Ok(connection.await?),
            None => Ok(()),
        }
    };
    Ok((response, Box::pin(rest)))
}

/// When the last part of a request went out.
struct Progress {
    start: Instant,
    sent_ms: AtomicU64,
}

impl Progress {
    fn mark(&self) {
        self.sent_ms.store(self.start.elapsed().as_millis() as u64, Relaxed);
    }

    fn idle(&self) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(self.sent_ms.load(Relaxed)))
    }
}

/// A request's body that notes its progress.
struct Sending<B> {
    body: Pin<Box<B>>,
    progress: Arc<Progress>,
}

impl<B: Body> Body for Sending<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(self.body.as_mut().poll_frame(context));
        self.progress.mark();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response. It is received as it is read.
#[derive(Debug)]
pub struct HttpBody {
    incoming: Incoming,
    timeout: Duration,
    /// Set when the body first makes its reader wait: most parts are there at once.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl Body for HttpBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(context) {
            this.waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(HttpError::from)));
        }
        let timer = match &mut this.timer {
            Some(timer) => timer,
            none => none.insert(Box::pin(sleep(this.timeout))),
        };
        if !this.waiting {
            this.waiting = true;
            timer.set(sleep(this.timeout));
        }
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Some(Err(HttpError::BetweenBytesTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
