//! The table of entries in `docs/entries.md` is made from the types.

use std::path::Path;

#[test]
fn the_documentation_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/entries.md");
    let expected = wippy_registry::entries_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &expected).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == expected,
        "docs/entries.md is not that of the types: run \
         `UPDATE_DOCS=1 cargo test -p wippy-registry`"
    );
}
