//! Every message, as it is shown. `messages.txt` holds cases: a name, entries of the
//! namespace `app` (with options before them), and the text that comes out.
//! `UPDATE_MESSAGES=1` writes it anew; read the difference before you keep it.

use std::fmt::Write as _;
use std::path::Path;

use wippy_registry::{LoadOptions, Project};

const CASES: &str = include_str!("messages.txt");

/// What is shown of a case: warnings, or errors.
fn shown(input: &str) -> String {
    let mut options = LoadOptions::default();
    let mut text = input;
    while let Some((line, rest)) = text.split_once('\n') {
        if let Some(flag) = line.strip_prefix("-o ") {
            options.overrides.push(flag.to_owned());
        } else if let Some(flag) = line.strip_prefix("--set ") {
            options.settings.push(flag.to_owned());
        } else {
            break;
        }
        text = rest;
    }
    let whole = match text.strip_prefix("whole file:\n") {
        Some(whole) => whole.to_owned(),
        None => format!("namespace: app\nentries:\n{text}"),
    };
    match Project::from_text("app.yaml", &whole, Path::new("/project"), &options) {
        Ok(project) if project.warnings().is_empty() => "fine\n".to_owned(),
        Ok(project) => project.warnings().render(false),
        Err(found) => found.render(false),
    }
}

#[test]
fn messages_are_these() {
    let mut written = String::new();
    let mut wrong = Vec::new();
    for case in CASES.split("=== ").skip(1) {
        let (name, rest) = case.split_once('\n').unwrap();
        let (input, expected) = rest.split_once("---\n").unwrap();
        let shown = shown(input);
        if shown.trim_end() != expected.trim_end() {
            wrong.push(format!("{name}: expected\n{expected}\nand it shows\n{shown}"));
        }
        let _ = write!(written, "=== {name}\n{input}---\n{}\n\n", shown.trim_end());
    }
    if std::env::var_os("UPDATE_MESSAGES").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/messages.txt");
        std::fs::write(path, written).unwrap();
    } else {
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
