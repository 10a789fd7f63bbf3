//! A small HTTP server on loopback, which does by path what tests need: well and badly.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The server; it ends with its value.
pub(crate) struct Server {
    pub(crate) port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// Connections open.
    open: AtomicUsize,
    /// The most that were open at once.
    open_most: AtomicUsize,
    /// Bytes of bodies that were handed to the system.
    written: AtomicU64,
}

struct OpenGuard(Arc<State>);

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                tokio::spawn(async move {
                    let open = state.open.fetch_add(1, Relaxed) + 1;
                    state.open_most.fetch_max(open, Relaxed);
                    let guard = OpenGuard(state);
                    // A client that goes away is no failure of the server.
                    let _ = serve(stream, &guard.0).await;
                });
            }
        });
        Self { port, state, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn open_most(&self) -> usize {
        self.state.open_most.load(Relaxed)
    }

    pub(crate) fn written(&self) -> u64 {
        self.state.written.load(Relaxed)
    }

    /// Waits until so many connections are open.
    pub(crate) async fn until_open(&self, connections: usize) {
        for _ in 0..1_000 {
            if self.state.open.load(Relaxed) == connections {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} connections are open", self.state.open.load(Relaxed));
    }
}

/// A request's head.
struct Head {
    line: String,
    fields: Vec<(String, String)>,
}

impl Head {
    async fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Self> {
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        let fields = fields(reader).await?;
        Ok(Self { line: line.trim_end().to_owned(), fields })
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

async fn fields(reader: &mut BufReader<TcpStream>) -> io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => fields.push((name.to_owned(), value.trim().to_owned())),
            None => return Ok(fields),
        }
    }
}

/// The body and its trailers.
async fn body(
    reader: &mut BufReader<TcpStream>,
    head: &Head,
) -> io::Result<(Vec<u8>, Vec<(String, String)>)> {
    let mut bytes = Vec::new();
    if let Some(length) = head.get("content-length") {
        bytes.resize(length.parse().map_err(io::Error::other)?, 0);
        reader.read_exact(&mut bytes).await?;
        return Ok((bytes, Vec::new()));
    }
    if head.get("transfer-encoding") != Some("chunked") {
        return Ok((bytes, Vec::new()));
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        let length = usize::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
        if length == 0 {
            return Ok((bytes, fields(reader).await?));
        }
        let start = bytes.len();
        bytes.resize(start + length, 0);
        reader.read_exact(&mut bytes[start..]).await?;
        reader.read_line(&mut line).await?;
    }
}

fn plain(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

async fn serve(stream: TcpStream, state: &State) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let head = Head::read(&mut reader).await?;
    let path = head.line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    let number = query.parse::<u64>().unwrap_or_default();
    let answer = match path {
        "/hello" if head.line.starts_with("HEAD ") => {
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n".to_owned()
        }
        "/hello" => plain("200 OK", "hello"),
        "/204" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "/404" => plain("404 Not Found", "nothing here"),
        "/redirect" => {
            "HTTP/1.1 302 Found\r\nlocation: /hello\r\ncontent-length: 0\r\n\r\n".to_owned()
        }
        "/head" => {
            let fields: Vec<_> =
                head.fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            plain("200 OK", &format!("{}\n{}", head.line, fields.join("\n")))
        }
        "/count" => {
            let (bytes, trailers) = body(&mut reader, &head).await?;
            let right = bytes.iter().all(|byte| *byte == b'x');
            plain("200 OK", &format!("{} bytes, {right}, trailers {trailers:?}", bytes.len()))
        }
        "/echo" => {
            let (bytes, _) = body(&mut reader, &head).await?;
            plain("200 OK", &String::from_utf8_lossy(&bytes))
        }
        "/chunked" => format!("{CHUNKED}3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"),
        "/trailers" => format!("{CHUNKED}4\r\nbody\r\n0\r\nx-sum: 42\r\nx-other: yes\r\n\r\n"),
        "/until-close" => "HTTP/1.1 200 OK\r\n\r\nuntil the end".to_owned(),
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(number)).await;
            plain("200 OK", "at last")
        }
        "/stall" => {
            reader.write_all(format!("{CHUNKED}5\r\nfirst\r\n").as_bytes()).await?;
            reader.flush().await?;
            return until_closed(&mut reader).await;
        }
        "/silent" => {
            return until_closed(&mut reader).await;
        }
        "/partial" => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_owned(),
        "/close" => return Ok(()),
        "/garbage" => "this is not HTTP\r\n\r\n".to_owned(),
        "/large-header" => {
            format!("HTTP/1.1 200 OK\r\nx-bomb: {}\r\n\r\n", "x".repeat(1 << 20))
        }
        "/many-headers" => format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-bomb: 1\r\n".repeat(10_000)),
        "/headers" => {
            // As many bytes in one header as the query says.
            let value = "x".repeat(number as usize);
            format!("HTTP/1.1 200 OK\r\nx-large: {value}\r\ncontent-length: 0\r\n\r\n")
        }
        "/bytes" => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {number}\r\n\r\n");
            reader.write_all(head.as_bytes()).await?;
            return pour(&mut reader, state, number).await;
        }
        _ => plain("404 Not Found", "no such test"),
    };
    reader.write_all(answer.as_bytes()).await?;
    reader.flush().await?;
    reader.shutdown().await
}

/// Says nothing more, and waits until the client is gone.
async fn until_closed(reader: &mut BufReader<TcpStream>) -> io::Result<()> {
    while reader.read(&mut [0; 1024]).await? > 0 {}
    Ok(())
}

async fn pour(reader: &mut BufReader<TcpStream>, state: &State, total: u64) -> io::Result<()> {
    let chunk = vec![b'x'; 64 << 10];
    let mut left = total;
    while left > 0 {
        let part = left.min(chunk.len() as u64) as usize;
        let written = reader.get_mut().write(&chunk[..part]).await?;
        state.written.fetch_add(written as u64, Relaxed);
        left -= written as u64;
    }
    reader.shutdown().await
}
