//! The entries that the documentation shows must load as they are written.

use wippy_model::EntryId;
use wippy_registry::{Grant, HashPin, LoadOptions};

const PAGE: &str = include_str!("page.yaml");

fn options() -> LoadOptions {
    LoadOptions { unfilled_hashes: true, ..LoadOptions::default() }
}

fn project() -> wippy_registry::Project {
    let root = std::path::Path::new("/project");
    match wippy_registry::Project::from_text("page.yaml", PAGE, root, &options()) {
        Ok(project) => project,
        Err(found) => panic!("{found}"),
    }
}

#[test]
fn all_entries_load() {
    let project = project();
    assert!(project.warnings().is_empty(), "{}", project.warnings());
    let registry = project.registry();
    let get = |name: &str| registry.get(&EntryId::parse(name).unwrap()).unwrap();

    let worker = get("myns:compute_worker");
    assert_eq!(worker.wasm().unwrap().method, "compute");
    let binary = worker.binary().unwrap();
    assert_eq!((binary.fs.as_str(), binary.path.as_str()), ("myns:wasm_binaries", "/worker.wasm"));
    assert!(matches!(binary.hash, HashPin::Sha256(_)));

    let greet = get("myns:greet");
    assert_eq!(greet.command().unwrap().name, "greet");
    assert_eq!(greet.command().unwrap().short, "Greet someone via WASM");
    assert_eq!(greet.binary().unwrap().hash, HashPin::Unfilled);

    let http = get("myns:http_worker").wasm().unwrap();
    assert!(http.imports.contains(Grant::Http) && http.imports.contains(Grant::Funcs));
    assert!(http.wasi.env[0].required);

    let files = get("myns:file_processor").wasm().unwrap();
    assert_eq!(files.wasi.args, ["--input", "/data/input.csv"]);
    assert_eq!(files.wasi.cwd.as_deref(), Some("/app"));
    assert!(files.wasi.mounts[0].read_only && !files.wasi.mounts[1].read_only);
}

#[test]
fn a_hash_that_is_not_filled_in_is_an_error_otherwise() {
    let root = std::path::Path::new("/project");
    let options = LoadOptions::default();
    let found = wippy_registry::Project::from_text("page.yaml", PAGE, root, &options).unwrap_err();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|one| one.code == "unfilled-hash"), "{found}");
}
