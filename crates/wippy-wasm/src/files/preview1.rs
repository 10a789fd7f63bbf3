//! The functions of preview1 that the host counts or shortens, for core modules.
//!
//! Reads and writes of files go through a buffer of the host that is as large as the guest's
//! own. A larger one than [`IO_BYTES_MAX`] is read or written in part, as POSIX allows and
//! every libc expects, instead of failing for want of memory.

use wasmtime::{AsContextMut, Caller, Extern, Linker};
use wasmtime_wasi::p1::wasi_snapshot_preview1::{self as functions, WasiSnapshotPreview1};
use wiggle::GuestMemory;

use crate::files::listings;
use crate::guest::Guest;
use crate::interfaces::PREVIEW1;

/// The most that one read or write of a file moves.
const IO_BYTES_MAX: u32 = 1 << 20;

/// `errno::mfile`: too many open files.
const MFILE: i32 = 33;

/// Buffers of one call that are looked at for the first that is not empty.
const BUFFERS_MAX: u32 = 1024;

/// Calls a function of wasmtime-wasi's preview1 on the guest's memory.
macro_rules! forward {
    ($caller:ident, $function:ident($($arg:expr),*)) => {{
        let fuel = fuel(&mut $caller);
        match $caller.get_export("memory") {
            Some(Extern::Memory(memory)) => {
                let (bytes, guest) = memory.data_and_store_mut(&mut $caller);
                let context = guest.wasi1();
                context.set_hostcall_fuel(fuel);
                let mut memory = GuestMemory::Unshared(bytes);
                functions::$function(context, &mut memory, $($arg),*).await
            }
            Some(Extern::SharedMemory(memory)) => {
                let context = $caller.data_mut().wasi1();
                context.set_hostcall_fuel(fuel);
                let mut memory = GuestMemory::Shared(memory.data());
                functions::$function(context, &mut memory, $($arg),*).await
            }
            _ => Err(wasmtime::Error::msg("missing required memory export")),
        }
    }};
}

/// Defines a function that takes buffers, the first of them shortened.
macro_rules! shorten_buffers {
    ($linker:ident, $function:ident($($rest:ident: $ty:ty),*)) => {
        $linker.func_wrap_async(
            PREVIEW1,
            stringify!($function),
            |mut caller: Caller<'_, Guest>,
             (fd, buffers, count, $($rest),*): (i32, i32, i32, $($ty),*)| {
                Box::new(async move {
                    let shortened = Shortened::new(&mut caller, buffers, count);
                    let errno = forward!(caller, $function(fd, buffers, count, $($rest),*));
                    shortened.restore(&mut caller);
                    errno
                })
            },
        )?;
    };
}

/// Puts the counting functions before wasmtime-wasi's.
pub(crate) fn shadow(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.func_wrap_async(
        PREVIEW1,
        "path_open",
        |mut caller: Caller<'_, Guest>,
         (dir, at, path, path_len, open, rights, inheriting, flags, result): (
            i32,
            i32,
            i32,
            i32,
            i32,
            i64,
            i64,
            i32,
            i32,
        )| {
            Box::new(async move {
                if !caller.data_mut().has_room1() {
                    return Ok(MFILE);
                }
                let errno = forward!(
                    caller,
                    path_open(dir, at, path, path_len, open, rights, inheriting, flags, result)
                )?;
                if errno == 0 {
                    caller.data_mut().files.opened1();
                }
                Ok(errno)
            })
        },
    )?;
    shorten_buffers!(linker, fd_read(result: i32));
    shorten_buffers!(linker, fd_write(result: i32));
    shorten_buffers!(linker, fd_pread(offset: i64, result: i32));
    shorten_buffers!(linker, fd_pwrite(offset: i64, result: i32));
    listings::shadow(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// What one call may bring to the host.
pub(super) fn fuel(caller: &mut Caller<'_, Guest>) -> usize {
    caller.as_context_mut().hostcall_fuel()
}

/// The first buffer of a call, made shorter in the guest's memory while the call runs. The
/// guest stands still meanwhile, and finds its length as it was; wasmtime-wasi takes only
/// the first buffer that is not empty.
struct Shortened(Option<(usize, [u8; 4])>);

impl Shortened {
    fn new(caller: &mut Caller<'_, Guest>, buffers: i32, count: i32) -> Self {
        let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
            return Self(None);
        };
        let (bytes, guest) = memory.data_and_store_mut(&mut *caller);
        let budget = u32::try_from(guest.limits().host_buffer_bytes / 2).unwrap_or(u32::MAX);
        Self(shorten(bytes, buffers as u32, count as u32, IO_BYTES_MAX.min(budget.max(1))))
    }

    fn restore(self, caller: &mut Caller<'_, Guest>) {
        if let Self(Some((at, length))) = self
            && let Some(Extern::Memory(memory)) = caller.get_export("memory")
            && let Some(place) = memory.data_mut(caller).get_mut(at..at + 4)
        {
            place.copy_from_slice(&length);
        }
    }
}

/// Shortens the first buffer that is not empty; gives where its length stood, and the length.
/// A buffer is a pointer and a length, four bytes each.
fn shorten(memory: &mut [u8], buffers: u32, count: u32, max: u32) -> Option<(usize, [u8; 4])> {
    for number in 0..count.min(BUFFERS_MAX) {
        let at = buffers as usize + number as usize * 8 + 4;
        let place = memory.get_mut(at..at.checked_add(4)?)?;
        let length: [u8; 4] = <[u8; 4]>::try_from(&*place).ok()?;
        match u32::from_le_bytes(length) {
            0 => {}
            length_now if length_now <= max => return None,
            _ => {
                place.copy_from_slice(&max.to_le_bytes());
                return Some((at, length));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::shorten;

    fn memory(lengths: &[u32]) -> Vec<u8> {
        let mut memory = vec![0; 8];
        for length in lengths {
            memory.extend_from_slice(&100u32.to_le_bytes());
            memory.extend_from_slice(&length.to_le_bytes());
        }
        memory
    }

    #[test]
    fn the_first_buffer_that_is_not_empty_is_shortened() {
        let mut bytes = memory(&[0, 5000, 6000]);
        let (at, length) = shorten(&mut bytes, 8, 3, 1000).unwrap();
        assert_eq!((at, u32::from_le_bytes(length)), (20, 5000));
        assert_eq!(bytes, memory(&[0, 1000, 6000]));
    }

    #[test]
    fn what_is_short_or_outside_stays() {
        for (buffers, count) in [(8, 3), (8, 0), (4_000_000_000, 1), (u32::MAX, u32::MAX)] {
            let mut bytes = memory(&[0, 500, 6000]);
            assert_eq!(shorten(&mut bytes, buffers, count, 1000), None);
            assert_eq!(bytes, memory(&[0, 500, 6000]));
        }
    }
}
