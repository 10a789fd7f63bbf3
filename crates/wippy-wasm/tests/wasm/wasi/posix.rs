//! wasi-libc on files: a preview1 command that runs as it is, and the same as a component.

use super::Lab;

/// A lab whose folder is emptied, but stays the one that is mounted.
fn empty(lab: &Lab) {
    for entry in std::fs::read_dir(lab.data("")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[tokio::test]
async fn files() {
    let lab = Lab::new();
    let rows = [
        ("open 0 r /data/file", "!ENOENT"),
        ("open 0 rwc /data/file", "ok"),
        ("write 0 hello", "5"),
        ("seek 0 1 s", "1"),
        ("read 0 3", "ell<3>"),
        ("seek 0 0 c", "4"),
        ("seek 0 -2 e", "3"),
        ("read 0 10", "lo<2>"),
        ("read 0 10", "<0>"),
        ("seek 0 -1 s", "!EINVAL"),
        ("pread 0 3 1", "ell<3>"),
        ("pwrite 0 1 EL", "2"),
        ("seek 0 0 c", "5"),
        ("pread 0 10 0", "hELlo<5>"),
        ("truncate 0 2", "ok"),
        ("fstat 0", "file size=2 links=1"),
        ("sync 0", "ok"),
        ("datasync 0", "ok"),
        ("futimens 0 5000", "ok"),
        ("stat /data/file", "file size=2 links=1 modified=5000"),
        ("utimens /data/file 6000", "ok"),
        ("lstat /data/file", "file size=2 links=1 modified=6000"),
        ("open 1 rwcx /data/file", "!EEXIST"),
        ("open 1 wa /data/file", "ok"),
        ("write 1 more", "4"),
        ("seek 0 0 s", "0"),
        ("read 0 10", "hEmore<6>"),
        ("open 2 wt /data/file", "ok"),
        ("fstat 0", "file size=0 links=1"),
        ("read 2 10", "!EBADF"),
        ("open 3 r /data/file", "ok"),
        ("write 3 x", "!EBADF"),
        ("close 3", "ok"),
        ("close 3", "!EBADF"),
        ("read 3 1", "!EBADF"),
    ];
    // A time that was not set is not pinned.
    let rows: Vec<_> = rows.into_iter().filter(|row| !row.0.starts_with("fstat")).collect();
    lab.posix(|_| {}, empty, &rows).await;
}

#[tokio::test]
async fn folders_and_links() {
    let lab = Lab::new();
    let rows = [
        ("mkdir /data/a", "ok"),
        ("mkdir /data/a", "!EEXIST"),
        ("mkdir /data/a/b", "ok"),
        ("open 0 wc /data/a/file", "ok"),
        ("ls /data/a", "b file"),
        ("ls /data/none", "!ENOENT"),
        ("ls /data/a/file", "!ENOTDIR"),
        ("open 1 rd /data/a/file", "!ENOTDIR"),
        ("open 1 rw /data/a", "!EISDIR"),
        ("rmdir /data/a", "!ENOTEMPTY"),
        ("unlink /data/a/b", "!EISDIR"),
        ("rmdir /data/a/b", "ok"),
        ("rename /data/a/file /data/file", "ok"),
        ("rename /data/a/file /data/file", "!ENOENT"),
        ("link /data/file /data/hard", "ok"),
        ("symlink file /data/soft", "ok"),
        ("readlink /data/soft", "file<4>"),
        ("open 1 r /data/soft", "ok"),
        ("open 1 rn /data/soft", "!ELOOP"),
        ("symlink loop /data/loop", "ok"),
        ("open 1 r /data/loop", "!ELOOP"),
        ("ls /data", "a file hard loop soft"),
        ("unlink /data/file", "ok"),
        ("open 1 r /data/soft", "!ENOENT"),
        ("unlink /data/none", "!ENOENT"),
    ];
    lab.posix(|_| {}, empty, &rows).await;
}

/// Larger than what moves in one call, and than what the host may hold: it goes in parts.
#[tokio::test]
async fn large_reads_and_writes() {
    let lab = Lab::new();
    let rows = [("large /data/large 5000001", "same")];
    lab.posix(|_| {}, empty, &rows).await;
    assert_eq!(std::fs::metadata(lab.data("large")).unwrap().len(), 5_000_001);
    let rows = [("large /data/large 1000001", "same")];
    lab.posix(|spec| spec.limits.host_buffer_bytes = 65_536, empty, &rows).await;
}

#[tokio::test]
async fn many_entries() {
    let lab = Lab::new();
    let fill = |lab: &Lab| {
        empty(lab);
        for number in 0..5000 {
            lab.write(&format!("file-with-a-long-name-{number}"), "");
        }
    };
    lab.posix(|_| {}, fill, &[("ls-count /data", "5000")]).await;
}

#[tokio::test]
async fn what_is_written_to_the_standard_streams_arrives() {
    for guest in ["posix-c", "posix-c-component"] {
        let lab = Lab::new();
        let (exit, lines) = lab.command(lab.spec(guest), &["stderr oops", "cwd"]).await;
        assert!(exit.is_normal(), "{exit}");
        assert_eq!(lines, ["ok", "/"], "{guest}");
        assert_eq!(lab.node.stderr.text(), "oops\n", "{guest}");
    }
}
