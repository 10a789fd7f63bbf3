//! What goes wrong with a volume.

use std::io;
use std::path::PathBuf;

/// A failed operation on a [`Volume`](crate::Volume).
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The directory is not there and `auto_init` is off.
    #[error("there is no directory {}: make it, or set auto_init: true", .0.display())]
    Missing(PathBuf),
    /// The directory is there and is none, or cannot be opened.
    #[error("cannot open the directory {}: {source}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not in the volume.
    #[error("there is no file {path} in {}", directory.display())]
    NoFile {
        /// The path inside the volume.
        path: String,
        /// The volume's directory.
        directory: PathBuf,
    },
    /// The path leads out of the volume, by `..` or a symlink.
    #[error(
        "{path} leads out of {}: a path may not leave its fs.directory, by symlink either",
        directory.display()
    )]
    Escapes {
        /// The path inside the volume.
        path: String,
        /// The volume's directory.
        directory: PathBuf,
    },
    /// The file is larger than the reader takes.
    #[error("{path} has {bytes} bytes; the most that is read is {bytes_max}")]
    TooLarge {
        /// The path inside the volume.
        path: String,
        /// What it has.
        bytes: u64,
        /// What is allowed.
        bytes_max: u64,
    },
    /// Reading failed.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The path inside the volume.
        path: String,
        /// Why.
        source: io::Error,
    },
}
