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
        // The body is read as slowly as it takes for the guest's end to fill up.
        let mut piece = [0; 32 << 10];
        for _ in 0..1500 {
            match connection.read(&mut piece) {
                Ok(0) | Err(_) => return,
                Ok(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
        return;
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n\r\n";
    if connection.write_all(head.as_bytes()).is_ok() {
        while connection.write_all(&[b'x'; 65536]).is_ok() {}
    }
}
