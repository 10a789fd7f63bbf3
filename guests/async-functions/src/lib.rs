//! Functions of WASI 0.3, for no system at all: asynchronous exports that wait, that run
//! subtasks, that misbehave, and that pass streams. `wit/world.wit` lists them.

mod bindings {
    wit_bindgen::generate!({ path: "wit", generate_all });
}

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use bindings::wasi::cli::stdout;
use bindings::wasi::clocks::monotonic_clock::{now, wait_for};
use bindings::{Guest, wit_future, wit_stream};
use wit_bindgen::{FutureReader, StreamReader, StreamResult};

const MS: u64 = 1_000_000;
const HOUR: u64 = 3_600_000 * MS;

struct AsyncFunctions;

impl Guest for AsyncFunctions {
    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    fn add_late(a: u32, b: u32, ms: u64) -> u32 {
        wit_bindgen::block_on(wait_for(ms * MS));
        a.wrapping_add(b)
    }

    async fn sleep_then_add(a: u32, b: u32, ms: u64) -> u32 {
        wait_for(ms * MS).await;
        a.wrapping_add(b)
    }

    async fn sleep_together(ms: Vec<u64>) -> (u64, u64) {
        let start = now();
        let slept = Cell::new(0);
        all(ms.iter().map(|ms| async {
            let start = now();
            wait_for(*ms * MS).await;
            slept.set(slept.get() + (now() - start) / MS);
        }))
        .await;
        (slept.get(), (now() - start) / MS)
    }

    async fn greet(name: String) -> Result<String, String> {
        wait_for(MS).await;
        match name.as_str() {
            "" => Err("nobody to greet".to_owned()),
            name => Ok(format!("Hello, {name}!")),
        }
    }

    async fn nothing() {}

    async fn pump(bytes: u64) -> u64 {
        const PIECE: u64 = 16 << 10;
        let (mut writer, mut reader) = wit_stream::new::<u8>();
        let write = async move {
            let mut left = bytes;
            while left > 0 {
                let piece = left.min(PIECE);
                writer.write_all(vec![7; piece as usize]).await;
                left -= piece;
            }
        };
        let sum = Cell::new(0);
        let read = async {
            let mut buffer = Vec::with_capacity(PIECE as usize);
            loop {
                let (result, mut read) = reader.read(buffer).await;
                sum.set(sum.get() + read.iter().map(|byte| u64::from(*byte)).sum::<u64>());
                if result == StreamResult::Dropped {
                    break;
                }
                read.clear();
                buffer = read;
            }
        };
        both(write, read).await;
        sum.get()
    }

    async fn print_late(ms: u64) -> String {
        wit_bindgen::spawn_local(async move {
            wait_for(ms * MS).await;
            let (mut writer, reader) = wit_stream::new::<u8>();
            let written = stdout::write_via_stream(reader);
            writer.write_all(b"late\n".to_vec()).await;
            drop(writer);
            let _ = written.await;
        });
        "early".to_owned()
    }

    async fn return_then_sleep() -> u32 {
        wit_bindgen::spawn_local(wait_for(HOUR));
        7
    }

    async fn trap_in_subtask(ms: u64) {
        let traps = async {
            wait_for(ms * MS).await;
            trap_here();
        };
        both(wait_for(HOUR), traps).await;
    }

    async fn spin() {
        let mut count = 0_u64;
        loop {
            count = std::hint::black_box(count.wrapping_add(1));
        }
    }

    async fn yield_for_ever() {
        loop {
            wit_bindgen::yield_async().await;
        }
    }

    async fn sleep_for_ever() {
        loop {
            wait_for(HOUR).await;
        }
    }

    async fn deadlock() {
        let (writer, mut reader) = wit_stream::new::<u8>();
        reader.next().await;
        drop(writer);
    }

    async fn hoard() {
        let pieces = RefCell::new(Vec::new());
        loop {
            pieces.borrow_mut().push(std::hint::black_box(vec![1_u8; 256 << 10]));
            wait_for(10_000).await;
        }
    }

    async fn many_subtasks(count: u32, ms: u64) -> u32 {
        let done = Cell::new(0);
        all((0..count).map(|_| async {
            wait_for(ms * MS).await;
            done.set(done.get() + 1);
        }))
        .await;
        done.get()
    }

    async fn count(to: u8) -> StreamReader<u8> {
        let (mut writer, reader) = wit_stream::new::<u8>();
        wit_bindgen::spawn_local(async move {
            writer.write_all((1..=to).collect()).await;
        });
        reader
    }

    async fn collect(bytes: StreamReader<u8>) -> Vec<u8> {
        bytes.collect().await
    }

    fn ticket() -> FutureReader<u32> {
        let (_, reader) = wit_future::new::<u32>(|| 42);
        reader
    }
}

#[inline(never)]
fn trap_here() {
    core::arch::wasm32::unreachable()
}

/// Waits for both.
async fn both(first: impl Future<Output = ()>, second: impl Future<Output = ()>) {
    let futures: [Pin<Box<dyn Future<Output = ()> + '_>>; 2] = [Box::pin(first), Box::pin(second)];
    all(futures).await;
}

/// Waits for all.
async fn all<F: Future<Output = ()>>(futures: impl IntoIterator<Item = F>) {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    poll_fn(|context| {
        running.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

bindings::export!(AsyncFunctions with_types_in bindings);
