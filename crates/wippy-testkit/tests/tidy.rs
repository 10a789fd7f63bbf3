//! The habits of the workspace, guarded: each test names every place that breaks one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};
use wippy_testkit::guests;

/// Which crate may use which, as DESIGN says; `wippy-testkit` is for dev-dependencies.
const EDGES: &[(&str, &[&str])] = &[
    ("wippy-model", &[]),
    ("wippy-registry", &["wippy-model"]),
    ("wippy-kernel", &["wippy-model"]),
    ("wippy-host", &["wippy-model", "wippy-kernel"]),
    ("wippy-wasm", &["wippy-model", "wippy-kernel", "wippy-host"]),
    ("wippy-lua", &["wippy-model", "wippy-kernel", "wippy-host"]),
    ("wippy-http", &["wippy-model", "wippy-kernel", "wippy-host"]),
    ("wippy-cluster", &["wippy-model", "wippy-kernel"]),
    ("wippy", &ALL),
    ("wippy-testkit", &ALL),
    ("wippy-benches", &ALL),
];

const ALL: [&str; 8] = [
    "wippy-model",
    "wippy-registry",
    "wippy-kernel",
    "wippy-host",
    "wippy-wasm",
    "wippy-lua",
    "wippy-http",
    "wippy-cluster",
];

const LINES_MAX: usize = 800;

/// What stands in no source file, and why. The names are in two parts, so that this file
/// does not hold them.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("todo", "!(", "finish it or leave it out"),
    ("unimplemented", "!(", "finish it or leave it out"),
    ("dbg", "!(", "remove it"),
    ("#[ign", "ore", "a test that does not run is none"),
    ("#[should_", "panic", "say with assert what goes wrong"),
    ("unbounded", "_channel", "every queue has a limit"),
    ("unbounded", "()", "every queue has a limit"),
    ("std::sync::mpsc::", "channel", "every queue has a limit: sync_channel"),
];

#[test]
fn crates_use_only_what_they_may() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(guests::workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let allowed: BTreeMap<_, _> = EDGES.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some(allowed) = allowed.get(name) else {
            wrong.push(format!("{name} is not in the list of crates"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let target = dependency["name"].as_str().unwrap();
            let development = dependency["kind"].as_str() == Some("dev");
            let ours = target.starts_with("wippy");
            if ours && !allowed.contains(&target) && !(development && target == "wippy-testkit") {
                wrong.push(format!("{name} may not use {target}"));
            }
        }
    }
    none(wrong);
}

#[test]
fn source_files_are_short_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{path}: {lines} lines, {LINES_MAX} are the most"));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{path}: does not start with //!"));
        }
    }
    none(wrong);
}

#[test]
fn nothing_forbidden() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            for (first, second, why) in FORBIDDEN {
                if line.contains(&format!("{first}{second}")) {
                    wrong.push(format!("{path}:{}: {first}{second}: {why}", number + 1));
                }
            }
        }
    }
    none(wrong);
}

/// Paths of the machine that something was built on say nothing to others.
#[test]
fn no_machine_paths() {
    let needles: Vec<Vec<u8>> = [("/ro", "ot/"), ("/ho", "me/"), ("/wo", "rk/"), ("/Us", "ers/")]
        .into_iter()
        .map(|(first, second)| format!("{first}{second}").into_bytes())
        .collect();
    let mut wrong = Vec::new();
    for path in tracked() {
        let bytes = fs::read(guests::workspace().join(&path)).unwrap_or_default();
        for needle in &needles {
            if bytes.windows(needle.len()).any(|window| window == needle) {
                wrong.push(format!("{path}: holds {}", String::from_utf8_lossy(needle)));
            }
        }
    }
    none(wrong);
}

