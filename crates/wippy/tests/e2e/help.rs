//! Help, version and completions.

use insta::assert_snapshot;

use crate::dir;

#[test]
fn help() {
    let dir = dir();
    let wide = |words: &[&str]| dir.wippy(words).env("COLUMNS", "100").succeeds();
    assert_snapshot!("help", wide(&["--help"]));
    assert_snapshot!("help_run", wide(&["run", "--help"]));
    for command in
        ["init", "new", "check", "hash", "inspect", "ps", "top", "version", "completions"]
    {
        assert_snapshot!(format!("help_{command}"), wide(&[command, "--help"]));
    }
}

#[test]
fn usage_errors() {
    let dir = dir();
    assert_snapshot!("usage_none", dir.wippy([""; 0]).exits(2));
    assert_snapshot!("usage_command", dir.wippy(["rnu"]).exits(2));
    assert_snapshot!("usage_option", dir.wippy(["run", "--jsn", "x"]).exits(2));
    assert_snapshot!("usage_list", dir.wippy(["run", "list", "all"]).exits(2));
}

#[test]
fn version() {
    let expected = format!("wippy {}\n", env!("CARGO_PKG_VERSION"));
    dir().wippy(["version"]).succeeds().prints(&expected);
    dir().wippy(["--version"]).succeeds().prints(&expected);
}

#[test]
fn completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = dir().wippy(["completions", shell]).succeeds().quietly().stdout;
        assert!(script.contains("wippy") && script.contains("inspect"), "{shell}");
    }
    dir().wippy(["completions", "tcsh"]).exits(2);
}
