//! TCP.

use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use wasip2::sockets::tcp::{ShutdownType, TcpSocket};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use crate::{LOCALHOST, address, answer, code, family, port};

/// Streams before the socket: a socket goes away after its streams.
pub struct Connection {
    pub input: InputStream,
    pub output: OutputStream,
    pub socket: TcpSocket,
}

fn stream_error(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => error.to_debug_string(),
    }
}

pub fn connect(to: IpSocketAddress) -> Result<Connection, String> {
    let socket = create_tcp_socket(family(&to)).map_err(code)?;
    socket.start_connect(&instance_network(), to).map_err(code)?;
    loop {
        match socket.finish_connect() {
            Ok((input, output)) => return Ok(Connection { input, output, socket }),
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            Err(error) => return Err(code(error)),
        }
    }
}

pub fn listen(on: IpSocketAddress) -> Result<TcpSocket, String> {
    let socket = create_tcp_socket(family(&on)).map_err(code)?;
    socket.start_bind(&instance_network(), on).map_err(code)?;
    socket.finish_bind().map_err(code)?;
    socket.start_listen().map_err(code)?;
    socket.finish_listen().map_err(code)?;
    Ok(socket)
}

pub fn accept(socket: &TcpSocket) -> Result<Connection, String> {
    loop {
        match socket.accept() {
            Ok((socket, input, output)) => return Ok(Connection { input, output, socket }),
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            Err(error) => return Err(code(error)),
        }
    }
}

/// Tells the test which port a socket has.
fn report(socket: &TcpSocket, to: u16) -> Result<(), String> {
    let own = port(socket.local_address().map_err(code)?);
    let told = connect(address(LOCALHOST, to))?;
    told.send(own.to_string().as_bytes())
}

impl Connection {
    pub fn send(&self, bytes: &[u8]) -> Result<(), String> {
        for part in bytes.chunks(4096) {
            self.output.blocking_write_and_flush(part).map_err(stream_error)?;
        }
        Ok(())
    }

    /// Reads to the end.
    pub fn receive(&self) -> Result<String, String> {
        let mut bytes = Vec::new();
        loop {
            match self.input.blocking_read(65_536) {
                Ok(part) => bytes.extend(part),
                Err(StreamError::Closed) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
                Err(error) => return Err(stream_error(error)),
            }
        }
    }

    fn close(&self, side: ShutdownType) -> Result<(), String> {
        self.socket.shutdown(side).map_err(code)
    }
}

pub fn client(port: u16, text: &str) -> Result<String, String> {
    let connection = connect(address(LOCALHOST, port))?;
    connection.send(text.as_bytes())?;
    connection.close(ShutdownType::Send)?;
    connection.receive()
}

pub fn echo(to: u16) -> Result<u64, String> {
    let socket = listen(address(LOCALHOST, 0))?;
    report(&socket, to)?;
    let connection = accept(&socket)?;
    let mut total = 0;
    loop {
        match connection.input.blocking_read(65_536) {
            Ok(part) => {
                total += part.len() as u64;
                connection.send(&part)?;
            }
            Err(StreamError::Closed) => return Ok(total),
            Err(error) => return Err(stream_error(error)),
        }
    }
}

pub fn both(host: &str) -> Result<Vec<String>, String> {
    let listener = listen(address(host, 0))?;
    let own = listener.local_address().map_err(code)?;
    let client = connect(own)?;
    let server = accept(&listener)?;
    let same = |a: IpSocketAddress, b: IpSocketAddress| format!("{a:?}") == format!("{b:?}");
    let seen = server.socket.remote_address().map_err(code)?;
    let is = client.socket.local_address().map_err(code)?;
    client.send(b"ping")?;
    client.close(ShutdownType::Send)?;
    let heard = server.receive()?;
    server.send(b"pong")?;
    server.close(ShutdownType::Both)?;
    Ok(vec![
        heard,
        client.receive()?,
        same(seen, is).to_string(),
        listener.is_listening().to_string(),
        client.socket.is_listening().to_string(),
    ])
}

pub fn shutdown(port: u16) -> Result<Vec<String>, String> {
    let mut answers = Vec::new();
    let connection = connect(address(LOCALHOST, port))?;
    connection.send(b"last words")?;
    connection.close(ShutdownType::Send)?;
    let write = connection.output.blocking_write_and_flush(b"more");
    answers.push(write.map_or_else(stream_error, |()| "ok".to_owned()));
    // The other side still answers.
    answers.push(connection.receive()?);
    connection.close(ShutdownType::Receive)?;
    let read = connection.input.blocking_read(1);
    answers.push(read.map_or_else(stream_error, |bytes| format!("{} bytes", bytes.len())));
    Ok(answers)
}

