//! Projects on disk: where files are found, what is read and what is not.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use wippy_model::EntryId;
use wippy_registry::{LoadOptions, Project};

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn load(dir: &TempDir) -> Result<Project, String> {
    Project::load(dir.path(), &LoadOptions::default()).map_err(|found| found.to_string())
}

fn ids(project: &Project) -> Vec<&str> {
    project.registry().entries().map(|entry| entry.id.as_str()).collect()
}

fn index(namespace: &str, entry: &str) -> String {
    format!("namespace: {namespace}\nentries:\n- {{name: {entry}, kind: registry.entry}}\n")
}

#[test]
fn without_a_lock_src_is_read_where_it_is() {
    let a = index("a", "x");
    let dir = folder(&[("src/_index.yaml", &a), ("other.yaml", &index("b", "x"))]);
    assert_eq!(ids(&load(&dir).unwrap()), ["a:x"]);
    let dir = folder(&[("other.yaml", &a)]);
    assert_eq!(ids(&load(&dir).unwrap()), ["a:x"]);
    assert!(ids(&load(&folder(&[])).unwrap()).is_empty());
}

#[test]
fn every_index_below_the_source_root_and_nothing_else() {
    let dir = folder(&[
        ("wippy.lock", "directories: { src: ./code }\n"),
        ("src/_index.yaml", &index("no", "x")),
        ("code/_index.yaml", &index("a", "x")),
        ("code/deep/er/some.yml", &index("b", "x")),
        (
            "code/deep/index.json",
            "{\"namespace\": \"c\", \"entries\": [{\"name\": \"x\", \"kind\": \"registry.entry\"}]}",
        ),
        ("code/openapi.yaml", "openapi: 3.0.0\n"),
        ("code/list.yaml", "- 1\n"),
        ("code/empty.yaml", ""),
        ("code/.hidden/x.yaml", &index("no", "y")),
        ("code/.hidden.yaml", &index("no", "z")),
        ("code/target/x.yaml", &index("no", "t")),
        ("code/node_modules/x.yaml", &index("no", "n")),
        ("code/readme.md", "namespace: no"),
    ]);
    let project = load(&dir).unwrap();
    assert_eq!(ids(&project), ["a:x", "b:x", "c:x"]);
    assert_eq!(project.files().len(), 7);
}

#[test]
fn every_error_of_every_file_at_once_in_order() {
    let dir = folder(&[
        ("src/b.yaml", "namespace: b\nentries:\n- {name: x, kind: nope}\n"),
        ("src/a.yaml", "namespace: a\nentries: [\n"),
        ("src/c.yaml", "namespace: c\nentries:\n- {name: x, kind: fs.directory, path: x}\n"),
    ]);
    let text = load(&dir).unwrap_err();
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in {text}"));
    assert!(at("src/a.yaml:3:1") < at("src/b.yaml:3:19"), "{text}");
    assert!(at("src/b.yaml:3:19") < at("src/c.yaml:3:10"), "{text}");
    assert!(text.ends_with("4 errors\n"), "{text}");
}

#[test]
fn an_entry_of_two_files_is_declared_twice() {
    let dir = folder(&[("src/a.yaml", &index("a", "x")), ("src/b.yaml", &index("a", "x"))]);
    assert_eq!(
        load(&dir).unwrap_err(),
        "error: entry a:x is declared twice\n --> src/b.yaml:3:10\n  |\n3 | - {name: x, kind: \
         registry.entry}\n  |          ^\n ::: src/a.yaml:3:10\n  |\n3 | - {name: x, kind: \
         registry.entry}\n  |          ^ declared here first\n  = help: rename one of them, or \
         remove it\n\n1 error\n"
    );
}

