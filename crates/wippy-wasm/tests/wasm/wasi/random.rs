//! `wasi:random`.

use std::collections::BTreeSet;

use wippy_model::{Exit, Kind, Limit};

use super::Lab;

#[tokio::test]
async fn lengths_are_as_asked() {
    let lab = Lab::new();
    let rows = [
        ("random 0", ""),
        ("random-len 1", "1"),
        ("random-len 65537", "65537"),
        ("insecure 0", ""),
        ("insecure-len 65537", "65537"),
    ];
    lab.expect(lab.spec("wasi-rust"), &rows).await;
    for guest in ["posix-c", "posix-c-component"] {
        let (_, lines) = lab.command(lab.spec(guest), &["random 100000"]).await;
        let zeroes: usize = lines[0]
            .strip_prefix("100000 bytes, ")
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        // One byte in 256 is zero: 390 of them, 25 standard deviations to each side.
        assert!((1..1000).contains(&zeroes), "{guest}: {lines:?}");
    }
}

#[tokio::test]
async fn nothing_comes_twice() {
    let lab = Lab::new();
    let lines =
        ["random 16", "random 16", "random-u64", "insecure 16", "insecure 16", "insecure-u64"];
    let mut seen = BTreeSet::new();
    let mut count = 0;
    for _ in 0..2 {
        for answer in lab.script(&lines).await {
            seen.insert(answer);
            count += 1;
        }
    }
    assert_eq!(seen.len(), count, "{seen:?}");
}

/// The seed is one for each process.
#[tokio::test]
async fn the_seed_stays() {
    let lab = Lab::new();
    let first = lab.script(&["seed", "seed"]).await;
    assert_eq!(first[0], first[1]);
    let other = lab.script(&["seed"]).await;
    assert_ne!(first[0], other[0]);
}

#[tokio::test]
async fn a_length_past_the_budget_is_a_limit() {
    let lab = Lab::new();
    for call in ["random-len", "insecure-len"] {
        for len in ["65537", "18446744073709551615"] {
            let mut spec = lab.spec("wasi-rust");
            spec.limits.host_buffer_bytes = 65_536;
            let exit = lab.exit(spec, &[&format!("{call} {len}")]).await;
            let Exit::Limit(Limit::HostBuffer, error) = exit else { panic!("{exit:?}") };
            assert_eq!(error.kind(), Kind::ResourceExhausted);
            assert_eq!(
                error.message(),
                format!(
                    "test:wasi-rust: it makes the host hold more than 65536 bytes \
                     (limits.host_buffer_bytes): requested len {len} exceeds limit 65536"
                )
            );
        }
    }
}
