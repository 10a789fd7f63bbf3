//! Where the sockets of runtimes are: a folder of mode 0700 that belongs to this user.
//!
//! A runtime and whoever looks at it may have been started in different sessions, with and
//! without `XDG_RUNTIME_DIR`. So a runtime takes the first folder that it can make its own, and
//! a client looks into all of them.

use std::fs::{self, DirBuilder};
use std::hash::BuildHasher;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use wippy_registry::Hash;

/// Names the folder; then there is no other.
const FOLDER_VARIABLE: &str = "WIPPY_RUNTIME_DIR";

/// Sockets that a client looks at in one folder.
const SOCKETS_MAX: usize = 1_000;

/// How long a socket may be without its name: getting one takes no time.
const UNNAMED_MAX: Duration = Duration::from_secs(60);

/// Hexadecimal digits of a project's hash in the name of its sockets.
const HASH_DIGITS: usize = 16;

/// Random hexadecimal digits in the name of a socket.
const RANDOM_DIGITS: usize = 8;

/// The socket of one runtime: it may be stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) path: PathBuf,
    /// Tells projects apart.
    pub(super) project: String,
    /// The runtime's process ID.
    pub(super) process_id: u32,
}

/// Who this process acts as.
pub(super) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The folders, in the order in which runtimes try them.
pub(super) fn candidates() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(named) = variable(FOLDER_VARIABLE) {
        return vec![PathBuf::from(named)];
    }
    let user = user();
    let session = variable("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let mut found: Vec<PathBuf> = Vec::new();
    let all = session.into_iter().chain([PathBuf::from(format!("/run/user/{user}"))]);
    let all = all.map(|folder| folder.join("wippy"));
    let temporary = [std::env::temp_dir(), PathBuf::from("/tmp")];
    for folder in all.chain(temporary.map(|folder| folder.join(format!("wippy-{user}")))) {
        if !found.contains(&folder) {
            found.push(folder);
        }
    }
    found
}

/// Makes a folder, if it is not there, and checks that it is ours alone.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => check(folder),
    }
}

/// Checks that a folder is ours alone. A symlink is not followed: who can replace it chooses
/// whose socket is opened.
pub(super) fn check(folder: &Path) -> io::Result<()> {
    let refuse = |why: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    let found = fs::symlink_metadata(folder)?;
    let (owner, mode) = (found.uid(), found.mode() & 0o777);
    if !found.is_dir() {
        return refuse("it is no folder".to_owned());
    }
    if owner != user() {
        return refuse(format!("it belongs to user {owner}"));
    }
    if mode & 0o077 != 0 {
        return refuse(format!("others may enter it: its mode is {mode:o}, not 700"));
    }
    Ok(())
}

/// What stands for a project in the names of its sockets.
pub(super) fn project(root: &Path) -> String {
    let hash = Hash::of(root.as_os_str().as_bytes()).to_string();
    let digits = hash.rsplit(':').next().unwrap_or_default();
    digits.chars().take(HASH_DIGITS).collect()
}

/// A name for the socket of this process. Process IDs come again, and two containers that share
/// the folder have the same ones: random digits tell them apart.
pub(super) fn name(project: &str) -> String {
    let random = std::hash::RandomState::new().hash_one(std::process::id());
    let random = format!("{random:016x}");
    let random = random.get(..RANDOM_DIGITS).unwrap_or_default();
    format!("{project}-{random}-{}.sock", std::process::id())
}

/// What a socket is called before it has its name.
pub(super) fn unnamed(name: &str) -> String {
    format!(".{name}")
}

/// Removes sockets that never got their name: their runtimes were killed on the way.
pub(super) fn remove_unnamed(folder: &Path) {
    for file in fs::read_dir(folder).into_iter().flatten().flatten().take(SOCKETS_MAX) {
        let name = file.file_name();
        let name = name.to_string_lossy();
        let modified = file.metadata().and_then(|found| found.modified());
        let age = modified.ok().and_then(|modified| modified.elapsed().ok());
        if name.starts_with('.')
            && name.ends_with(".sock")
            && age.is_some_and(|age| age > UNNAMED_MAX)
        {
            let _ = fs::remove_file(file.path());
        }
    }
}

/// The sockets of a folder, if it is ours.
pub(super) fn sockets(folder: &Path) -> Vec<Socket> {
    if check(folder).is_err() {
        return Vec::new();
    }
    let files = fs::read_dir(folder).into_iter().flatten().flatten().take(SOCKETS_MAX);
    let mut found: Vec<Socket> = files.filter_map(|file| socket(file.path())).collect();
    found.sort_by_key(|socket| socket.process_id);
    found
}

fn socket(path: PathBuf) -> Option<Socket> {
    let name = path.file_name()?.to_str()?.strip_suffix(".sock")?;
    let (project, rest) = name.split_once('-')?;
    let (random, process_id) = rest.split_once('-')?;
    let digits = |text: &str, count| {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let ours = digits(project, HASH_DIGITS) && digits(random, RANDOM_DIGITS);
    let (project, process_id) = (project.to_owned(), process_id.parse().ok()?);
    ours.then_some(Socket { path, project, process_id })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_folder_must_be_ours_alone() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("own");
        make(&folder).unwrap();
        make(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);

        let link = root.path().join("link");
        symlink(&folder, &link).unwrap();
        assert_eq!(make(&link).unwrap_err().to_string(), "it is no folder");

        fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
        let open = make(&folder).unwrap_err().to_string();
        assert_eq!(open, "others may enter it: its mode is 750, not 700");
        assert!(make(&root.path().join("no/where")).is_err());
    }

    #[test]
    fn a_socket_without_a_name_does_not_stay() {
        let root = tempfile::tempdir().unwrap();
        let (old, new) = (root.path().join(".a-1.sock"), root.path().join(".a-2.sock"));
        let named = root.path().join("a-3.sock");
        let then = std::time::SystemTime::now() - UNNAMED_MAX * 2;
        for path in [&old, &new, &named] {
            fs::File::create(path).unwrap();
        }
        for path in [&old, &named] {
            fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
        }
        remove_unnamed(root.path());
        assert_eq!([&old, &new, &named].map(|path| path.exists()), [false, true, true]);
    }

    #[test]
    fn names_of_sockets() {
        let project = project(Path::new("/a"));
        let name = name(&project);
        assert_ne!(name, super::name(&project), "another one has another name");
        let found = socket(PathBuf::from("/x").join(&name)).unwrap();
        assert_eq!((found.project, found.process_id), (project, std::process::id()));
        for other in [
            "a-01234567-1.sock",
            "0123456789abcdef-1.sock",
            "0123456789abcdef-0123456-1.sock",
            "0123456789abcdef-01234567-x.sock",
            "0123456789abcdef-01234567-1",
            "README",
        ] {
            assert_eq!(socket(PathBuf::from(other)), None, "{other}");
        }
    }
}
