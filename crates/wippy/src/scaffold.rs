//! `wippy init` and `wippy new TEMPLATE`: projects that run at once.
//!
//! The files are those below `templates/`. `{hash}` in them becomes the hash of the binary
//! that comes along.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wippy_registry::Hash;

use crate::cli::{NewArgs, Template};
use crate::failure::{Failure, Outcome, status};
use crate::output;

/// Files of a project: path and content.
type Files = &'static [(&'static str, &'static str)];

/// A file of a template that is text.
macro_rules! text {
    ($template:literal, $name:literal) => {
        ($name, include_str!(concat!("../templates/", $template, "/", $name)))
    };
}

/// What every project has.
const COMMON: Files = &[
    ("wippy.lock", include_str!("../templates/common/wippy.lock")),
    (".wippy.yaml", include_str!("../templates/common/wippy.yaml")),
    (".gitignore", include_str!("../templates/common/gitignore")),
];

const INIT: Files = &[text!("init", "src/_index.yaml"), text!("init", "src/hello.lua")];

const RUST: Files = &[
    text!("rust", "README.md"),
    text!("rust", "build.sh"),
    ("greet/Cargo.toml", include_str!("../templates/rust/greet/Cargo.toml.in")),
    ("greet/src/lib.rs", include_str!("../templates/rust/greet/src/lib.rs.in")),
    text!("rust", "src/_index.yaml"),
];

const C: Files = &[
    text!("c", "README.md"),
    text!("c", "build.sh"),
    text!("c", "greet/greet.c"),
    text!("c", "src/_index.yaml"),
];

const WAT: Files = &[
    text!("wat", "README.md"),
    text!("wat", "build.sh"),
    text!("wat", "greet/greet.wat"),
    text!("wat", "src/_index.yaml"),
];

const LUA: Files =
    &[text!("lua", "README.md"), text!("lua", "src/_index.yaml"), text!("lua", "src/greet.lua")];

/// Where the binary of a template is.
const BINARY: &str = "wasm/greet.wasm";

/// The files of a template, and its binary, built from the sources that come along.
fn template(template: Template) -> (Files, &'static [u8]) {
    const HELLO_WAT: &[u8] = include_bytes!("../../../guests/built/hello-wat.wasm");
    match template {
        Template::Rust => (RUST, include_bytes!("../../../guests/built/hello-rust.wasm")),
        Template::C => (C, include_bytes!("../templates/c/greet.wasm")),
        Template::Wat => (WAT, HELLO_WAT),
        Template::Lua => (LUA, HELLO_WAT),
    }
}

/// Makes a project of the working directory.
pub(crate) fn init() -> Outcome {
    let folder = Path::new(".");
    let made = write(folder, &[COMMON, INIT], None)?;
    let next = "run it: wippy run hello World\n";
    output::print(&format!("{}{next}", list(&made)))?;
    Ok(status::OK)
}

/// Makes a project from a template, in a folder of its own.
pub(crate) fn new(args: &NewArgs) -> Outcome {
    let name = args.template.name();
    let folder = args.target.clone().unwrap_or_else(|| format!("hello-{name}").into());
    let occupied = fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(Failure::usage_with_help(
            "exists",
            format!("the folder {} is not empty", folder.display()),
            format!("name another: wippy new {name} DIR"),
        ));
    }
    let (files, binary) = template(args.template);
    let made = write(&folder, &[COMMON, files], Some(binary))?;
    let shown = folder.display();
    let next = format!("run it: wippy run -C {shown} greet World\n");
    output::print(&format!("{}{next}", list(&made)))?;
    Ok(status::OK)
}

fn list(made: &[PathBuf]) -> String {
    made.iter().map(|path| format!("made {}\n", path.display())).collect()
}

/// Writes the files of a project; refuses before the first one if any is there.
fn write(folder: &Path, sets: &[Files], binary: Option<&[u8]>) -> Result<Vec<PathBuf>, Failure> {
    let hash = binary.map(|bytes| Hash::of(bytes).to_string()).unwrap_or_default();
    let texts = sets
        .iter()
        .copied()
        .flatten()
        .map(|(name, text)| (*name, text.replace("{hash}", &hash).into_bytes()));
    let mut files: Vec<(&str, Vec<u8>)> = texts.collect();
    files.extend(binary.map(|bytes| (BINARY, bytes.to_owned())));
    let there: Vec<&str> = files
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| folder.join(name).symlink_metadata().is_ok())
        .collect();
    if !there.is_empty() {
        return Err(Failure::usage_with_help(
            "exists",
            format!("this folder has {} already", there.join(", ")),
            "`wippy init` and `wippy new` overwrite nothing: choose an empty folder",
        ));
    }
    let mut made = Vec::with_capacity(files.len());
    for (name, content) in files {
        let path = match folder == Path::new(".") {
            true => PathBuf::from(name),
            false => folder.join(name),
        };
        write_one(&path, &content).map_err(|error| Failure::file("write", &path, &error))?;
        made.push(path);
    }
    Ok(made)
}

fn write_one(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content)?;
    if path.extension().is_some_and(|extension| extension == "sh") {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
