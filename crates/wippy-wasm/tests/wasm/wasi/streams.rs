//! `wasi:io/streams` on files.

use super::Lab;

#[tokio::test]
async fn input_streams() {
    let lab = Lab::new();
    lab.write("file", "hello world");
    let rows = [
        ("open f d f - read file", "ok"),
        ("input s f 6", "ok"),
        ("read-wait s 3", "wor"),
        ("input-block s", "ok"),
        ("input-ready s", "true"),
        ("read-wait s 100", "ld"),
        ("read-wait s 100", "!closed"),
        ("input t f 0", "ok"),
        // Nothing is there before somebody waits.
        ("read-now t 5", ""),
        ("input-block t", "ok"),
        ("read-now t 2", "he"),
        ("read-now t 100", "llo"),
        ("skip-wait t 1", "1"),
        ("read-wait t 100", "world"),
        ("input u f 1000", "ok"),
        ("read-wait u 100", "!closed"),
        // Two streams of one file do not share a position.
        ("input v f 0", "ok"),
        ("read-wait v 5", "hello"),
        // A stream outlives its descriptor.
        ("close f", "ok"),
        ("read-wait v 100", " world"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
}

#[tokio::test]
async fn output_streams() {
    let lab = Lab::new();
    lab.write("file", "hello world");
    let rows = [
        ("open f d f - read,write file", "ok"),
        ("output s f 6", "ok"),
        ("write-wait s WO", "ok"),
        ("write-wait s RLD!", "ok"),
        ("read f 100 0", "hello WORLD!"),
        ("append a f", "ok"),
        ("write-wait a  more", "ok"),
        ("write-wait s ?", "ok"),
        ("append b f", "ok"),
        ("write-wait b .", "ok"),
        ("read f 100 0", "hello WORLD!?more."),
        ("check-write s", "65536"),
        ("write-now s X", "ok"),
        ("flush-wait s", "ok"),
        ("zeroes-wait b 2", "ok"),
        ("read f 100 13", "Xore.\0\0"),
    ];
    // The word after two spaces begins with a space: "hello WORLD! more".
    let lines: Vec<&str> = rows.iter().map(|row| row.0).collect();
    let answers = lab.script(&lines).await;
    assert_eq!(answers[..6], ["ok", "ok", "ok", "ok", "hello WORLD!", "ok"]);
    assert_eq!(answers[10], "hello WORLD!?more.");
    assert_eq!(answers[11], "65536");
    assert_eq!(answers[15], "Xore.\0\0");
}

#[tokio::test]
async fn streams_of_the_wrong_mode_fail_when_used() {
    let lab = Lab::new();
    lab.write("file", "content");
    let rows = [
        ("open w d f - write file", "ok"),
        ("input s w 0", "ok"),
        ("read-wait s 10", "!failed bad-descriptor"),
        ("read-wait s 10", "!closed"),
        ("open r d f - read file", "ok"),
        ("output o r 0", "ok"),
        ("write-wait o x", "!failed bad-descriptor"),
        ("write-wait o x", "!closed"),
        ("check-write o", "!closed"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
    assert_eq!(lab.read("file"), "content");
}

#[tokio::test]
async fn splicing() {
    let lab = Lab::new();
    lab.write("from", &"x".repeat(100_000));
    let rows = [
        ("open a d f - read from", "ok"),
        ("open b d f create write to", "ok"),
        ("input s a 0", "ok"),
        ("output o b 0", "ok"),
        ("splice-wait o s 1000", "1000"),
        ("splice-wait o s 18446744073709551615", "65536"),
        ("flush-wait o", "ok"),
        ("drain s", "33464"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
    assert_eq!(lab.read("to").len(), 66_536);
}

/// What `check-write` has not allowed is the guest's mistake.
#[tokio::test]
async fn too_many_zeroes_trap() {
    let lab = Lab::new();
    for line in ["zeroes-wait o 4097", "zeroes-now o 18446744073709551615"] {
        let lines = ["dir d /data", "open f d f create write file", "output o f 0", line];
        let exit = lab.exit(lab.spec("wasi-rust"), &lines).await;
        assert!(matches!(exit, wippy_model::Exit::Trap(_)), "{line}: {exit}");
    }
}

/// Each append is whole, whoever else appends.
#[tokio::test]
async fn concurrent_appends_lose_nothing() {
    let lab = Lab::new();
    lab.write("log", "");
    let mut lines = vec!["open f d f - write log".to_owned(), "append a f".to_owned()];
    lines.extend((0..50).map(|_| "line a 0123456789".to_owned()));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let (one, two, three) =
        tokio::join!(lab.script(&lines), lab.script(&lines), lab.script(&lines));
    assert_eq!(one.len() + two.len() + three.len(), 156);
    let text = lab.read("log");
    assert_eq!(text.lines().filter(|line| *line == "0123456789").count(), 150);
    assert_eq!(text.len(), 150 * 11);
}

#[tokio::test]
async fn concurrent_writers_at_offsets_do_not_disturb_each_other() {
    let lab = Lab::new();
    lab.write("file", "");
    let writer = |at: usize, letter: &str| {
        let mut lines = vec!["open f d f - write file".to_owned()];
        lines.extend((0..100).map(|n| format!("write f {} {letter}", at + n)));
        lines
    };
    let (one, two) = (writer(0, "a"), writer(100, "b"));
    let one: Vec<&str> = one.iter().map(String::as_str).collect();
    let two: Vec<&str> = two.iter().map(String::as_str).collect();
    tokio::join!(lab.script(&one), lab.script(&two));
    assert_eq!(lab.read("file"), format!("{}{}", "a".repeat(100), "b".repeat(100)));
}
