//! Filesystems.

use crate::schema::{Mode, Name, record};

record! {
    /// A folder of the computer as a filesystem. No path ever leaves it.
    pub struct FsDirectory {
        /// The folder, relative to the project root.
        directory: String as Name => required,
        /// Whether the folder is created where it is missing.
        auto_init: bool => or(false),
        /// The permission bits of a folder that is created.
        mode: u32 as Mode => or(0o755),
    }
}
