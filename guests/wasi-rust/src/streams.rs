//! The words for streams. `S` is the name of a stream, `N` that of a descriptor.

use wasip2::cli::{stderr, stdin, stdout};
use wasip2::clocks::monotonic_clock;
use wasip2::filesystem::types::filesystem_error_code;
use wasip2::io::poll::poll;
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use crate::files::code;
use crate::{Answer, Slots, done, number};

fn error(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => match filesystem_error_code(&error) {
            Some(error) => format!("failed {}", code(error)),
            None => format!("failed {}", error.to_debug_string()),
        },
    }
}

fn text(bytes: Result<Vec<u8>, StreamError>) -> Answer {
    bytes.map_err(error).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn unit(result: Result<(), StreamError>) -> Answer {
    result.map_err(error).and_then(|()| done())
}

impl Slots {
    /// Runs a line that is about streams.
    pub(crate) fn stream(&mut self, words: &[&str]) -> Option<Answer> {
        Some(match *words {
            ["input", name, of, offset] => {
                let stream = self.descriptor(of).read_via_stream(number(offset)).map_err(code);
                stream.and_then(|stream| {
                    self.inputs.insert(name.to_owned(), stream);
                    done()
                })
            }
            ["output", name, of, offset] => {
                let stream = self.descriptor(of).write_via_stream(number(offset)).map_err(code);
                self.keep_output(name, stream)
            }
            ["append", name, of] => {
                let stream = self.descriptor(of).append_via_stream().map_err(code);
                self.keep_output(name, stream)
            }
            ["stdin", name] => {
                self.inputs.insert(name.to_owned(), stdin::get_stdin());
                done()
            }
            ["stdout", name] => self.keep_output(name, Ok(stdout::get_stdout())),
            ["stderr", name] => self.keep_output(name, Ok(stderr::get_stderr())),
            // Reading: -wait blocks, -now does not.
            ["read-wait", name, len] => text(self.inputs[name].blocking_read(number(len))),
            ["read-wait-len", name, len] => {
                let read = self.inputs[name].blocking_read(number(len));
                read.map_err(error).map(|bytes| bytes.len().to_string())
            }
            ["read-now", name, len] => text(self.inputs[name].read(number(len))),
            ["skip-wait", name, len] => {
                let skipped = self.inputs[name].blocking_skip(number(len));
                skipped.map_err(error).map(|len| len.to_string())
            }
            // Until the end: how many bytes.
            ["drain", name] => {
                let mut total = 0;
                loop {
                    match self.inputs[name].blocking_read(1 << 20) {
                        Ok(bytes) => total += bytes.len(),
                        Err(StreamError::Closed) => return Some(Ok(total.to_string())),
                        Err(failed) => return Some(Err(error(failed))),
                    }
                }
            }
            ["write-wait", name, ref rest @ ..] => {
                unit(self.outputs[name].blocking_write_and_flush(rest.join(" ").as_bytes()))
            }
            ["write-now", name, ref rest @ ..] => {
                unit(self.outputs[name].write(rest.join(" ").as_bytes()))
            }
            ["line", name, ref rest @ ..] => {
                let line = format!("{}\n", rest.join(" "));
                unit(self.outputs[name].blocking_write_and_flush(line.as_bytes()))
            }
            // LINES lines of LEN bytes.
            ["lines", name, lines, len] => {
                let mut line = vec![b'x'; number(len) as usize];
                line.push(b'\n');
                for _ in 0..number(lines) {
                    for chunk in line.chunks(4096) {
                        if let Err(failed) = self.outputs[name].blocking_write_and_flush(chunk) {
                            return Some(Err(error(failed)));
                        }
                    }
                }
                done()
            }
            ["check-write", name] => {
                self.outputs[name].check_write().map_err(error).map(|len| len.to_string())
            }
            ["flush-wait", name] => unit(self.outputs[name].blocking_flush()),
            ["zeroes-wait", name, len] => {
                unit(self.outputs[name].blocking_write_zeroes_and_flush(number(len)))
            }
            ["zeroes-now", name, len] => unit(self.outputs[name].write_zeroes(number(len))),
            ["splice-wait", to, from, len] => {
                let moved = self.outputs[to].blocking_splice(&self.inputs[from], number(len));
                moved.map_err(error).map(|len| len.to_string())
            }
            ["input-ready", name] => Ok(self.inputs[name].subscribe().ready().to_string()),
            ["input-block", name] => {
                self.inputs[name].subscribe().block();
                done()
            }
            // poll NS NS...: the indexes that are ready first.
            ["poll", ref durations @ ..] => {
                let subscribe = |word: &&str| monotonic_clock::subscribe_duration(number(word));
                let pollables: Vec<_> = durations.iter().map(subscribe).collect();
                let ready = poll(&pollables.iter().collect::<Vec<_>>());
                Ok(ready.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
            }
            ["poll-nothing"] => {
                poll(&[]);
                done()
            }
            ["pollables-many", count] => {
                for _ in 0..number(count) {
                    self.pollables.push(monotonic_clock::subscribe_duration(0));
                }
                done()
            }
            ["drop", name] => {
                self.inputs.remove(name).map(drop::<InputStream>);
                self.outputs.remove(name).map(drop::<OutputStream>);
                done()
            }
            _ => return None,
        })
    }

    fn keep_output(&mut self, name: &str, stream: Result<OutputStream, String>) -> Answer {
        self.outputs.insert(name.to_owned(), stream?);
        done()
    }
}
