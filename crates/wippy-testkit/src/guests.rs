//! The checked-in guest programs: where they are, their bytes and their hashes.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the workspace is where it was built")
}

/// The built binary of a guest.
pub fn path(name: &str) -> PathBuf {
    let path = workspace().join("guests/built").join(format!("{name}.wasm"));
    assert!(path.is_file(), "there is no guest {name}: guests/README.md lists them");
    path
}

/// The bytes of a guest.
pub fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).expect("a guest can be read")
}

/// The hash of a guest, as entries pin it.
pub fn hash(name: &str) -> String {
    hash_of(&bytes(name))
}

/// The hash of these bytes, as entries pin it.
pub fn hash_of(bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}