pub fn errors() -> Vec<String> {
    let network = instance_network();
    let new = || create_tcp_socket(IpAddressFamily::Ipv4).expect("a socket");
    let bound = || {
        let socket = new();
        socket.start_bind(&network, address(LOCALHOST, 0)).expect("bind");
        socket.finish_bind().expect("bound");
        socket
    };
    let listening = || {
        let socket = bound();
        socket.start_listen().expect("listen");
        socket.finish_listen().expect("listening");
        socket
    };
    let mut answers = Vec::new();
    let mut note = |what: &str, answer: String| answers.push(format!("{what}: {answer}"));

    note("local-address of a new socket", answer(new().local_address()));
    note("remote-address of a new socket", answer(new().remote_address()));
    note("finish-bind before start-bind", answer(new().finish_bind()));
    note("finish-connect before start-connect", answer(new().finish_connect()));
    note("finish-listen before start-listen", answer(bound().finish_listen()));
    note("listen unbound", answer(new().start_listen()));
    note("accept without listening", answer(bound().accept()));
    note("shutdown without a connection", answer(new().shutdown(ShutdownType::Both)));
    note("bind twice", answer(bound().start_bind(&network, address(LOCALHOST, 0))));
    note("listen twice", answer(listening().start_listen()));
    note("accept with nobody there", answer(listening().accept()));
    note("connect a listener", answer(listening().start_connect(&network, address(LOCALHOST, 9))));
    let socket = new();
    socket.start_bind(&network, address(LOCALHOST, 0)).expect("bind");
    note("start-listen inside a bind", answer(socket.start_listen()));
    note("bind an address of the other family", answer(new().start_bind(&network, address("::1", 0))));
    note("bind a multicast address", answer(new().start_bind(&network, address("224.0.0.1", 0))));
    note("bind a foreign address", answer(new().start_bind(&network, address("192.0.2.1", 0))));
    for (what, host, port) in [
        ("connect to the other family", "::1", 9),
        ("connect to a multicast address", "224.0.0.1", 9),
        ("connect to 0.0.0.0", "0.0.0.0", 9),
        ("connect to port 0", LOCALHOST, 0),
    ] {
        note(what, answer(new().start_connect(&network, address(host, port))));
    }
    note("backlog 0", answer(new().set_listen_backlog_size(0)));
    note("keep-alive idle time 0", answer(new().set_keep_alive_idle_time(0)));
    note("keep-alive interval 0", answer(new().set_keep_alive_interval(0)));
    note("keep-alive count 0", answer(new().set_keep_alive_count(0)));
    note("hop limit 0", answer(new().set_hop_limit(0)));
    note("receive buffer 0", answer(new().set_receive_buffer_size(0)));
    note("send buffer 0", answer(new().set_send_buffer_size(0)));
    answers
}

pub fn options() -> Result<Vec<String>, ErrorCode> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
    let mut values = Vec::new();
    values.push(format!("keep-alive {}", socket.keep_alive_enabled()?));
    socket.set_keep_alive_enabled(true)?;
    values.push(format!("keep-alive {}", socket.keep_alive_enabled()?));
    socket.set_keep_alive_idle_time(42_000_000_000)?;
    values.push(format!("idle {}", socket.keep_alive_idle_time()?));
    // Rounded up to what the system can keep.
    socket.set_keep_alive_interval(1)?;
    values.push(format!("interval {}", socket.keep_alive_interval()?));
    socket.set_keep_alive_count(5)?;
    values.push(format!("count {}", socket.keep_alive_count()?));
    socket.set_hop_limit(33)?;
    values.push(format!("hops {}", socket.hop_limit()?));
    socket.set_receive_buffer_size(0x1_0000)?;
    values.push(format!("receive {}", socket.receive_buffer_size()?));
    socket.set_send_buffer_size(0x1_0000)?;
    values.push(format!("send {}", socket.send_buffer_size()?));
    let ipv4 = matches!(socket.address_family(), IpAddressFamily::Ipv4);
    values.push(format!("ipv4 {ipv4}"));
    Ok(values)
}

pub fn accept_all(to: u16) -> Result<(u32, String), String> {
    let socket = listen(address(LOCALHOST, 0))?;
    report(&socket, to)?;
    let mut kept = Vec::new();
    loop {
        match accept(&socket) {
            Ok(connection) => kept.push(connection),
            Err(error) => return Ok((kept.len() as u32, error)),
        }
    }
}
