//! `max_open_files`, and what a guest may make the host hold.

use wippy_model::{Exit, Kind, Limit, Value};
use wippy_wasm::{BinarySource, WasmSpec};

use super::Lab;

fn with_files(lab: &Lab, guest: &str, max: u32) -> WasmSpec {
    lab.write("file", "content");
    let mut spec = lab.spec(guest);
    spec.limits.open_files_max = max;
    spec
}

#[tokio::test]
async fn open_files_of_a_component() {
    let lab = Lab::new();
    let rows = [
        ("open-many d 20 file", "!quota after 10"),
        ("open f d f - read file", "!quota"),
        ("open f d f create,write write new", "!quota"),
        // What needs no open file goes on.
        ("stat-at d f file", "DescriptorType::RegularFile size=7 links=1"),
        ("ls-count d", "1"),
        ("close-many", "ok"),
        ("open-many d 10 file", "ok"),
        ("close-many", "ok"),
        // A failed open takes no place, and a closed one gives it back.
        ("open f d f - read none", "!no-entry"),
        ("open-close-many d 1000 file", "ok"),
        // A stream keeps its file open.
        ("open-stream-many d 20 file", "!quota after 10"),
        ("close-many", "ok"),
        ("open-many d 10 file", "ok"),
    ];
    lab.expect(with_files(&lab, "wasi-rust", 10), &rows).await;
}

#[tokio::test]
async fn open_files_of_posix() {
    let lab = Lab::new();
    for (guest, refused) in [("posix-c", "!EMFILE after 10"), ("posix-c-component", "!")] {
        let spec = with_files(&lab, guest, 10);
        let calls = ["open-close-many 1000 /data/file", "open-many 20 /data/file", "ls /data"];
        let (_, lines) = lab.command(spec, &calls).await;
        assert_eq!(lines[0], "ok", "{guest}");
        assert!(lines[1].starts_with(refused) && lines[1].ends_with(" after 10"), "{lines:?}");
        let spec = with_files(&lab, guest, 0);
        let (_, lines) = lab.command(spec, &["open-many 1 /data/file"]).await;
        assert!(lines[0].ends_with(" after 0"), "{guest}: {lines:?}");
    }
}

#[tokio::test]
async fn open_files_by_default() {
    let lab = Lab::new();
    lab.write("file", "");
    let rows = [("open-many d 300 file", "!quota after 256")];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
    let (_, lines) = lab.command(lab.spec("posix-c"), &["open-many 300 /data/file"]).await;
    assert_eq!(lines, ["!EMFILE after 256"]);
}

/// A stream may hold a piece of its file, so there are not more than three for each file
/// that may be open, the descriptor among them.
#[tokio::test]
async fn streams_of_files_are_counted() {
    let lab = Lab::new();
    let rows = [
        ("open f d f - read,write file", "ok"),
        ("input-many f 100", "!quota after 29"),
        ("output o f 0", "!quota"),
        ("append o f", "!quota"),
        ("close-many", "ok"),
        ("output o f 0", "ok"),
        ("append p f", "ok"),
        ("input-many f 100", "!quota after 27"),
    ];
    lab.expect(with_files(&lab, "wasi-rust", 10), &rows).await;
}

#[tokio::test]
async fn listings_are_bounded() {
    let lab = Lab::new();
    for number in 0..500 {
        lab.write(&format!("file-{number:06}"), "");
    }
    let small = |bytes| {
        let mut spec = lab.spec("wasi-rust");
        spec.limits.host_buffer_bytes = bytes;
        spec
    };
    // 500 entries of 11 bytes and 96 for each: 53,500.
    let rows = [("ls-count d", "!insufficient-memory"), ("std-ls /data/none", "!NotFound")];
    lab.expect(small(50_000), &rows).await;
    let rows = [("ls-count d", "500"), ("ls-count d", "500"), ("ls-keep d 1", "ok")];
    lab.expect(small(100_000), &rows).await;
    let rows = [("ls-keep d 10", "!insufficient-memory after 4")];
    lab.expect(small(250_000), &rows).await;
}

#[tokio::test]
async fn listings_of_posix_are_bounded() {
    let lab = Lab::new();
    for number in 0..500 {
        lab.write(&format!("file-{number:06}"), "");
    }
    let rows = [("ls-count /data", "!ENOMEM"), ("stat /data/none", "!ENOENT")];
    lab.posix(|spec| spec.limits.host_buffer_bytes = 50_000, |_| {}, &rows).await;
    let rows = [("ls-count /data", "500")];
    lab.posix(|spec| spec.limits.host_buffer_bytes = 60_000, |_| {}, &rows).await;
}

fn held(exit: Exit, bytes: u64, why: &str) {
    let Exit::Limit(Limit::HostBuffer, error) = exit else { panic!("{exit:?}") };
    assert_eq!(error.kind(), Kind::ResourceExhausted);
    assert_eq!(
        error.message(),
        format!(
            "test:wasi-rust: it makes the host hold more than {bytes} bytes \
             (limits.host_buffer_bytes): {why}"
        )
    );
}

