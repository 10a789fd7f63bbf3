//! The examples, run as their READMEs say.

use wippy_testkit::guests;

use crate::dir;

/// Runs every `$ wippy …` line of a README and compares what follows it.
fn runs_as_its_readme_says(name: &str) {
    let dir = dir();
    dir.example(name);
    let readme = guests::workspace().join("examples").join(name).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let mut lines = readme.lines().filter_map(|line| line.strip_prefix("    ")).peekable();
    let mut runs = 0;
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("$ wippy ") else { continue };
        let mut expected = String::new();
        while let Some(output) = lines.next_if(|line| !line.starts_with('$')) {
            expected.push_str(output);
            expected.push('\n');
        }
        dir.wippy(command.split(' ')).succeeds().prints(&expected).quietly();
        runs += 1;
    }
    assert!(runs > 1, "the README of {name} shows commands");
    dir.wippy(["check"]).succeeds().quietly();
}

#[test]
fn hello() {
    runs_as_its_readme_says("hello");
}

#[test]
fn compute() {
    runs_as_its_readme_says("compute");
}

#[test]
fn functions() {
    runs_as_its_readme_says("functions");
}
