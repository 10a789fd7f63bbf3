//! `wippy run FILE.wasm`: a binary without a project.
//!
//! The options become the text of a project file, and that is loaded like any other: the
//! same checks, kernel, limits and exit codes. `--entry` prints the text.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wippy_model::{EntryId, Error};
use wippy_registry::{Grants, Hash, LoadOptions, Project};

use super::command;
use crate::cli::{FileArgs, RunArgs};
use crate::failure::{Failure, Outcome, status};
use crate::log::{Log, Mode};
use crate::node::NodeOptions;
use crate::{output, project, suggest};

/// The namespace of entries made of options.
const NAMESPACE: &str = "app";

/// What the text is called in messages.
const TEXT_NAME: &str = "the options of FILE.wasm";

/// The limits that `--limit` knows: their names, and the fields that they set.
const LIMITS: [(&str, &str); 9] = [
    ("execution", "max_execution_ms"),
    ("files", "max_open_files"),
    ("host-buffer", "host_buffer_bytes"),
    ("http", "http_concurrency"),
    ("instances", "instances"),
    ("memory", "memory_bytes"),
    ("output", "output_bytes"),
    ("sockets", "max_open_sockets"),
    ("table", "table_elements"),
];

/// Runs the file, or prints the project file that the options amount to.
pub(super) fn run(args: &RunArgs, path: &str, words: &[String]) -> Outcome {
    if args.watch {
        return Err(Failure::usage_with_help(
            "usage",
            "--watch is an option of projects, and not of `wippy run FILE.wasm`",
            "--entry prints the project file that this command line amounts to",
        ));
    }
    let file = File::find(Path::new(path))?;
    let text = file.is_text().then(|| file.assembled(path)).transpose()?;
    if args.file.entry {
        if text.is_some() {
            return Err(Failure::usage_with_help(
                "no-binary",
                format!("--entry: {path} is text, and an entry names a binary"),
                "make a binary of it with `wat2wasm` or `wasm-tools parse`, or use a function.wat",
            ));
        }
        let text = file.pinned_entries(&args.file)?;
        output::print(&text)?;
        return Ok(status::OK);
    }
    let log = Log::install(Mode::Command, args.log);
    // What nobody wrote down is not pinned: the hash, and the method without --method.
    let options = LoadOptions { unfilled_hashes: true, ..project::options(&args.project) };
    let method = args.file.method.as_deref().unwrap_or("run");
    let entries = file.entries(&args.file, "sha256:...", method)?;
    let project = Project::from_text(TEXT_NAME, &entries, Path::new("."), &options)?;
    log.settle(&project.settings().logger, false);
    let entry = EntryId::new(NAMESPACE, &file.name)
        .ok()
        .and_then(|id| project.registry().get(&id).cloned())
        .ok_or_else(|| Failure::usage("no-entry", format!("cannot make an entry of {path}")))?;
    let options = NodeOptions { any_method: args.file.method.is_none(), text };
    let outcome = command::execute(args, project, &log, options, &entry, words);
    // There is no entry to add a grant to: an option makes it.
    outcome.map_err(|failure| failure.reworded(granted_by_option))
}

/// Where a text says which grant to add to the entry, the option that grants it.
fn granted_by_option(text: &str) -> Option<String> {
    let (before, rest) = text.split_once("add imports: [")?;
    let (grant, after) = rest.split_once("] to the entry")?;
    Some(format!("{before}add --grant {grant}{after}"))
}

/// A binary on disk.
struct File {
    /// What its entry is called.
    name: String,
    /// The folder that it is in, symlinks resolved.
    folder: PathBuf,
    /// Its name in that folder.
    file: String,
}

impl File {
    fn find(path: &Path) -> Result<Self, Failure> {
        let whole = path.canonicalize().map_err(|error| Failure::file("read", path, &error))?;
        if !whole.is_file() {
            let message = format!("{} is not a file", path.display());
            return Err(Failure::usage("no-file", message));
        }
        let folder = whole.parent().unwrap_or(Path::new("/")).to_owned();
        let file = whole.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let plain =
            |char: char| if char.is_alphanumeric() || "-_.".contains(char) { char } else { '-' };
        Ok(Self { name: stem.chars().map(plain).collect(), folder, file })
    }

    /// Whether it is WebAssembly text.
    fn is_text(&self) -> bool {
        self.file.ends_with(".wat")
    }

    /// The binary that the text amounts to.
    fn assembled(&self, path: &str) -> Result<Arc<[u8]>, Failure> {
        let whole = self.folder.join(&self.file);
        let text = std::fs::read_to_string(&whole)
            .map_err(|error| Failure::file("read", Path::new(path), &error))?;
        wat::parse_str(text).map(Arc::from).map_err(|mut error| {
            error.set_path(Path::new(path));
            let shown = error.to_string();
            // The first line says what is wrong, and one of the others where.
            let what = shown.lines().next().unwrap_or_default();
            let place = shown.lines().find_map(|line| line.trim_start().strip_prefix("--> "));
            let place = place.unwrap_or(path);
            Failure::usage("syntax", format!("{path} does not compile: {place}: {what}"))
        })
    }

