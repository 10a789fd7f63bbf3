//! A server that sends bodies without an end, and reads what it is sent as slowly as nobody.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// Where it listens; it ends with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Connections that are open.
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let counted = counted.clone();
                counted.fetch_add(1, SeqCst);
                thread::spawn(move || {
                    serve(connection);
                    counted.fetch_sub(1, SeqCst);
                });
            }
        });
        Self { address, connections }
    }
}

fn serve(mut connection: TcpStream) {
    let mut request = [0; 4096];
    let Ok(read) = connection.read(&mut request) else { return };
    if request[..read].starts_with(b"POST") {
        // The body is not read; the guest's end of the connection fills up. A connection that
        // the guest's end closes is seen by a peek.
        connection.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut first = [0; 1];
        for _ in 0..1500 {
            match connection.read(&mut first) {
                Ok(0) => return,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
                _ => thread::sleep(Duration::from_millis(20)),
            }
        }
        return;
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n\r\n";
    if connection.write_all(head.as_bytes()).is_ok() {
        while connection.write_all(&[b'x'; 65536]).is_ok() {}
    }
}