#[test]
fn sources_in_files() {
    let lua = |source: &str| {
        format!("namespace: a\nentries:\n- {{name: l, kind: library.lua, source: \"{source}\"}}\n")
    };
    let dir = folder(&[
        ("src/sub/_index.yaml", &lua("file://../lib.lua")),
        ("src/lib.lua", "return 1\n"),
        ("outside.lua", "no"),
    ]);
    let project = load(&dir).unwrap();
    let entry = project.registry().get(&EntryId::parse("a:l").unwrap()).unwrap();
    let source = entry.source_text().unwrap();
    assert_eq!((&*source.text, &*source.file, source.line), ("return 1\n", "src/lib.lua", 1));

    let index = dir.path().join("src/sub/_index.yaml");
    for (source, expected) in [
        (
            "file://../../outside.lua",
            "entry a:l: `source`: \"file://../../outside.lua\" leaves the source root src",
        ),
        ("file://nope.lua", "entry a:l: `source`: the file src/sub/nope.lua does not exist"),
        ("file://..", "is not a file"),
    ] {
        fs::write(&index, lua(source)).unwrap();
        let text = load(&dir).unwrap_err();
        assert!(text.contains(expected), "{text}");
    }
    #[cfg(unix)]
    {
        let link = dir.path().join("src/sub/link.lua");
        std::os::unix::fs::symlink(dir.path().join("outside.lua"), link).unwrap();
        fs::write(&index, lua("file://link.lua")).unwrap();
        assert!(load(&dir).unwrap_err().contains("leaves the source root"));
    }
}

#[test]
fn a_folder_of_projects_is_none() {
    let (a, b) = (index("app", "x"), index("app", "x"));
    let files = [("hello/src/_index.yaml", a.as_str()), ("files/deep/src/_index.yaml", &b)];
    assert_eq!(
        load(&folder(&files)).unwrap_err(),
        "error: this folder is no project: there are projects in files/deep, hello\n  = help: use \
         -C DIR, such as `wippy -C files/deep check`\n\n1 error\n"
    );
    let locked = [files[0], ("other/wippy.lock", ""), ("other/code/a.yaml", &b)];
    assert!(load(&folder(&locked)).unwrap_err().contains("projects in hello, other"));
    // One alone, an index of its own, or a lock: then it is meant.
    assert_eq!(ids(&load(&folder(&files[..1])).unwrap()), ["app:x"]);
    let own = index("own", "y");
    for name in ["_index.yaml", "wippy.lock"] {
        let text = if name == "wippy.lock" { "" } else { &own };
        let whole = load(&folder(&[files[0], files[1], (name, text)])).unwrap_err();
        assert!(whole.contains("entry app:x is declared twice"), "{whole}");
    }
}

#[cfg(unix)]
#[test]
fn a_circle_of_symlinks_ends() {
    use std::os::unix::fs::symlink;
    let dir = folder(&[("src/a/_index.yaml", &index("a", "x"))]);
    symlink(dir.path().join("src"), dir.path().join("src/a/loop")).unwrap();
    symlink(dir.path().join("nowhere"), dir.path().join("src/a/dead.yaml")).unwrap();
    symlink(dir.path().join("src/a/_index.yaml"), dir.path().join("src/a/again.yaml")).unwrap();
    assert_eq!(ids(&load(&dir).unwrap()), ["a:x"]);
}

#[test]
fn modules_and_replacements() {
    let lock = "directories: { src: src, modules: vendor }\nmodules:\n- { name: acme/http, version: 1.0.0 }\n- { name: acme/sql, version: \"1\" }\n- { name: acme/gone }\nreplacements:\n- { from: acme/sql, to: ../sql }\n";
    let outer = folder(&[
        ("app/wippy.lock", &lock.replace("1.0.0", "\"1.0.0\"")),
        ("app/src/_index.yaml", &index("app", "x")),
        ("app/vendor/acme/http/_index.yaml", &index("http", "x")),
        ("sql/wippy.lock", "directories: { src: code }\n"),
        (
            "sql/code/_index.yaml",
            "namespace: sql\nentries: [{name: d, kind: fs.directory, directory: ./data}]\n",
        ),
    ]);
    let app = outer.path().join("app");
    let project = Project::load(&app, &LoadOptions::default()).map_err(|e| e.to_string()).unwrap();
    assert_eq!(ids(&project), ["app:x", "http:x", "sql:d"]);
    assert_eq!(
        project.warnings().to_string(),
        "warning: wippy.lock: the module acme/gone is not installed: there is no folder \
         vendor/acme/gone\n --> wippy.lock:5:11\n  |\n5 | - { name: acme/gone }\n  |           \
         ^^^^^^^^^\n  = help: put the module there, or name its folder in `replacements`\n"
    );
    let entry = project.registry().get(&EntryId::parse("sql:d").unwrap()).unwrap();
    let whole = outer.path().canonicalize().unwrap();
    assert_eq!(entry.resolve("./data"), whole.join("sql/data"));
}

