//! A directory that no path leaves: an `fs.directory` entry at run time.
//!
//! Every path is resolved below the directory by `cap-std`, so neither `..` nor a symlink
//! leads out, and no check can be raced.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::VolumeError;

/// A directory that no path leaves.
#[derive(Debug)]
pub struct Volume {
    directory: PathBuf,
    dir: Dir,
}

impl Volume {
    /// Opens a directory; with `auto_init` makes it first, with the given Unix mode.
    ///
    /// # Errors
    ///
    /// [`VolumeError::Missing`] or [`VolumeError::Open`].
    pub fn open(directory: &Path, auto_init: bool, mode: Option<u32>) -> Result<Self, VolumeError> {
        let opened = match Dir::open_ambient_dir(directory, ambient_authority()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && auto_init => {
                make(directory, mode)
                    .and_then(|()| Dir::open_ambient_dir(directory, ambient_authority()))
            }
            opened => opened,
        };
        match opened {
            Ok(dir) => Ok(Self { directory: directory.to_owned(), dir }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(VolumeError::Missing(directory.to_owned()))
            }
            Err(source) => Err(VolumeError::Open { path: directory.to_owned(), source }),
        }
    }

    /// The directory on the host.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A path to the directory that was opened, whatever its name means by now: on Linux
    /// through the open handle itself.
    pub fn handle_path(&self) -> PathBuf {
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsRawFd;
            PathBuf::from(format!("/proc/self/fd/{}", self.dir.as_raw_fd()))
        }
        #[cfg(not(target_os = "linux"))]
        self.directory.clone()
    }

    /// A directory inside of this one.
    ///
    /// # Errors
    ///
    /// [`VolumeError::Missing`] or [`VolumeError::Open`], the latter also where the path
    /// leads out.
    pub fn below(&self, path: &str) -> Result<Self, VolumeError> {
        let directory = self.directory.join(path);
        match self.dir.open_dir(path) {
            Ok(dir) => Ok(Self { directory, dir }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(VolumeError::Missing(directory))
            }
            Err(source) => Err(VolumeError::Open { path: directory, source }),
        }
    }

    /// Reads a whole file of at most `bytes_max` bytes. A leading `/` means the volume's
    /// root.
    ///
    /// # Errors
    ///
    /// When there is no such file, it is too large, or the path leads out.
    pub fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, VolumeError> {
        let inside = path.trim_start_matches('/');
        let inside = if inside.is_empty() { "." } else { inside };
        let read_error = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => {
                VolumeError::NoFile { path: path.to_owned(), directory: self.directory.clone() }
            }
            // What cap-std answers when a path would leave the directory.
            io::ErrorKind::PermissionDenied if self.leads_out(inside) => {
                VolumeError::Escapes { path: path.to_owned(), directory: self.directory.clone() }
            }
            _ => VolumeError::Read { path: path.to_owned(), source },
        };
        let mut file = self.dir.open(inside).map_err(read_error)?;
        let bytes = file.metadata().map_err(read_error)?.len();
        if bytes > bytes_max {
            return Err(VolumeError::TooLarge { path: path.to_owned(), bytes, bytes_max });
        }
        let mut content = Vec::with_capacity(bytes as usize);
        // A file that grows meanwhile is cut at the limit all the same.
        Read::by_ref(&mut file).take(bytes_max).read_to_end(&mut content).map_err(read_error)?;
        Ok(content)
    }

    /// Tells an escape from a file without read permission, for the message alone: the
    /// open has already been refused.
    fn leads_out(&self, inside: &str) -> bool {
        let (Ok(root), Ok(target)) =
            (self.directory.canonicalize(), self.directory.join(inside).canonicalize())
        else {
            return inside.split('/').any(|part| part == "..");
        };
        !target.starts_with(root)
    }
}

fn make(directory: &Path, mode: Option<u32>) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    if let Some(mode) = mode {
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode);
    }
    #[cfg(not(unix))]
    let _ = mode;
    builder.create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume() -> (tempfile::TempDir, Volume) {
        let outer = tempfile::tempdir().unwrap();
        std::fs::create_dir(outer.path().join("inner")).unwrap();
        std::fs::write(outer.path().join("secret"), "s").unwrap();
        std::fs::write(outer.path().join("inner/file"), "content").unwrap();
        let volume = Volume::open(&outer.path().join("inner"), false, None).unwrap();
        (outer, volume)
    }

    #[test]
    fn reads_below_its_directory() {
        let (_outer, volume) = volume();
        assert_eq!(volume.read("/file", 100).unwrap(), b"content");
        assert_eq!(volume.read("file", 7).unwrap(), b"content");
        assert!(matches!(volume.read("file", 6), Err(VolumeError::TooLarge { bytes: 7, .. })));
        assert!(matches!(volume.read("/nothing", 100), Err(VolumeError::NoFile { .. })));
    }

    #[test]
    fn no_path_leaves_it() {
        let (outer, volume) = volume();
        std::os::unix::fs::symlink("../secret", outer.path().join("inner/link")).unwrap();
        std::os::unix::fs::symlink(outer.path(), outer.path().join("inner/up")).unwrap();
        std::os::unix::fs::symlink("file", outer.path().join("inner/fine")).unwrap();
        for path in ["../secret", "/../secret", "link", "up/secret", "x/../../secret"] {
            let error = volume.read(path, 100).unwrap_err();
            assert!(
                matches!(error, VolumeError::Escapes { .. } | VolumeError::NoFile { .. }),
                "{path}: {error}"
            );
        }
        assert!(matches!(volume.read("link", 100), Err(VolumeError::Escapes { .. })));
        assert_eq!(volume.read("fine", 100).unwrap(), b"content");
    }

    #[test]
    fn a_directory_below_it_is_inside() {
        let (outer, volume) = volume();
        std::fs::create_dir(outer.path().join("inner/sub")).unwrap();
        std::fs::write(outer.path().join("inner/sub/file"), "below").unwrap();
        std::os::unix::fs::symlink("..", outer.path().join("inner/out")).unwrap();
        assert_eq!(volume.below("sub").unwrap().read("file", 100).unwrap(), b"below");
        assert!(matches!(volume.below("none"), Err(VolumeError::Missing(_))));
        for path in ["..", "out", "sub/../..", "file"] {
            assert!(matches!(volume.below(path), Err(VolumeError::Open { .. })), "{path}");
        }
    }

    #[test]
    fn makes_its_directory_when_told_to() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("a/b");
        let error = Volume::open(&path, false, None).unwrap_err();
        assert!(error.to_string().contains("auto_init: true"), "{error}");
        Volume::open(&path, true, Some(0o700)).unwrap();
        assert!(path.is_dir());
    }
}
