//! What `inspect` tells of real binaries.

use wippy_wasm::inspect;

fn lines(guest: &str) -> Vec<String> {
    let bytes = std::fs::read(crate::node::guests().join(format!("{guest}.wasm"))).unwrap();
    let text = inspect(&bytes).unwrap().to_string();
    text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn exports_and_imports() {
    let rows: [(&str, &[&str]); 8] = [
        ("compute", &["compute: func(a: s32, b: s32) -> s32", "nothing", "imports: []"]),
        ("compute-core", &["compute: (i32, i32) -> i32", "imports: []"]),
        ("sleep", &["sleep-ms: func(ms: u32)", "wasi:io/poll@0.2.0 always there"]),
        ("ungranted", &["test:minimal/host nothing here provides it: a call traps"]),
        // A core module that carries its component type.
        (
            "sdk-counter-c",
            &[
                "run: (i64) -> i64",
                "wippy:actor/process@0.1.0 needs imports: [wippy:actor]",
                "imports: [wasi1, wippy:actor]",
            ],
        ),
        ("actor-c", &["echo: func() -> result<string, string>", "imports: [wasi:io, wippy:actor]"]),
        ("actor-behaviours", &["imports: [funcs, wasi:io, wippy:actor, wippy:process]"]),
        ("cli-c", &["_start: ()", "wasi_snapshot_preview1 always there", "imports: [wasi1]"]),
    ];
    for (guest, expected) in rows {
        let lines = lines(guest);
        for line in expected {
            assert!(lines.iter().any(|own| own == line), "{guest}: {line} in {lines:#?}");
        }
    }
}

#[test]
fn types_read_as_they_do_after_compiling() {
    let lines = lines("echo-types");
    let variant = "echo-variant: func(v: variant { circle(f64), polygon(list<record { x: s32, \
                   y: s32 }>)";
    assert!(lines.iter().any(|line| line.starts_with(variant)), "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.starts_with("wippy:test/nested#add: func(")),
        "{lines:#?}"
    );
}

#[test]
fn what_is_no_webassembly_is_refused() {
    let real = std::fs::read(crate::node::guests().join("hello-rust.wasm")).unwrap();
    for bytes in [&b""[..], b"\0asm", &[1, 2, 3], &real[..real.len() / 3]] {
        let error = inspect(bytes).unwrap_err();
        assert!(error.message().starts_with("this is no valid WebAssembly: "), "{error}");
        assert!(!error.message().contains('\n'), "{error}");
    }
}
