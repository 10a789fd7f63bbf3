//! `wasi:filesystem`: opening, and what is done by paths.

use super::Lab;

#[tokio::test]
async fn open_flags() {
    let lab = Lab::new();
    lab.write("file", "content");
    std::fs::create_dir(lab.data("sub")).unwrap();
    let rows = [
        ("open f d f - read none", "!no-entry"),
        ("open f d f - read file", "ok"),
        ("read f 100 0", "content"),
        ("open f d f create,exclusive read,write file", "!exist"),
        ("open f d f create,exclusive read,write new", "ok"),
        ("write f 0 written", "7"),
        ("read f 100 0", "written"),
        ("open f d f create read,write new", "ok"),
        ("read f 100 0", "written"),
        ("open f d f truncate read,write new", "ok"),
        ("read f 100 0", "<end>"),
        ("open f d f directory read file", "!not-directory"),
        ("open f d f directory read sub", "ok"),
        ("type f", "DescriptorType::Directory"),
        ("open f d f - read sub", "ok"),
        ("open f d f - read,write sub", "!is-directory"),
        ("open f d f create,directory read,write both", "!invalid"),
        ("open f d f - read file/below", "!not-directory"),
        ("open f d f - read sub/../file", "ok"),
        ("open f d f - read ./sub/.././file", "ok"),
        ("open f d f - read none/../file", "!no-entry"),
        ("open f d f - read ", "!no-entry"),
        ("open f d f - read,sync file", "!unsupported"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
}

#[tokio::test]
async fn names_that_are_too_long_or_wrong() {
    let lab = Lab::new();
    let long = "x".repeat(256);
    let fits = "x".repeat(255);
    let deep = "d/".repeat(3000);
    let lines = [
        format!("open f d f create read,write {long}"),
        format!("open f d f create read,write {fits}"),
        format!("open f d f - read {deep}"),
        format!("mkdir d {long}"),
        format!("symlink d {deep} link"),
        "open f d f create read,write n\u{fc}ml\u{e4}ut \u{1f980}".to_owned(),
        "open f d f create read,write nul\0inside".to_owned(),
        "ls-count d".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let answers = lab.script(&lines).await;
    let expected =
        ["!name-too-long", "ok", "!name-too-long", "!name-too-long", "!name-too-long", "ok"];
    assert_eq!(answers[..6], expected);
    assert!(["!invalid", "!illegal-byte-sequence"].contains(&answers[6].as_str()), "{answers:?}");
    assert_eq!(answers[7], "2");
    assert!(lab.data("n\u{fc}ml\u{e4}ut \u{1f980}").exists());
}

#[tokio::test]
async fn folders() {
    let lab = Lab::new();
    let rows = [
        ("ls d", ""),
        ("mkdir d a", "ok"),
        ("mkdir d a", "!exist"),
        ("mkdir d a/b", "ok"),
        ("mkdir d none/b", "!no-entry"),
        ("open f d f create read,write a/file", "ok"),
        ("ls d", "a:DescriptorType::Directory"),
        ("open s d f directory read a", "ok"),
        ("ls s", "b:DescriptorType::Directory file:DescriptorType::RegularFile"),
        ("rmdir d a", "!not-empty"),
        ("rmdir d a/file", "!not-directory"),
        ("unlink d a/b", "!is-directory"),
        ("unlink d a/file", "ok"),
        ("unlink d a/file", "!no-entry"),
        ("rmdir s b", "ok"),
        ("rmdir d a", "ok"),
        ("rmdir d a", "!no-entry"),
        // The handle of a folder that is gone.
        ("ls s", ""),
        ("open x s f create read,write late", "!no-entry"),
        ("read f 10 0", "<end>"),
        ("ls f", "!not-directory"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
}

#[tokio::test]
async fn renaming() {
    let lab = Lab::new();
    lab.write("one", "1").write("two", "2");
    for folder in ["empty", "full", "full/inner"] {
        std::fs::create_dir(lab.data(folder)).unwrap();
    }
    let rows = [
        ("rename d one d three", "ok"),
        ("rename d one d three", "!no-entry"),
        // A file takes another's place.
        ("rename d three d two", "ok"),
        ("open f d f - read two", "ok"),
        ("read f 10 0", "1"),
        ("rename d two d empty", "!is-directory"),
        ("rename d empty d two", "!not-directory"),
        ("rename d empty d full", "!not-empty"),
        ("rename d full d full/inner/deeper", "!invalid"),
        ("rename d full d empty", "ok"),
        ("ls d", "empty:DescriptorType::Directory two:DescriptorType::RegularFile"),
        ("open s d f directory read empty", "ok"),
        ("rename d two s two", "ok"),
        ("ls s", "inner:DescriptorType::Directory two:DescriptorType::RegularFile"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
}

#[tokio::test]
async fn links() {
    let lab = Lab::new();
    lab.write("file", "content");
    std::fs::create_dir(lab.data("sub")).unwrap();
    let rows = [
        ("link d - file d hard", "ok"),
        ("link d - file d hard", "!exist"),
        ("link d - none d other", "!no-entry"),
        ("link d f file d other", "!invalid"),
        ("stat-at d - hard", "DescriptorType::RegularFile size=7 links=2"),
        ("symlink d file soft", "ok"),
        ("symlink d file soft", "!exist"),
        ("symlink d none dangling", "ok"),
        ("readlink d soft", "file"),
        ("readlink d file", "!invalid"),
        ("readlink d none", "!no-entry"),
        ("stat-at d - soft", "DescriptorType::SymbolicLink size=4 links=1"),
        ("stat-at d f soft", "DescriptorType::RegularFile size=7 links=2"),
        ("stat-at d f dangling", "!no-entry"),
        ("open f d f - read soft", "ok"),
        ("open f d - - read soft", "!loop"),
        ("open f d f - read dangling", "!no-entry"),
        ("symlink d loop-b loop-a", "ok"),
        ("symlink d loop-a loop-b", "ok"),
        ("open f d f - read loop-a", "!loop"),
        ("symlink d sub way", "ok"),
        ("mkdir d way/inner", "ok"),
        ("stat-at d - sub/inner", "DescriptorType::Directory size=40 links=2"),
        ("unlink d soft", "ok"),
        ("unlink d file", "ok"),
        ("stat-at d - hard", "DescriptorType::RegularFile size=7 links=1"),
    ];
    let lines: Vec<&str> = rows.iter().map(|row| row.0).collect();
    let answers = lab.run(lab.spec("wasi-rust"), &lines).await;
    for ((line, expected), answer) in rows.iter().zip(&answers) {
        // The size of a folder is its filesystem's affair.
        let known = |text: &str| match text.starts_with("DescriptorType::Directory") {
            true => "DescriptorType::Directory".to_owned(),
            false => text.to_owned(),
        };
        assert_eq!(known(answer), known(expected), "{line}");
    }
}

#[tokio::test]
async fn times_by_path() {
    let lab = Lab::new();
    lab.write("file", "");
    let rows = [
        ("symlink d file soft", "ok"),
        ("set-times-at d f 1000 2000 soft", "ok"),
        ("open f d f - read file", "ok"),
        ("modified f", "2000.000000500"),
        // Only the link itself.
        ("set-times-at d - 1000 3000 soft", "ok"),
        ("modified f", "2000.000000500"),
        ("set-times-at d f - 4000 file", "ok"),
        ("modified f", "4000.000000500"),
        ("set-times-at d f 1 - file", "ok"),
        ("modified f", "4000.000000500"),
        ("set-times-at d f 1 2 none", "!no-entry"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
    let meta = std::fs::metadata(lab.data("file")).unwrap();
    let seconds =
        |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(seconds(meta.accessed().unwrap()), 1);
    let link = std::fs::symlink_metadata(lab.data("soft")).unwrap();
    assert_eq!(seconds(link.modified().unwrap()), 3000);
}

#[tokio::test]
async fn many_entries() {
    let lab = Lab::new();
    for number in 0..3000 {
        lab.write(&format!("file-with-a-long-name-{number}"), "");
    }
    assert_eq!(lab.script(&["ls-count d", "ls-count d"]).await, ["3000", "3000"]);
}

#[tokio::test]
async fn a_name_that_is_no_text_is_an_error_of_its_own() {
    use std::os::unix::ffi::OsStrExt;
    let lab = Lab::new();
    std::fs::write(lab.data("").join(std::ffi::OsStr::from_bytes(b"bad\xff")), "").unwrap();
    assert_eq!(lab.script(&["ls d"]).await, ["!illegal-byte-sequence"]);
}

/// What Rust's standard library makes of it.
#[tokio::test]
async fn std_in_a_component() {
    let lab = Lab::new();
    let rows = [
        ("std-write /data/file some text", "ok"),
        ("std-read /data/file", "some text"),
        ("std-append /data/file , more", "ok"),
        ("std-seek /data/file 6 3", ", m"),
        ("std-copy /data/file /data/copy", "15"),
        ("std-rename /data/copy /data/moved", "ok"),
        ("std-exists /data/copy", "false"),
        ("std-exists /data/moved", "true"),
        ("std-mkdirs /data/a/b/c", "ok"),
        ("std-write /data/a/b/c/file x", "ok"),
        ("std-ls /data", "a file moved"),
        ("std-rmdirs /data/a", "ok"),
        ("std-ls /data", "file moved"),
        ("std-read /data/none", "!NotFound"),
        ("std-read /data", "!os error 8"),
        ("std-write /data/none/file x", "!NotFound"),
        ("std-large /data/large 3000001", "true"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
    assert_eq!(lab.read("moved"), "some text, more");
}
