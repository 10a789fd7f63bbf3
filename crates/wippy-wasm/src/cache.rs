//! Compiled code on disk, so that the second start compiles and encodes nothing.
//!
//! An artifact is machine code: whoever can write the file runs code here. So the folder
//! belongs to this user alone (0700), and each file is opened without following links,
//! must belong to this user, must be writable by nobody else, and must have the length
//! and hash that its record says, before it is mapped through the very handle that was
//! checked. Files appear by rename, so a torn one is never seen under its name. Anything
//! that fails a check counts as absent and is written again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What all artifacts together may take on disk; the oldest go first.
const CACHE_BYTES_MAX: u64 = 4 << 30;

/// When a file that is still half written has no writer any more.
const HALF_WRITTEN_AGE: Duration = Duration::from_secs(3600);

/// Names one compilation: source bytes, WIT, adapter, engine version and settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) [u8; 32]);

/// What is known of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Whether it is a core module's code.
    pub(crate) module: bool,
    /// Whether it needs an engine with concurrency.
    pub(crate) concurrent: bool,
    bytes: u64,
    sha256: String,
}

/// The folder of compiled code; without a usable one nothing is kept.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: Option<PathBuf>,
}

impl Cache {
    /// Opens the folder, making it when it is not there. One that cannot be used is
    /// reported once and left alone.
    pub(crate) fn open(directory: Option<PathBuf>) -> Self {
        let directory = directory.filter(|directory| match private(directory) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(
                    "compiled code is not kept: {}: {error}; every start compiles anew until \
                     the folder can be used (WIPPY_CACHE_DIR names another)",
                    directory.display()
                );
                false
            }
        });
        Self { directory }
    }

    /// The artifact of a key, open and checked.
    pub(crate) fn find(&self, key: Key) -> Option<(Record, File)> {
        let directory = self.directory.as_ref()?;
        let mut text = String::new();
        owned(&directory.join(format!("{key}.json"))).ok()?.read_to_string(&mut text).ok()?;
        let record: Record = serde_json::from_str(&text).ok()?;
        let mut file = owned(&directory.join(format!("{key}.cwasm"))).ok()?;
        if file.metadata().ok()?.len() != record.bytes {
            return None;
        }
        let mut hash = Sha256::new();
        io::copy(&mut file, &mut hash).ok()?;
        (hex(&hash.finalize()) == record.sha256).then_some((record, file))
    }

    /// Keeps an artifact. A failure costs the next start a compilation and no more.
    pub(crate) fn keep(&self, key: Key, module: bool, concurrent: bool, artifact: &[u8]) {
        let Some(directory) = &self.directory else { return };
        let sha256 = hex(&Sha256::digest(artifact));
        let record = Record { module, concurrent, bytes: artifact.len() as u64, sha256 };
        let kept = serde_json::to_vec(&record).map_err(io::Error::from).and_then(|record| {
            // The record last: it vouches for the artifact.
            replace(directory, &format!("{key}.cwasm"), artifact)?;
            replace(directory, &format!("{key}.json"), &record)?;
            sweep(directory)
        });
        if let Err(error) = kept {
            tracing::warn!("compiled code is not kept: {}: {error}", directory.display());
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Makes a folder that is this user's alone, or says why one that is there cannot be
/// trusted.
fn private(directory: &Path) -> io::Result<()> {
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let metadata = fs::symlink_metadata(directory)?;
    if !metadata.is_dir() {
        return Err(io::Error::other("it is no directory"));
    }
    if metadata.uid() != user() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other("others can enter it: chmod 700 it"));
    }
    // Root may write anywhere; for everyone else this finds a read-only folder early.
    let probe = directory.join(format!(".probe-{}", std::process::id()));
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&probe)?;
    fs::remove_file(probe)
}

