//! `wippy init` and `wippy new`: what they make runs at once.

use insta::assert_snapshot;

use crate::dir;

#[test]
fn init() {
    let dir = dir();
    assert_snapshot!("init", dir.wippy(["init"]).succeeds());
    dir.wippy(["check"]).succeeds().quietly();
    dir.wippy(["run", "hello", "World"]).succeeds().prints("Hello, World!\n").quietly();
    assert_snapshot!("init_again", dir.wippy(["init"]).exits(2));
}

fn makes_a_project(template: &str) {
    let dir = dir();
    let folder = format!("hello-{template}");
    assert_snapshot!(format!("new_{template}"), dir.wippy(["new", template]).succeeds());
    dir.wippy(["check", "-C", &folder]).succeeds().quietly();
    let hash = dir.wippy(["hash", "-C", &folder]).succeeds().quietly();
    assert!(!hash.stdout.contains("not what"), "{hash}");
    let greeting = dir.wippy(["run", "-C", &folder, "greet", "World"]);
    greeting.succeeds().prints("Hello, World!\n").quietly();
    dir.wippy(["new", template]).exits(2).mentions("is not empty");
    dir.wippy(["new", template, "elsewhere"]).succeeds().mentions("");
    dir.wippy(["run", "-C", "elsewhere", "greet", "You"]).succeeds().prints("Hello, You!\n");
}

#[test]
fn new_rust() {
    makes_a_project("rust");
}

#[test]
fn new_c() {
    makes_a_project("c");
}

#[test]
fn new_wat() {
    makes_a_project("wat");
}

#[test]
fn new_lua() {
    makes_a_project("lua");
}

#[test]
fn an_unknown_template() {
    assert_snapshot!(dir().wippy(["new", "cobol"]).exits(2));
}
