//! The directories that a guest gets: its mounts, and its working directory.
//!
//! Only components can ask for a working directory, and only some do: wasi-libc and what is
//! built on it (C, Rust's std) look a relative path up among the preopens, as if it were
//! below `/`. So where `wasi.cwd` is inside of a mount, the guest also gets that directory
//! under the name `.`, which is where they look when no mount has the path. With a mount at
//! `/` there is none: `.` and `/` are the same to them, and absolute paths come first.

use wasmtime_wasi::{FsPerms, WasiCtxBuilder};
use wippy_model::{Error, Result};

use crate::spec::Mount;
use crate::unit::Config;

/// Hands the mounts over. Their directories are open since the entry was loaded, so this
/// fails only where handles run out. Gives how many there are.
pub(crate) fn preopen(config: &Config, builder: &mut WasiCtxBuilder) -> Result<usize> {
    for mount in &config.mounts {
        add(config, builder, mount, &mount.guest)?;
    }
    let Some((mount, below)) = working_directory(config) else {
        return Ok(config.mounts.len());
    };
    if below.is_empty() {
        add(config, builder, mount, ".")?;
        return Ok(config.mounts.len() + 1);
    }
    // A directory that is not there (yet) is none; the guest's paths are not found then.
    let Ok(volume) = mount.volume.below(below) else { return Ok(config.mounts.len()) };
    let mount = Mount { volume: volume.into(), ..mount.clone() };
    add(config, builder, &mount, ".")?;
    Ok(config.mounts.len() + 1)
}

fn add(config: &Config, builder: &mut WasiCtxBuilder, mount: &Mount, guest: &str) -> Result<()> {
    let perms = if mount.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
    builder.preopened_dir(mount.volume.handle_path(), guest, perms).map_err(|error| {
        Error::not_found(format!(
            "{}: cannot mount {} at {guest}: {error:#}",
            config.id,
            mount.volume.directory().display(),
        ))
    })?;
    Ok(())
}

/// The mount that the working directory is in, the innermost, and the way on from there.
fn working_directory(config: &Config) -> Option<(&Mount, &str)> {
    let cwd = config.cwd.as_deref()?;
    if config.mounts.iter().any(|mount| mount.guest.trim_matches(['/', '.']).is_empty()) {
        return None;
    }
    let inside = |mount: &Mount| {
        let below = cwd.strip_prefix(mount.guest.trim_end_matches('/'))?;
        (below.is_empty() || below.starts_with('/')).then_some(below.len())
    };
    let innermost =
        config.mounts.iter().filter_map(|mount| Some((inside(mount)?, mount))).min_by_key(|m| m.0);
    innermost.map(|(below, mount)| {
        (mount, cwd.get(cwd.len() - below..).unwrap_or_default().trim_matches('/'))
    })
}
