//! Mounts: read-only ones, several, nested ones, and the working directory.

use wippy_wasm::WasmSpec;

use super::{Lab, mount};

/// Every way to change something, on a mount that may not be changed.
#[tokio::test]
async fn a_read_only_mount_refuses_every_write() {
    let lab = Lab::new();
    lab.write("file", "content");
    std::fs::create_dir(lab.data("sub")).unwrap();
    std::os::unix::fs::symlink("file", lab.data("soft")).unwrap();
    let rows = [
        ("flags d", "DescriptorFlags(READ)"),
        ("open f d f - write file", "!not-permitted"),
        ("open f d f - read,write file", "!not-permitted"),
        ("open f d f create read new", "!not-permitted"),
        ("open f d f create,exclusive read new", "!not-permitted"),
        ("open f d f truncate read file", "!not-permitted"),
        ("mkdir d new", "!not-permitted"),
        ("rmdir d sub", "!not-permitted"),
        ("unlink d file", "!not-permitted"),
        ("rename d file d other", "!not-permitted"),
        ("link d - file d other", "!not-permitted"),
        ("symlink d file other", "!not-permitted"),
        ("set-times d 1 2", "!not-permitted"),
        ("set-times-at d f 1 2 file", "!not-permitted"),
        ("set-times-at d - 1 2 soft", "!not-permitted"),
        // Reading is as always.
        ("open f d f - read file", "ok"),
        ("read f 100 0", "content"),
        ("flags f", "DescriptorFlags(READ)"),
        ("write f 0 x", "!not-permitted"),
        ("set-size f 0", "!not-permitted"),
        ("set-times f 1 2", "!not-permitted"),
        ("output o f 0", "!not-permitted"),
        ("append o f", "!not-permitted"),
        ("open s d f directory read sub", "ok"),
        ("open f s f create read new", "!not-permitted"),
        ("open f s f - write ../file", "!not-permitted"),
        ("open s d f directory read,mutate sub", "ok"),
        ("open f s f create read new", "!not-permitted"),
        ("mkdir s new", "!not-permitted"),
        ("std-write /data/file x", "!PermissionDenied"),
        ("std-write /data/new x", "!PermissionDenied"),
        ("std-rmdirs /data/sub", "!PermissionDenied"),
        ("std-rename /data/file /data/other", "!PermissionDenied"),
        ("std-read /data/file", "content"),
        (
            "ls d",
            "file:DescriptorType::RegularFile soft:DescriptorType::SymbolicLink sub:DescriptorType::Directory",
        ),
    ];
    lab.expect(lab.read_only("wasi-rust"), &rows).await;
    assert_eq!(lab.read("file"), "content");
    assert!(lab.data("sub").exists() && !lab.data("new").exists());
}

#[tokio::test]
async fn a_read_only_mount_refuses_every_write_of_posix() {
    let lab = Lab::new();
    lab.write("file", "content");
    std::fs::create_dir(lab.data("sub")).unwrap();
    let rows = [
        ("open 0 rw /data/file", "!EPERM"),
        ("open 0 w /data/file", "!EPERM"),
        ("open 0 wc /data/new", "!EPERM"),
        ("open 0 wt /data/file", "!EPERM"),
        ("mkdir /data/new", "!EPERM"),
        ("rmdir /data/sub", "!EPERM"),
        ("unlink /data/file", "!EPERM"),
        ("rename /data/file /data/other", "!EPERM"),
        ("link /data/file /data/other", "!EPERM"),
        ("symlink file /data/other", "!EPERM"),
        ("utimens /data/file 5", "!EPERM"),
        ("open 0 r /data/file", "ok"),
        ("futimens 0 5", "!EPERM"),
        ("truncate 0 0", "!EPERM"),
        ("read 0 100", "content<7>"),
        ("ls /data", "file sub"),
    ];
    lab.posix(|spec| spec.mounts[0].read_only = true, |_| {}, &rows).await;
    assert_eq!(lab.read("file"), "content");
}

/// A spec whose mounts are these folders of the lab: name, path in the guest, read-only.
fn mounted(lab: &Lab, guest: &str, mounts: &[(&str, &str, bool)]) -> WasmSpec {
    let mut spec = lab.spec(guest);
    spec.mounts = mounts
        .iter()
        .map(|(folder, path, read_only)| {
            let directory = lab.folder.path().join(folder);
            std::fs::create_dir_all(&directory).unwrap();
            wippy_wasm::Mount { read_only: *read_only, ..mount(&directory, path) }
        })
        .collect();
    spec
}