/// Opens a file that this user wrote and nobody else can.
fn owned(path: &Path) -> io::Result<File> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(no_follow).open(path)?;
    let metadata = file.metadata()?;
    let foreign = metadata.uid() != user() || metadata.permissions().mode() & 0o022 != 0;
    if !metadata.is_file() || foreign {
        tracing::warn!("{} is not this user's alone: not used", path.display());
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(file)
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Removes what a program that was killed left half written, and the oldest artifacts
/// while all together are past [`CACHE_BYTES_MAX`]. A file that is mapped goes on
/// to be usable without its name.
fn sweep(directory: &Path) -> io::Result<()> {
    let mut artifacts = Vec::new();
    let mut bytes = 0;
    for file in fs::read_dir(directory)?.flatten() {
        let (path, Ok(metadata)) = (file.path(), file.metadata()) else { continue };
        let age = metadata.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
        let name = file.file_name();
        let name = name.to_string_lossy();
        if (name.starts_with(".new-") || name.starts_with(".probe-")) && age > HALF_WRITTEN_AGE {
            drop(fs::remove_file(&path));
        } else if name.ends_with(".cwasm") {
            bytes += metadata.len();
            artifacts.push((age, metadata.len(), path));
        }
    }
    artifacts.sort_by_key(|(age, ..)| std::cmp::Reverse(*age));
    for (_, len, path) in artifacts {
        if bytes <= CACHE_BYTES_MAX {
            break;
        }
        bytes -= len;
        // The record first: it vouches for the artifact. Either may be gone already.
        drop(fs::remove_file(path.with_extension("json")));
        drop(fs::remove_file(path));
    }
    Ok(())
}

fn replace(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(directory)?;
    file.write_all(content)?;
    file.persist(directory.join(name))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key([7; 32]);

    fn cache() -> (tempfile::TempDir, Cache, PathBuf) {
        let outer = tempfile::tempdir().unwrap();
        let directory = outer.path().join("wippy");
        let cache = Cache::open(Some(directory.clone()));
        cache.keep(KEY, false, true, b"machine code");
        (outer, cache, directory)
    }

    /// What a program that was killed between two removals has left.
    #[test]
    fn an_artifact_without_its_record_goes_when_there_is_too_much() {
        let (_outer, cache, directory) = cache();
        let orphan = directory.join("orphan.cwasm");
        let file = File::create(&orphan).unwrap();
        file.set_len(CACHE_BYTES_MAX + 1).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        sweep(&directory).unwrap();
        assert!(!orphan.exists());
        assert!(cache.find(KEY).is_some());
    }

    #[test]
    fn what_is_kept_is_found() {
        let (_outer, cache, directory) = cache();
        let (record, _) = cache.find(KEY).unwrap();
        assert!(record.concurrent && !record.module);
        assert!(cache.find(Key([8; 32])).is_none());
        assert_eq!(fs::metadata(directory).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_torn_or_changed_file_counts_as_absent() {
        let (_outer, cache, directory) = cache();
        let path = directory.join(format!("{KEY}.cwasm"));
        for content in [&b"machine cod"[..], b"machine c0de", b""] {
            fs::write(&path, content).unwrap();
            assert!(cache.find(KEY).is_none());
        }
        fs::write(&path, b"machine code").unwrap();
        assert!(cache.find(KEY).is_some());
        fs::write(directory.join(format!("{KEY}.json")), b"{").unwrap();
        assert!(cache.find(KEY).is_none());
    }

    #[test]
    fn a_planted_file_is_refused() {
        let (outer, cache, directory) = cache();
        let path = directory.join(format!("{KEY}.cwasm"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(cache.find(KEY).is_none());
        fs::remove_file(&path).unwrap();
        fs::write(outer.path().join("planted"), b"machine code").unwrap();
        std::os::unix::fs::symlink("../planted", &path).unwrap();
        assert!(cache.find(KEY).is_none());
    }

    #[test]
    fn a_folder_others_can_enter_is_not_used() {
        let (_outer, _cache, directory) = cache();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Cache::open(Some(directory)).find(KEY).is_none());
    }

    #[test]
    fn a_file_in_the_folders_place_is_not_used() {
        let outer = tempfile::NamedTempFile::new().unwrap();
        let cache = Cache::open(Some(outer.path().to_owned()));
        cache.keep(KEY, false, false, b"x");
        assert!(cache.find(KEY).is_none());
    }
}
