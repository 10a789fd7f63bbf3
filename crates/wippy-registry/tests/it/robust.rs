//! No input panics, hangs or fills the memory.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use proptest::prelude::*;
use wippy_registry::{LoadOptions, Project, edit};

const PAGE: &str = include_str!("page.yaml");

fn load(text: &str) -> Result<Project, String> {
    Project::from_text("x.yaml", text, Path::new("/"), &LoadOptions::default())
        .map_err(|found| found.render(true))
}

proptest! {
    #[test]
    fn any_text(text in "\\PC*") {
        let _ = load(&text);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = load(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn what_looks_like_yaml(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "namespace: a\n", "entries:\n", "- name: x\n", "  kind: process.wasm\n", "  kind: ",
                "registry.entry\n", "  fs: ", "x", "&a ", "*a", "<<: ", "{", "}", "[", "]", ", ",
                ": ", "? ", "- ", "| \n", ">\n", "\"", "'", "\\", "\t", "\r\n", "\n", " ", "  ",
                "---\n", "...\n", "%YAML 1.2\n", "!!str ", "!x ", "#", "ä", "\u{feff}", "\u{85}",
                "\u{2028}", "~", "0x", "1e9", "sha256:...", "file://x", "data:", "meta: ",
            ]),
            0..40,
        )
    ) {
        let text = parts.concat();
        let _ = load(&text);
        let _ = load(&format!("namespace: a\nentries:\n{text}"));
    }

    #[test]
    fn the_page_with_changes(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..3, any::<char>()), 1..8)
    ) {
        let mut chars: Vec<char> = PAGE.chars().collect();
        for (at, what, char) in changes {
            let at = at.index(chars.len());
            match what {
                0 => chars[at] = char,
                1 => chars.insert(at, char),
                _ => _ = chars.remove(at),
            }
        }
        let text: String = chars.into_iter().collect();
        let _ = load(&text);
        let id = "myns:greet".parse().unwrap();
        let hash = wippy_registry::Hash::of(b"");
        if let Ok(edited) = edit::set_hash(&text, &id, &hash) {
            let found = edited.contains(&hash.to_string());
            prop_assert!(found);
        }
    }

    #[test]
    fn any_flags(flag in "[a-z:.=\\[\\]{} &*\"'0-9-]{0,24}", rest in "\\PC{0,10}") {
        let options = LoadOptions {
            overrides: vec![format!("{flag}{rest}"), format!("myns:greet:{flag}={rest}")],
            settings: vec![format!("{flag}{rest}"), format!("{flag}={rest}")],
            ..LoadOptions::default()
        };
        if let Err(found) = Project::from_text("x.yaml", PAGE, Path::new("/"), &options) {
            let _ = found.render(true);
        }
    }
}

#[test]
fn aliases_cannot_fill_the_memory() {
    let mut text = "namespace: a\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let below = format!("*a{}", level - 1);
        let below = vec![below; 10].join(", ");
        let _ = writeln!(text, "a{level}: &a{level} [{below}]");
    }
    let error = load(&text).unwrap_err();
    assert!(error.contains("this file stands for more than 200000 values"), "{error}");
}

#[test]
fn depth_is_bounded() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", "")] {
        let text = format!("{}x{}", open.repeat(3000), close.repeat(3000));
        let error = load(&text).unwrap_err();
        let bounded = error.contains("nest deeper than 64 levels");
        assert!(bounded || error.contains("recursion limit exceeded"), "{error}");
    }
}

#[test]
fn long_lines_full_of_mistakes_are_no_burden() {
    let mut text =
        "{\"namespace\":\"a\",\"entries\":[{\"name\":\"x\",\"kind\":\"fs.directory\"".to_owned();
    for field in 0..60_000 {
        let _ = write!(text, ",\"f{field}\":[]");
    }
    text.push_str("}]}");
    let started = Instant::now();
    let error = load(&text).unwrap_err();
    assert!(error.ends_with("60001 errors\n"), "{}", &error[error.len() - 200..]);
    assert!(error.len() < 200_000, "{}", error.len());
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}

#[test]
fn a_thousand_entries_load_fast() {
    let mut text = "namespace: app\nentries:\n  - {name: e0, kind: registry.entry}\n".to_owned();
    text.push_str("  - {name: files, kind: fs.directory, directory: .}\n");
    let hash = wippy_registry::Hash::of(b"");
    for number in 1..1000 {
        let _ = writeln!(
            text,
            "  - name: e{number}\n    kind: process.wasm\n    fs: files\n    path: /x.wasm\n    \
             hash: {hash}\n    method: run\n    imports: [wasi:cli, wasi:http]\n    limits: \
             {{ max_execution_ms: 5000 }}\n    meta: {{ command: {{ name: c{number} }} }}"
        );
    }
    let started = Instant::now();
    let project = load(&text).unwrap();
    let elapsed = started.elapsed();
    assert_eq!(project.registry().len(), 1001);
    // Far above what it takes (about 100 ms without optimisation), for slow machines.
    assert!(elapsed.as_millis() < 5000, "{elapsed:?}");
}
