//! No path leaves a mount.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Lab;

#[tokio::test]
async fn by_no_path() {
    let lab = Lab::new();
    lab.write("file", "content");
    std::fs::create_dir(lab.data("sub")).unwrap();
    let secret = lab.folder.path().join("secret");
    symlink("../secret", lab.data("relative")).unwrap();
    symlink(&secret, lab.data("absolute")).unwrap();
    symlink("relative", lab.data("chain")).unwrap();
    symlink("..", lab.data("up")).unwrap();
    symlink("/", lab.data("root")).unwrap();
    symlink("sub/../../secret", lab.data("around")).unwrap();
    // One that goes out and comes back has left all the same.
    symlink("../data/file", lab.data("out-and-in")).unwrap();
    let absolute = secret.to_str().unwrap().to_owned();
    let from_root = format!("root{absolute}");
    let paths = [
        "../secret",
        "sub/../../secret",
        "./../secret",
        "..",
        "sub/../..",
        "/",
        "/etc/passwd",
        &absolute,
        "relative",
        "absolute",
        "chain",
        "up",
        "up/secret",
        "root",
        &from_root,
        "around",
        "out-and-in",
        "../data/file",
    ];
    let calls = |path: &str| {
        vec![
            format!("open f d f - read {path}"),
            format!("open f d f create write {path}"),
            format!("open f d f directory read {path}"),
            format!("stat-at d f {path}"),
            format!("hash-at d f {path}"),
            format!("set-times-at d f 1 2 {path}"),
            format!("mkdir d {path}/new"),
            format!("unlink d {path}/secret"),
            format!("rename d {path}/secret d stolen"),
            format!("rename d file d {path}/taken"),
            format!("link d - {path}/secret d stolen"),
            format!("link d - file d {path}/taken"),
            format!("symlink d file {path}/new"),
            format!("readlink d {path}/secret"),
            format!("rmdir d {path}/data"),
        ]
    };
    let lines: Vec<String> = paths.iter().flat_map(|path| calls(path)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let answers = lab.script(&lines).await;
    for (line, answer) in lines.iter().zip(&answers) {
        assert!(answer.starts_with('!'), "{line}: {answer}");
    }
    // The plainest ones have the code that says why.
    for (line, answer) in lines.iter().zip(&answers) {
        if line.starts_with("open f d f - read") {
            assert_eq!(answer, "!not-permitted", "{line}");
        }
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret");
    let mut left: Vec<_> = std::fs::read_dir(lab.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["data", "secret"]);
}

#[tokio::test]
async fn by_no_path_of_posix() {
    let lab = Lab::new();
    symlink("../secret", lab.data("relative")).unwrap();
    symlink(lab.folder.path().join("secret"), lab.data("absolute")).unwrap();
    let rows = [
        ("open 0 r /data/../secret", "!ENOTCAPABLE"),
        ("open 0 r /data/relative", "!EPERM"),
        ("open 0 r /data/absolute", "!EPERM"),
        ("stat /data/relative", "!EPERM"),
        ("readlink /data/relative", "../secret<9>"),
        ("open 0 r /data/../../../../etc/passwd", "!ENOTCAPABLE"),
        ("mkdir /data/../new", "!ENOTCAPABLE"),
    ];
    for guest in ["posix-c", "posix-c-component"] {
        let calls: Vec<&str> = rows.iter().map(|row| row.0).collect();
        let (_, lines) = lab.command(lab.spec(guest), &calls).await;
        for ((call, expected), line) in rows.iter().zip(&lines) {
            // Where libc looks for a mount first, it has a word of its own for none.
            let either = [*expected, "!EPERM", "!ENOENT"].contains(&line.as_str());
            assert!(either, "{guest}: {call}: {line}");
        }
    }
}

/// A guest may make a symlink that points outside; it leads nowhere. Absolute ones it may
/// not even make.
#[tokio::test]
async fn by_no_symlink_of_its_own() {
    let lab = Lab::new();
    let rows = [
        ("symlink d ../secret own", "ok"),
        ("open f d f - read own", "!not-permitted"),
        ("symlink d / absolute", "!not-permitted"),
        ("symlink d . here", "ok"),
        ("open f d f - read here/here/own", "!not-permitted"),
        ("mkdir d sub", "ok"),
        ("symlink d ../../secret sub/deep", "ok"),
        ("open f d f - read sub/deep", "!not-permitted"),
        // A hard link to a symlink is the symlink.
        ("link d - own d hard", "ok"),
        ("readlink d hard", "../secret"),
        ("open f d f - read hard", "!not-permitted"),
        // Moved, it points elsewhere, but never out.
        ("rename d sub/deep d deep", "ok"),
        ("open f d f - read deep", "!not-permitted"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
}

/// A descriptor of a folder that is moved outside keeps its folder, and nothing around it.
#[tokio::test]
async fn by_no_folder_that_is_moved() {
    let lab = Lab::new();
    std::fs::create_dir_all(lab.data("a/b")).unwrap();
    std::fs::write(lab.folder.path().join("secret2"), "").unwrap();
    let rows = [
        ("open s d f directory read a/b", "ok"),
        ("rename d a/b d c", "ok"),
        ("open f s f - read ..", "!not-permitted"),
        ("open f s f - read ../a", "!not-permitted"),
        ("open f s f - read ../../secret", "!not-permitted"),
        ("open f s f create read,write new", "ok"),
        ("stat-at d f c/new", "DescriptorType::RegularFile size=0 links=1"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
}

/// Something outside swaps a folder for a symlink, again and again, while a guest goes
/// through it.
#[tokio::test(flavor = "multi_thread")]
async fn by_no_race() {
    let lab = Lab::new();
    std::fs::create_dir(lab.data("real")).unwrap();
    lab.write("real/secret", "harmless");
    symlink("..", lab.data("evil")).unwrap();
    std::fs::create_dir(lab.data("turn")).unwrap();
    lab.write("turn/secret", "harmless");
    let (turn, spare, evil) = (lab.data("turn"), lab.data("spare"), lab.data("evil"));
    let done = AtomicBool::new(false);
    let read =
        ["open f d f - read turn/secret", "read f 10 0", "close f", "std-read /data/turn/secret"]
            .repeat(400);
    let (mut through, mut refused, mut swaps) = (0, 0, 0);
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let mut swaps = 0;
            while !done.load(Ordering::Relaxed) {
                std::fs::rename(&turn, &spare).unwrap();
                std::fs::rename(&evil, &turn).unwrap();
                std::fs::rename(&turn, &evil).unwrap();
                std::fs::rename(&spare, &turn).unwrap();
                swaps += 1;
            }
            swaps
        });
        // A line that reads a file which is not open would end the script: so it is opened.
        let mut lines = vec!["dir d /data", "open f d f - read real/secret"];
        lines.extend(read.iter().filter(|line| **line != "close f"));
        let exit = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(lab.exit(lab.spec("wasi-rust"), &lines))
        });
        done.store(true, Ordering::Relaxed);
        swaps = swapper.join().unwrap();
        let wippy_model::Exit::Normal(wippy_model::Value::List(answers)) = exit else {
            panic!("{exit:?}")
        };
        for answer in answers.iter() {
            let answer = answer.as_str().unwrap();
            assert!(!answer.starts_with("secret"), "it got out");
            through += usize::from(answer.starts_with("harmless"));
            refused += usize::from(answer.starts_with('!'));
        }
    });
    assert!(through > 0 && refused > 0 && swaps > 0, "{through} {refused} {swaps}");
}