#[tokio::test]
async fn two_mounts_are_two() {
    let lab = Lab::new();
    let spec = mounted(&lab, "wasi-rust", &[("data", "/data", true), ("out", "/output", false)]);
    lab.write("file", "content");
    let rows = [
        ("preopens", "/data /output"),
        ("dir o /output", "ok"),
        ("std-copy /data/file /output/copy", "7"),
        // What is read-only stays so by another way.
        ("link d - file o hard", "!not-permitted"),
        ("rename d file o moved", "!not-permitted"),
        ("rename o copy d moved", "!not-permitted"),
        ("rename o copy o renamed", "ok"),
        ("open f o f - read ../data/file", "!not-permitted"),
        ("std-read /output/../data/file", "!os error 76"),
        ("std-ls /output", "renamed"),
        ("std-read /none", "!os error 76"),
    ];
    let lines: Vec<&str> = rows.iter().map(|row| row.0).collect();
    let answers = lab.run(spec, &lines).await;
    for ((line, expected), answer) in rows.iter().zip(&answers) {
        // A path that no mount has is refused by the guest's own libc, in its own words.
        if !expected.starts_with("!os error") {
            assert_eq!(answer, expected, "{line}");
        } else {
            assert!(answer.starts_with('!'), "{line}: {answer}");
        }
    }
}

#[tokio::test]
async fn between_two_mounts_that_may_be_written_files_move() {
    let lab = Lab::new();
    let spec = mounted(&lab, "wasi-rust", &[("data", "/data", false), ("out", "/output", false)]);
    lab.write("file", "content").write("other", "");
    let rows = [
        ("dir o /output", "ok"),
        ("link d - file o hard", "ok"),
        ("rename d file o moved", "ok"),
        ("std-rename /data/other /output/other", "ok"),
        ("std-ls /output", "hard moved other"),
    ];
    lab.expect(spec, &rows).await;
}

/// A link and a rename to another filesystem are the system's affair: it has none of either.
#[tokio::test]
async fn across_filesystems_nothing_is_renamed() {
    use std::os::unix::fs::MetadataExt;
    let lab = Lab::new();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    let device = |path: &std::path::Path| std::fs::metadata(path).unwrap().dev();
    if device(elsewhere.path()) == device(lab.folder.path()) {
        return;
    }
    lab.write("file", "content");
    let mut spec = lab.spec("wasi-rust");
    spec.mounts.push(mount(elsewhere.path(), "/other"));
    let rows = [
        ("dir o /other", "ok"),
        ("rename d file o file", "!cross-device"),
        ("link d - file o file", "!cross-device"),
    ];
    lab.expect(spec, &rows).await;
}

/// By the interface, a mount inside another is a directory of its own; a libc takes the
/// longest mount that begins a path.
#[tokio::test]
async fn nested_mounts() {
    let lab = Lab::new();
    lab.write("file", "outer");
    std::fs::create_dir(lab.data("sub")).unwrap();
    lab.write("sub/file", "hidden");
    std::fs::create_dir(lab.folder.path().join("inner")).unwrap();
    std::fs::write(lab.folder.path().join("inner/file"), "inner").unwrap();
    for order in [[0, 1], [1, 0]] {
        let both = [("data", "/data", false), ("inner", "/data/sub", true)];
        let spec = mounted(&lab, "wasi-rust", &order.map(|at| both[at]));
        let rows = [
            ("std-read /data/file", "outer"),
            ("std-read /data/sub/file", "inner"),
            ("std-write /data/sub/new x", "!PermissionDenied"),
            ("std-write /data/new x", "ok"),
            ("dir i /data/sub", "ok"),
            ("open f i f - read file", "ok"),
            ("read f 10 0", "inner"),
            ("open f d f - read sub/file", "ok"),
            ("read f 10 0", "hidden"),
        ];
        lab.expect(spec, &rows).await;
    }
}

#[tokio::test]
async fn without_mounts_there_is_nothing() {
    let lab = Lab::new();
    let mut spec = lab.spec("wasi-rust");
    spec.mounts.clear();
    let answers = lab.run_bare(spec, &["preopens", "std-read /etc/passwd", "std-ls /"]).await;
    assert_eq!(answers[0], "");
    assert!(answers[1].starts_with('!') && answers[2].starts_with('!'), "{answers:?}");
    let mut spec = lab.spec("posix-c");
    spec.mounts.clear();
    let (_, lines) = lab.command(spec, &["open 0 r /etc/passwd", "ls /"]).await;
    assert!(lines.iter().all(|line| line.starts_with('!')), "{lines:?}");
}

/// A mount stays the directory it was when the entry was loaded.
#[tokio::test]
async fn a_directory_that_is_replaced_stays_mounted() {
    let lab = Lab::new();
    lab.write("file", "old");
    let spec = lab.spec("wasi-rust");
    std::fs::rename(lab.data(""), lab.folder.path().join("away")).unwrap();
    std::fs::create_dir(lab.data("")).unwrap();
    lab.write("file", "new");
    let rows = [("std-read /data/file", "old"), ("std-write /data/second x", "ok")];
    lab.expect(spec, &rows).await;
    assert!(lab.folder.path().join("away/second").exists());
    assert!(!lab.data("second").exists());
}