#[test]
fn lock_mistakes() {
    let dir = folder(&[(
        "wippy.lock",
        "directories: { src: ./nope }\nreplacements: [{from: a, to: ./b}]\nfoo: 1\n",
    )]);
    assert_eq!(
        load(&dir).unwrap_err(),
        "error: wippy.lock: the source folder \"./nope\" does not exist\n --> wippy.lock:1:21\n  \
         |\n1 | directories: { src: ./nope }\n  |                     ^^^^^^\n  = help: create \
         it, or correct `directories.src`\n\nerror: wippy.lock: the folder \"./b\", which \
         replaces the module a, does not exist\n --> wippy.lock:2:30\n  |\n2 | replacements: \
         [{from: a, to: ./b}]\n  |                              ^^^\n  = help: correct `to`, which \
         is relative to the folder of wippy.lock\n\nwarning: wippy.lock: unknown section \
         `foo`\n --> wippy.lock:3:1\n  |\n3 | foo: 1\n  | ^^^\n  = help: known fields are: \
         directories, modules, replacements, options\n\n2 errors\n"
    );
}

#[test]
fn settings() {
    let dir = folder(&[
        (
            ".wippy.yaml",
            "version: \"1.0\"\nsecurity: { strict_mode: true }\nlog: { level: debug }\nmine: { a: 1 }\n",
        ),
        ("other.yaml", "wasm: { cache: false, cache_dir: ./c }\n"),
        ("src/x.yaml", &index("a", "x")),
    ]);
    let project = load(&dir).unwrap();
    assert!(project.settings().security.strict_mode);
    assert!(project.settings().wasm.cache);
    assert_eq!(project.warnings().len(), 1, "{}", project.warnings());
    assert!(project.sections().to_json()["mine"]["a"] == 1);

    let options = LoadOptions {
        config: Some(dir.path().join("other.yaml")),
        settings: vec!["security.strict_mode=true".to_owned()],
        ..LoadOptions::default()
    };
    let project = Project::load(dir.path(), &options).unwrap();
    assert!(project.settings().security.strict_mode && !project.settings().wasm.cache);

    let options = LoadOptions { config: Some("nope.yaml".into()), ..LoadOptions::default() };
    let text = Project::load(dir.path(), &options).unwrap_err().to_string();
    assert_eq!(
        text,
        "error: the settings file nope.yaml does not exist\n  = help: correct --config FILE\n\n1 \
         error\n"
    );
}

#[test]
fn files_that_cannot_be_read() {
    let dir = folder(&[("src/big.yaml", &" ".repeat((4 << 20) + 1))]);
    fs::write(dir.path().join("src/latin.yaml"), b"namespace: \xe4\n").unwrap();
    assert_eq!(
        load(&dir).unwrap_err(),
        "error: src/big.yaml: the file has 4194305 bytes, and 4194304 are allowed\n --> \
         src/big.yaml\n  = help: split it, or move data out of the source folder\n\nerror: \
         src/latin.yaml: the file is not UTF-8 text\n --> src/latin.yaml\n  = help: save it as \
         UTF-8\n\n2 errors\n"
    );
    let text = Project::load(Path::new("/no/such"), &LoadOptions::default()).unwrap_err();
    assert_eq!(
        text.to_string(),
        "error: the project folder /no/such does not exist\n  = help: name a folder with -C \
         DIR\n\n1 error\n"
    );
}