    /// The project file with hash and method as they are.
    fn pinned_entries(&self, args: &FileArgs) -> Result<String, Failure> {
        let path = self.folder.join(&self.file);
        let bytes = std::fs::read(&path).map_err(|error| Failure::file("read", &path, &error))?;
        let method = match &args.method {
            Some(method) => method.clone(),
            None => only_export(&bytes, &self.file)?,
        };
        self.entries(args, &Hash::of(&bytes).to_string(), &method)
    }

    /// The text of a project file with this binary as a command.
    fn entries(&self, args: &FileArgs, hash: &str, method: &str) -> Result<String, Failure> {
        let mut text = format!("version: \"1.0\"\nnamespace: {NAMESPACE}\nentries:\n");
        let name = quoted(&self.name);
        let folder = quoted(&shown(&self.folder));
        let mut line = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        line("  - name: terminal\n    kind: terminal.host\n");
        line("  - name: processes\n    kind: process.host\n");
        line(&format!("  - name: binaries\n    kind: fs.directory\n    directory: {folder}\n"));
        let mounts = mounts(args)?;
        for (number, mount) in mounts.iter().enumerate() {
            let folder = quoted(&mount.host);
            line(&format!(
                "  - name: mount-{number}\n    kind: fs.directory\n    directory: {folder}\n"
            ));
        }
        let variables = variables(args)?;
        if !variables.is_empty() {
            line("  - name: environment\n    kind: env.storage.memory\n    values:");
            for (name, value) in &variables {
                line(&format!("      {}: {}", quoted(name), quoted(value)));
            }
            line("");
        }
        for (number, (name, _)) in variables.iter().enumerate() {
            line(&format!(
                "  - name: variable-{number}\n    kind: env.variable\n    variable: {}\n    \
                 storage: environment\n",
                quoted(name)
            ));
        }
        line(&format!("  - name: {name}\n    kind: process.wasm"));
        line(&format!("    meta:\n      command:\n        name: {name}"));
        line(&format!("    fs: binaries\n    path: {}", quoted(&format!("/{}", self.file))));
        line(&format!("    hash: {hash}\n    method: {}", quoted(method)));
        if let Some(wit) = &args.wit {
            line(&format!("    wit: {}", quoted(wit)));
        }
        if !args.grant.is_empty() {
            for grant in &args.grant {
                Grants::parse(grant)
                    .map_err(|error| Failure::usage("bad-grant", format!("--grant: {error}")))?;
            }
            let grants: Vec<String> = args.grant.iter().map(|grant| quoted(grant)).collect();
            line(&format!("    imports: [{}]", grants.join(", ")));
        }
        if !variables.is_empty() || !mounts.is_empty() {
            line("    wasi:");
        }
        if !variables.is_empty() {
            line("      env:");
            for (number, (name, _)) in variables.iter().enumerate() {
                line(&format!("        - {{ id: variable-{number}, name: {} }}", quoted(name)));
            }
        }
        if !mounts.is_empty() {
            line("      mounts:");
            for (number, mount) in mounts.iter().enumerate() {
                let read_only = if mount.read_only { ", read_only: true" } else { "" };
                let guest = quoted(&mount.guest);
                line(&format!("        - {{ fs: mount-{number}, guest: {guest}{read_only} }}"));
            }
        }
        let limits = limits(args)?;
        if !limits.is_empty() {
            line("    limits:");
            for (field, value) in limits {
                line(&format!("      {field}: {value}"));
            }
        }
        Ok(text)
    }
}

/// The only export of a binary, or `run`.
fn only_export(bytes: &[u8], name: &str) -> Result<String, Failure> {
    let inspection = wippy_wasm::inspect(bytes)
        .map_err(|error: Error| Failure::of_start(&error.context(name)))?;
    Ok(match inspection.exports.as_slice() {
        [only] => only.name.clone(),
        _ => "run".to_owned(),
    })
}

struct Mount {
    host: String,
    guest: String,
    read_only: bool,
}

