//! `wasi:filesystem`: what is done with a descriptor.

use super::Lab;

#[tokio::test]
async fn reading_and_writing_at_offsets() {
    let lab = Lab::new();
    let rows = [
        ("open f d f create read,write file", "ok"),
        ("write f 0 hello world", "11"),
        ("read f 5 0", "hello"),
        ("read f 100 6", "world"),
        ("read f 0 0", "<end>"),
        ("read f 100 11", "<end>"),
        ("read f 100 1000", "<end>"),
        ("write f 6 there", "5"),
        ("write f 0 ", "0"),
        ("read f 100 0", "hello there"),
        // A gap is zeroes.
        ("write f 13 !", "1"),
        ("read f 100 11", "\0\0!"),
        ("stat f", "DescriptorType::RegularFile size=14 links=1"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
    assert_eq!(lab.read("file"), "hello there\0\0!");
}

#[tokio::test]
async fn offsets_that_no_file_has() {
    let lab = Lab::new();
    lab.write("file", "content");
    let rows = [
        ("open f d f - read,write file", "ok"),
        ("read f 10 18446744073709551615", "!invalid"),
        ("write f 18446744073709551615 x", "!invalid"),
        ("set-size f 18446744073709551615", "!invalid"),
        ("read f 10 0", "content"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
}

#[tokio::test]
async fn modes_are_kept() {
    let lab = Lab::new();
    lab.write("file", "content");
    let rows = [
        ("open r d f - read file", "ok"),
        ("flags r", "DescriptorFlags(READ)"),
        ("write r 0 x", "!bad-descriptor"),
        ("set-size r 0", "!invalid"),
        ("open w d f - write file", "ok"),
        ("flags w", "DescriptorFlags(WRITE)"),
        ("read w 10 0", "!bad-descriptor"),
        ("open b d f - read,write file", "ok"),
        ("flags b", "DescriptorFlags(READ | WRITE)"),
        ("type b", "DescriptorType::RegularFile"),
        ("flags d", "DescriptorFlags(READ | MUTATE_DIRECTORY)"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
    assert_eq!(lab.read("file"), "content");
}

#[tokio::test]
async fn a_folder_is_no_file() {
    let lab = Lab::new();
    let rows = [
        ("read d 10 0", "!bad-descriptor"),
        ("write d 0 x", "!bad-descriptor"),
        ("set-size d 0", "!bad-descriptor"),
        ("advise d", "!bad-descriptor"),
        ("input s d 0", "!is-directory"),
        ("output s d 0", "!bad-descriptor"),
        ("append s d", "!bad-descriptor"),
        ("sync d", "ok"),
        ("type d", "DescriptorType::Directory"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
}

#[tokio::test]
async fn sizes_and_times() {
    let lab = Lab::new();
    lab.write("file", "content");
    let rows = [
        ("open f d f - read,write file", "ok"),
        ("set-size f 3", "ok"),
        ("read f 10 0", "con"),
        ("set-size f 5", "ok"),
        ("read f 10 0", "con\0\0"),
        ("set-times f 1000 2000", "ok"),
        ("modified f", "2000.000000500"),
        ("set-times f - -", "ok"),
        ("modified f", "2000.000000500"),
        ("set-times d 5 6", "ok"),
        ("modified d", "6.000000500"),
        ("sync f", "ok"),
        ("sync-data f", "ok"),
        ("advise f", "ok"),
        ("set-times f now now", "ok"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
    let modified = std::fs::metadata(lab.data("file")).unwrap().modified().unwrap();
    assert!(modified.elapsed().unwrap() < std::time::Duration::from_secs(60));
}

#[tokio::test]
async fn the_same_object() {
    let lab = Lab::new();
    lab.write("one", "").write("two", "");
    std::fs::hard_link(lab.data("one"), lab.data("hard")).unwrap();
    let lines = [
        "open a d f - read one",
        "open b d f - read hard",
        "open c d f - read two",
        "same a a",
        "same a b",
        "same a c",
        "same a d",
        "hash a",
        "hash b",
        "hash c",
        "hash-at d f one",
        "hash-at d f none",
    ];
    let answers = lab.script(&lines).await;
    assert_eq!(answers[3..7], ["true", "true", "false", "false"]);
    assert_eq!(answers[7], answers[8]);
    assert_ne!(answers[7], answers[9]);
    assert_eq!(answers[7], answers[10]);
    assert_eq!(answers[11], "!no-entry");
}

#[tokio::test]
async fn a_file_outlives_its_name() {
    let lab = Lab::new();
    lab.write("file", "content");
    let rows = [
        ("open f d f - read,write file", "ok"),
        ("unlink d file", "ok"),
        ("read f 100 0", "content"),
        ("stat f", "DescriptorType::RegularFile size=7 links=0"),
        ("write f 0 CON", "3"),
        ("read f 100 0", "CONtent"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
    assert!(!lab.data("file").exists());
}

/// A read gives 64 KiB at the most, however much was asked for.
#[tokio::test]
async fn reads_are_bounded() {
    let lab = Lab::new();
    lab.write("file", &"x".repeat(300_000));
    let rows = [
        ("open f d f - read file", "ok"),
        ("read-len f 18446744073709551615 0", "65536"),
        ("read-len f 1000 0", "1000"),
        ("input s f 0", "ok"),
        ("read-wait-len s 18446744073709551615", "65536"),
        ("drain s", "234464"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
}