#[tokio::test]
async fn a_directory_that_is_deleted_is_empty() {
    let lab = Lab::new();
    lab.write("file", "old");
    let spec = lab.spec("wasi-rust");
    std::fs::remove_dir_all(lab.data("")).unwrap();
    let rows = [
        ("ls d", ""),
        ("std-read /data/file", "!NotFound"),
        ("open f d f create read,write new", "!no-entry"),
        ("mkdir d new", "!no-entry"),
    ];
    lab.expect(spec, &rows).await;
}

/// Relative paths of a libc are found in the working directory where it is in a mount.
#[tokio::test]
async fn relative_paths_are_in_the_working_directory() {
    let lab = Lab::new();
    for (cwd, path) in [("/data", "file"), ("/data/", "file"), ("/data/sub/inner", "file")] {
        for guest in ["wasi-rust", "posix-c", "posix-c-component"] {
            let mut spec = lab.spec(guest);
            spec.cwd = Some(cwd.to_owned());
            let below = cwd.trim_start_matches("/data").trim_matches('/');
            let folder = lab.data(below);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(path), "content").unwrap();
            let _ = std::fs::remove_file(folder.join("written"));
            let absolute = format!("{}/file", cwd.trim_end_matches('/'));
            let lines = match guest {
                "wasi-rust" => {
                    let read = format!("std-read {absolute}");
                    let lines =
                        ["std-read file", &read, "std-write ./written yes", "std-ls .", "preopens"];
                    let answers = lab.run_bare(spec, &lines).await;
                    assert_eq!(answers[4], "/data .");
                    answers
                }
                _ => {
                    let open = format!("open 1 r {absolute}");
                    let calls = [
                        "open 0 r file",
                        "read 0 10",
                        &open,
                        "read 1 10",
                        "open 2 wc written",
                        "write 2 yes",
                    ];
                    let (_, lines) = lab.command(spec, &calls).await;
                    assert_eq!(lines[0], "ok", "{guest} {cwd}");
                    vec![lines[1].replace("<7>", ""), lines[3].replace("<7>", "")]
                }
            };
            assert_eq!(lines[..2], ["content", "content"], "{guest} {cwd}");
            let written = std::fs::read_to_string(folder.join("written")).unwrap();
            assert_eq!(written, "yes", "{guest} {cwd}");
        }
    }
}

/// The innermost mount has the working directory, with its own permissions.
#[tokio::test]
async fn the_working_directory_is_of_the_innermost_mount() {
    let lab = Lab::new();
    let mounts = [("data", "/data", false), ("inner", "/data/inner", true)];
    for guest in ["posix-c", "posix-c-component"] {
        let mut spec = mounted(&lab, guest, &mounts);
        std::fs::write(lab.folder.path().join("inner/file"), "inner").unwrap();
        spec.cwd = Some("/data/inner".to_owned());
        let calls = ["open 0 r file", "read 0 10", "open 1 wc new"];
        let (_, lines) = lab.command(spec, &calls).await;
        assert_eq!(lines, ["ok", "inner<5>", "!EPERM"], "{guest}");
    }
}

#[tokio::test]
async fn a_working_directory_outside_of_the_mounts_or_not_there_has_no_files() {
    let lab = Lab::new();
    lab.write("file", "content");
    std::os::unix::fs::symlink("..", lab.data("out")).unwrap();
    for cwd in ["/app", "/data/none", "/database", "/data/out", "/data/..", "/data/file"] {
        let mut spec = lab.spec("wasi-rust");
        spec.cwd = Some(cwd.to_owned());
        let lines = ["preopens", "std-read file", "std-read secret", "std-read /data/file", "cwd"];
        let answers = lab.run_bare(spec, &lines).await;
        assert_eq!(answers[0], "/data", "{cwd}");
        assert!(answers[1].starts_with('!') && answers[2].starts_with('!'), "{cwd}: {answers:?}");
        assert_eq!(answers[3..], ["content", cwd]);
    }
}

/// `.` and `/` are one to wasi-libc: absolute paths come first.
#[tokio::test]
async fn with_a_mount_at_the_root_relative_paths_begin_there() {
    let lab = Lab::new();
    let mut spec = mounted(&lab, "wasi-rust", &[("data", "/", false)]);
    std::fs::create_dir(lab.data("sub")).unwrap();
    lab.write("file", "root").write("sub/file", "sub");
    spec.cwd = Some("/sub".to_owned());
    let lines = ["preopens", "std-read /file", "std-read /sub/file", "std-read file"];
    assert_eq!(lab.run_bare(spec, &lines).await, ["/", "root", "sub", "root"]);
}