fn mounts(args: &FileArgs) -> Result<Vec<Mount>, Failure> {
    args.mount
        .iter()
        .map(|mount| {
            let malformed = |why: &str| {
                Failure::usage_with_help(
                    "bad-mount",
                    format!("--mount {mount}: {why}"),
                    "write it as --mount HOST::GUEST or HOST::GUEST:ro, such as ./data::/data:ro",
                )
            };
            let (host, guest) =
                mount.split_once("::").ok_or_else(|| malformed("there is no `::`"))?;
            let (guest, read_only) = match guest.strip_suffix(":ro") {
                Some(guest) => (guest, true),
                None => (guest, false),
            };
            if guest.contains(':') {
                return Err(malformed("after the path in the guest there may be `:ro` only"));
            }
            if !guest.starts_with('/') {
                return Err(malformed("the path in the guest begins with `/`"));
            }
            if host.is_empty() {
                return Err(malformed("it names no folder"));
            }
            Ok(Mount { host: host.to_owned(), guest: guest.to_owned(), read_only })
        })
        .collect()
}

fn variables(args: &FileArgs) -> Result<Vec<(String, String)>, Failure> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::usage_with_help(
            "bad-variable",
            format!("--env {text}: there is no `=` after a name"),
            "write it as --env NAME=VALUE",
        )),
    };
    let mut variables: Vec<(String, String)> = Vec::new();
    for text in &args.env {
        let (name, value) = pair(text)?;
        // As in a shell, the last one counts.
        variables.retain(|(other, _)| *other != name);
        variables.push((name, value));
    }
    Ok(variables)
}

fn limits(args: &FileArgs) -> Result<Vec<(&'static str, String)>, Failure> {
    let known = || LIMITS.iter().map(|(name, _)| *name);
    args.limit
        .iter()
        .map(|text| {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            let field = LIMITS.iter().find(|(short, field)| *short == name || *field == name);
            let Some((short, field)) = field else {
                let help = match suggest::nearest(name, known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("limits are: {}", known().collect::<Vec<_>>().join(", ")),
                };
                let message = format!("--limit {text}: there is no limit `{name}`");
                return Err(Failure::usage_with_help("bad-limit", message, help));
            };
            let taken = match *short {
                "execution" => milliseconds(value).map(|ms| ms.to_string()),
                _ => Some(value.to_owned()).filter(|value| {
                    value.starts_with(|char: char| char.is_ascii_digit())
                        && value.chars().all(|char| char.is_ascii_alphanumeric() || char == '.')
                }),
            };
            let taken = taken.ok_or_else(|| {
                let message = format!("--limit {text}: {value:?} is no value of a limit");
                let help = "write it as --limit memory=64MiB, execution=5s or files=100";
                Failure::usage_with_help("bad-limit", message, help)
            })?;
            Ok((*field, taken))
        })
        .collect()
}

/// `5s`, `500ms`, `2m`. A bare number is refused: nobody can tell what it counts.
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let each = match text.strip_prefix(digits)? {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(each)
}

/// A folder as it is written in a project of the working directory.
fn shown(folder: &Path) -> String {
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    let below = here.ok().and_then(|here| folder.strip_prefix(here).ok().map(Path::to_owned));
    match below {
        Some(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Some(below) => format!("./{}", below.display()),
        None => folder.display().to_string(),
    }
}

/// A text as YAML reads it back: plain where it is a word, else quoted as in JSON, which is
/// YAML too.
fn quoted(text: &str) -> String {
    let mut chars = text.chars();
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_./".contains(char);
    let starts =
        chars.next().is_some_and(|char| char.is_ascii_alphabetic() || "./_".contains(char));
    let word = starts
        && chars.all(plain)
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true"
                | "false"
                | "null"
                | "yes"
                | "no"
                | "on"
                | "off"
                | "y"
                | "n"
                | "."
                | ".nan"
                | ".inf"
        );
    if word {
        return text.to_owned();
    }
    let mut quoted = String::new();
    // Writing to a string cannot fail.
    let _ = write!(quoted, "{}", serde_json::Value::from(text));
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_limits() {
        for (text, expected) in [
            ("5s", Some(5_000)),
            ("500ms", Some(500)),
            ("250", None),
            ("2m", Some(120_000)),
            ("", None),
            ("s", None),
            ("5 s", None),
            ("5y", None),
            ("99999999999999999h", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
    }

    #[test]
    fn a_grant_is_an_option() {
        let text = "app:a called b, which it is not granted: add imports: [funcs] to the entry";
        let expected = "app:a called b, which it is not granted: add --grant funcs";
        assert_eq!(granted_by_option(text).as_deref(), Some(expected));
        assert_eq!(granted_by_option("app:a trapped"), None);
    }

    #[test]
    fn words_are_plain_and_the_rest_is_quoted() {
        for (text, expected) in [
            ("hello-wat", "hello-wat"),
            ("./a/b.c", "./a/b.c"),
            ("1x", "\"1x\""),
            ("true", "\"true\""),
            ("a b", "\"a b\""),
            ("a: \"b\"\n", "\"a: \\\"b\\\"\\n\""),
            ("", "\"\""),
            (".", "\".\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