/// The algorithm is described in guests/README.md.
#[test]
fn guests_are_built_from_their_sources() {
    let folder = guests::workspace().join("guests");
    let stamps = fs::read_to_string(folder.join("STAMPS")).unwrap();
    let mut wrong = Vec::new();
    let mut stamped = BTreeSet::new();
    for line in stamps.lines() {
        let mut parts = line.split("  ");
        let (sources, binary) = (parts.next().unwrap(), parts.next().unwrap());
        let name = parts.next().unwrap();
        stamped.insert(format!("{name}.wasm"));
        if hash_of_sources(&folder, name) != sources {
            wrong.push(format!("{name}: its sources changed: run guests/build.sh {name}"));
        }
        if format!("sha256:{binary}") != guests::hash(name) {
            wrong.push(format!("{name}: built/{name}.wasm is not what was stamped"));
        }
    }
    let built = folder.join("built");
    let name = |path: PathBuf| path.strip_prefix(&built).unwrap().display().to_string();
    let built: BTreeSet<String> = files(&built, &|_| true).into_iter().map(name).collect();
    wrong.extend(
        built.symmetric_difference(&stamped).map(|name| format!("{name}: no stamp or no file")),
    );
    none(wrong);
}

/// `templates/c/STAMP` holds the hashes of source and binary: who changes the one builds the
/// other anew, with the template's own `build.sh`.
#[test]
fn templates_hold_binaries_of_their_sources() {
    let root = guests::workspace();
    let templates = root.join("crates/wippy/templates");
    let hash = |name: &str| {
        let bytes = fs::read(templates.join(name)).unwrap();
        guests::hash_of(&bytes).replace("sha256:", "")
    };
    let stamp = fs::read_to_string(templates.join("c/STAMP")).unwrap();
    assert_eq!(format!("{}  {}\n", hash("c/greet/greet.c"), hash("c/greet.wasm")), stamp);
    let guest = fs::read_to_string(root.join("guests/hello-wat/hello-wat.wat")).unwrap();
    assert_eq!(fs::read_to_string(templates.join("wat/greet/greet.wat")).unwrap(), guest);
}

/// The binaries of examples are copies of guests, so that their sources are at hand.
#[test]
fn examples_hold_built_guests() {
    let root = guests::workspace();
    let built: BTreeSet<String> = files(&root.join("guests/built"), &|_| true)
        .into_iter()
        .map(|path| guests::hash_of(&fs::read(path).unwrap()))
        .collect();
    let binaries = files(&root.join("examples"), &|path| has_extension(path, "wasm"));
    let wrong = binaries
        .into_iter()
        .filter(|path| !built.contains(&guests::hash_of(&fs::read(path).unwrap())));
    none(wrong.map(|path| format!("{}: is no built guest", path.display())).collect());
}

/// The README links every page of the docs, so that a reader finds it.
#[test]
fn the_index_of_docs_is_complete() {
    let root = guests::workspace();
    let index = fs::read_to_string(root.join("README.md")).unwrap_or_default();
    let pages = files(&root.join("docs"), &|path| has_extension(path, "md"));
    let wrong = pages.into_iter().filter_map(|path| {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let missing = !index.contains(&format!("({name})"));
        missing.then(|| format!("README.md does not link {name}"))
    });
    none(wrong.collect());
}

#[track_caller]
fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn hash_of_sources(folder: &Path, name: &str) -> String {
    let mut paths = files(&folder.join(name), &|_| true);
    if folder.join(name).join("Cargo.toml").is_file() {
        paths.extend([folder.join("Cargo.toml"), folder.join("Cargo.lock")]);
    }
    let mut named: Vec<(String, PathBuf)> = paths
        .into_iter()
        .map(|path| (path.strip_prefix(folder).unwrap().display().to_string(), path))
        .collect();
    named.sort();
    let mut hash = Sha256::new();
    for (name, path) in named {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(fs::read(path).unwrap());
        hash.update([0]);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The Rust files of the workspace's crates, and of the guests.
fn sources() -> Vec<(String, String)> {
    let root = guests::workspace();
    let mut found = Vec::new();
    for folder in ["crates", "guests", "benches", "fuzz"] {
        for path in files(&root.join(folder), &|path| has_extension(path, "rs")) {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            found.push((name, fs::read_to_string(path).unwrap()));
        }
    }
    assert!(found.len() > 20, "the sources are found");
    found
}

/// What git tracks, or would.
fn tracked() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(guests::workspace())
        .output()
        .unwrap();
    let paths: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    // An archive of the sources has no git: there is nothing to check then.
    assert!(!output.status.success() || paths.len() > 20, "git lists the files");
    paths
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension == wanted)
}

/// The files below a folder, symlinks followed, without build output.
fn files(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            if name == "target" || name == "node_modules" || name == ".git" {
                continue;
            }
            match path.is_dir() {
                true => folders.push(path),
                false if wanted(&path) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}
