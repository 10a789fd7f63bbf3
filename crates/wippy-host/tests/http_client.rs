//! The HTTP client against servers on loopback: which addresses it connects to, and TLS. What
//! it does with requests and responses is tested through guests, in `wippy-wasm`.
//!
//! `tls/` holds a certificate of `localhost` with its key, signed by an authority that is made
//! for these tests and trusted by nothing else.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use wippy_host::{HttpClient, HttpError, HttpTimeouts, Lookups};

fn authority() -> CertificateDer<'static> {
    CertificateDer::from(include_bytes!("tls/authority.der").as_slice())
}

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from(include_bytes!("tls/localhost.der").as_slice());
    let key = PrivatePkcs8KeyDer::from(include_bytes!("tls/localhost-key.der").as_slice());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key))
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, in_order: bool) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    stream.flush().await.unwrap();
    if in_order {
        stream.shutdown().await.unwrap();
    }
}

/// Serves one protocol, every other connection without saying that it ends, for as long as the test runs; gives the port.
async fn serve(tls: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut in_order = true;
        while let Ok((stream, _)) = listener.accept().await {
            // A client that refuses the certificate goes away.
            if !tls {
                answer(stream, true).await;
            } else if let Ok(stream) = acceptor().accept(stream).await {
                answer(stream, in_order).await;
            }
            in_order = !in_order;
        }
    });
    port
}

async fn get(
    client: &HttpClient,
    uri: &str,
    allow: impl Fn(IpAddr) -> bool,
) -> Result<Bytes, HttpError> {
    let request = Request::get(uri).header("host", "test").body(Empty::<Bytes>::new()).unwrap();
    let resolver = Lookups::default().resolver();
    let sent = client.send(request, HttpTimeouts::default(), &resolver, allow).await;
    let (response, connection) = sent?;
    tokio::spawn(connection);
    Ok(response.into_body().collect().await?.to_bytes())
}

#[tokio::test]
async fn each_address_is_asked_about_before_it_is_connected_to() {
    let uri = format!("http://localhost:{}/", serve(false).await);
    let client = HttpClient::new();
    let asked = Mutex::new(Vec::new());
    let denied = get(&client, &uri, |address| {
        asked.lock().unwrap().push(address);
        false
    });
    let error = denied.await.unwrap_err();
    assert!(matches!(&error, HttpError::Denied(host) if host == "localhost"), "{error:?}");
    let asked = asked.into_inner().unwrap();
    assert!(asked.contains(&IpAddr::from([127, 0, 0, 1])), "{asked:?}");
    // One that is allowed is enough.
    let body = get(&client, &uri, |address| address.is_ipv4()).await.unwrap();
    assert_eq!(body, "ok");
}

#[tokio::test]
async fn tls_with_a_trusted_certificate() {
    let client = HttpClient::with_roots(vec![authority()]);
    let uri = format!("https://localhost:{}/", serve(true).await);
    for _ in 0..2 {
        assert_eq!(get(&client, &uri, |_| true).await.unwrap(), "ok");
    }
}

fn is_certificate_error(error: &HttpError) -> bool {
    let HttpError::Tls(source) = error else { return false };
    let inner = source.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

#[tokio::test]
async fn a_certificate_of_nobody_known_is_refused() {
    let uri = format!("https://localhost:{}/", serve(true).await);
    let error = get(&HttpClient::new(), &uri, |_| true).await.unwrap_err();
    assert!(is_certificate_error(&error), "{error:?}");
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let client = HttpClient::with_roots(vec![authority()]);
    let uri = format!("https://127.0.0.1:{}/", serve(true).await);
    let error = get(&client, &uri, |_| true).await.unwrap_err();
    assert!(is_certificate_error(&error), "{error:?}");
}

#[tokio::test]
async fn uris_that_are_refused() {
    let client = HttpClient::new();
    for uri in ["/path", "ftp://localhost/", "http://a@localhost/", "http://localhost:99999/"] {
        let error = get(&client, uri, |_| panic!("asked about {uri}")).await.unwrap_err();
        assert!(matches!(error, HttpError::Uri(_)), "{uri}: {error:?}");
    }
}