#[tokio::test]
async fn handles_are_bounded() {
    let lab = Lab::new();
    for line in ["preopens-many 100000", "pollables-many 100000"] {
        let mut spec = lab.spec("wasi-rust");
        spec.limits.host_buffer_bytes = 1 << 20;
        let exit = lab.exit(spec, &[line]).await;
        held(exit, 1 << 20, "resource table has no free keys");
    }
    // A guest that gives them back has as many as it likes.
    let lines = ["sleep 0"; 500];
    let mut spec = lab.spec("wasi-rust");
    spec.limits.host_buffer_bytes = 100_000;
    assert_eq!(lab.run(spec, &lines).await.len(), 500);
}

/// One call brings as much from the guest as the host may hold.
#[tokio::test]
async fn one_write_is_bounded() {
    let lab = Lab::new();
    let lines = ["dir d /data", "open f d f create write file", "write-len f 1000001"];
    let mut spec = lab.spec("wasi-rust");
    spec.limits.host_buffer_bytes = 1_000_000;
    let exit = lab.exit(spec, &lines).await;
    let why = "too much data is being copied between the host and the guest: fuel allocated for \
               hostcalls has been exhausted";
    held(exit, 1_000_000, why);
    let rows = [("open f d f create write file", "ok"), ("write-len f 1000000", "1000000")];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
}

/// Past `output_bytes` a guest writes on and nobody keeps it.
#[tokio::test]
async fn output_past_its_limit_is_dropped() {
    let lab = Lab::new();
    let mut spec = lab.spec("wasi-rust");
    spec.limits.output_bytes = 1000;
    let rows = [("stdout o", "ok"), ("lines o 1000 1000", "ok"), ("check-write o", "1048576")];
    lab.expect(spec, &rows).await;
}

fn written(name: &str, text: &str) -> WasmSpec {
    let mut spec = crate::node::spec(name, Some("run"));
    let bytes = wat::parse_str(text).unwrap();
    spec.source = BinarySource::Bytes { name: format!("{name}.wat"), bytes: bytes.into() };
    spec
}

/// Handles of a guest's own resources take the host's memory as well.
#[tokio::test]
async fn handles_of_a_guests_own_resources_are_bounded() {
    let lab = Lab::new();
    let endless = written(
        "own-handles",
        r#"(component
            (type $own (resource (rep i32)))
            (core func $new (canon resource.new $own))
            (core module $module
                (import "" "new" (func $new (param i32) (result i32)))
                (func (export "run") (loop $more (drop (call $new (i32.const 1))) (br $more))))
            (core instance $instance
                (instantiate $module (with "" (instance (export "new" (func $new))))))
            (func (export "run") (canon lift (core func $instance "run"))))"#,
    );
    let exit = lab.node.run(endless, vec![]).await.unwrap();
    let Exit::Limit(Limit::HostBuffer, error) = exit else { panic!("{exit:?}") };
    assert_eq!(
        error.message(),
        "test:own-handles: it makes the host hold more than 16777216 bytes \
         (limits.host_buffer_bytes): cannot allocate another handle: store handle limit exceeded"
    );
}

#[tokio::test]
async fn instances_are_bounded() {
    let lab = Lab::new();
    let mut three = written(
        "three",
        r#"(component
            (core module $module (func (export "run")))
            (core instance (instantiate $module))
            (core instance (instantiate $module))
            (core instance $instance (instantiate $module))
            (func (export "run") (canon lift (core func $instance "run"))))"#,
    );
    three.limits.instances = 3;
    let exit = lab.node.run(three.clone(), vec![]).await.unwrap();
    assert!(exit.is_normal(), "{exit}");
    three.limits.instances = 2;
    let exit = lab.node.run(three, vec![]).await.unwrap();
    let Exit::Limit(Limit::Instances, error) = exit else { panic!("{exit:?}") };
    assert_eq!(
        error.message(),
        "test:three: it has more than 2 instances, memories or tables (limits.instances)"
    );
}

/// What a method returns is lifted within the same budget.
#[tokio::test]
async fn results_are_bounded() {
    let lab = Lab::new();
    let mut large = written(
        "large",
        r#"(component
            (core module $module
                (memory (export "memory") 32)
                (data (i32.const 0) "\10\00\00\00\40\42\0f\00")
                (func (export "run") (result i32) (i32.const 0)))
            (core instance $instance (instantiate $module))
            (func (export "run") (result (list u8))
                (canon lift (core func $instance "run") (memory $instance "memory"))))"#,
    );
    let exit = lab.node.run(large.clone(), vec![]).await.unwrap();
    assert!(matches!(&exit, Exit::Normal(Value::Bytes(bytes)) if bytes.len() == 1_000_000));
    large.limits.host_buffer_bytes = 999_999;
    let exit = lab.node.run(large, vec![]).await.unwrap();
    assert!(matches!(exit, Exit::Limit(Limit::HostBuffer, _)), "{exit}");
}
