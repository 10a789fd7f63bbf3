//! A guest's stdin, stdout and stderr: the terminal on a terminal host, else an empty
//! stdin and the log.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Poller, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};
use wippy_host::{GuestLog, Stream, Terminal};

/// What one write to the log may take at once.
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
            Self::Terminal(terminal, stream) => terminal.write(*stream, bytes),
            Self::Log(log) => {
                log.lock().write(bytes);
                Ok(())
            }
        }
    }

    /// What a write takes now without waiting for a reader.
    fn room(&self) -> usize {
        match self {
            Self::Terminal(terminal, stream) => terminal.room(*stream),
            Self::Log(_) => WRITE_BYTES_MAX,
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(terminal, stream) if terminal.shows_a_person(*stream))
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(OutputWriter { output: self.clone(), wait: None })
    }
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        if let Self::Terminal(terminal, stream) = self {
            terminal.writable(*stream).await;
        }
    }
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
        Ok(self.room())
    }
}

/// The output as tokio has it; `wait` is how long until a full stream is looked at again.
struct OutputWriter {
    output: Output,
    wait: Option<Pin<Box<Sleep>>>,
}

impl AsyncWrite for OutputWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        poller: &mut Poller<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(poller));
                self.wait = None;
            }
            match self.output.room() {
                0 => self.wait = Some(Box::pin(sleep(Duration::from_millis(2)))),
                room => {
                    let bytes = bytes.get(..room).unwrap_or(bytes);
                    return Poll::Ready(self.output.write_now(bytes).map(|()| bytes.len()));
                }
            }
        }
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
        self.0.reads_a_person()
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(InputReader { input: self.clone(), ended: false })
    }
    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(InputReader { input: self.clone(), ended: false })
    }
}

struct InputReader {
    input: Input,
    ended: bool,
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
            return Err(StreamError::Closed);
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
