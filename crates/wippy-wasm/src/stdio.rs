//! A guest's stdin, stdout and stderr: the terminal on a terminal host, else an empty
//! stdin and the log.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Poller, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};
use wippy_host::{GuestLog, Stream, Terminal};

/// What one write may take at once.
const WRITE_BYTES_MAX: usize = 1 << 20;

/// Where a guest's output goes.
#[derive(Clone)]
pub(crate) enum Output {
    Terminal(Arc<Terminal>, Stream),
    Log(Arc<Mutex<GuestLog>>),
}

/// The terminal's stdin.
#[derive(Clone)]
pub(crate) struct Input(pub(crate) Arc<Terminal>);

impl Output {
    fn write_now(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Terminal(terminal, Stream::Stdout) => terminal.write_stdout(bytes),
            Self::Terminal(terminal, Stream::Stderr) => terminal.write_stderr(bytes),
            Self::Log(log) => {
                // Past its limit the guest's output is dropped; the log says so once.
                log.lock().write(bytes);
                Ok(())
            }
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(terminal, _) if terminal.is_interactive())
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.write_now(&bytes).map_err(stream_error)
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Poller<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write_now(bytes).map(|()| bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Poller<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Poller<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        self.0.is_interactive()
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(InputReader { input: self.clone(), ended: false, error: None })
    }
    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(InputReader { input: self.clone(), ended: false, error: None })
    }
}

struct InputReader {
    input: Input,
    ended: bool,
    error: Option<io::Error>,
}

#[wasmtime_wasi::async_trait]
impl Pollable for InputReader {
    async fn ready(&mut self) {
        std::future::poll_fn(|poller| self.input.0.poll_readable(poller)).await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for InputReader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.ended {
            return Err(self.error.take().map_or(StreamError::Closed, stream_error));
        }
        let mut poller = Poller::from_waker(std::task::Waker::noop());
        match self.input.0.poll_read(size, &mut poller) {
            Poll::Pending => Ok(Bytes::new()),
            Poll::Ready(Ok(bytes)) if bytes.is_empty() && size > 0 => {
                self.ended = true;
                Err(StreamError::Closed)
            }
            Poll::Ready(Ok(bytes)) => Ok(bytes),
            Poll::Ready(Err(error)) => Err(stream_error(error)),
        }
    }
}

impl AsyncRead for InputReader {
    fn poll_read(
        self: Pin<&mut Self>,
        poller: &mut Poller<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.input.0.poll_read(buffer.remaining(), poller).map_ok(|bytes| buffer.put_slice(&bytes))
    }
}

fn stream_error(error: io::Error) -> StreamError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => StreamError::Closed,
        _ => StreamError::LastOperationFailed(error.into()),
    }
}
