//! `wasi:clocks`, and sleeping by them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wippy_model::{Exit, Limit};

use super::{Lab, same};

fn numbers(answers: &[String]) -> Vec<u64> {
    answers.iter().map(|answer| answer.parse().unwrap()).collect()
}

fn seconds(answer: &str) -> u64 {
    let (seconds, nanos) = answer.split_once('.').unwrap();
    assert_eq!(nanos.len(), 9, "{answer}");
    seconds.parse().unwrap()
}

#[tokio::test]
async fn the_monotonic_clock_never_goes_back() {
    let lab = Lab::new();
    let times = numbers(&lab.script(&["monotonic"; 50]).await);
    assert!(times.is_sorted(), "{times:?}");
    assert!(times[0] < times[49], "{times:?}");
    let resolution = numbers(&lab.script(&["monotonic-resolution"]).await)[0];
    assert!((1..=1_000_000).contains(&resolution), "{resolution}");
}

#[tokio::test]
async fn the_wall_clock_tells_the_time() {
    let lab = Lab::new();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let before = now();
    let answers = lab.script(&["wall", "wall-resolution"]).await;
    assert!((before..=now()).contains(&seconds(&answers[0])), "{answers:?}");
    assert_eq!(seconds(&answers[1]), 0, "finer than a second");
    for guest in ["posix-c", "posix-c-component"] {
        let before = now();
        let (_, lines) = lab.command(lab.spec(guest), &["time"]).await;
        assert!((before..=now()).contains(&numbers(&lines)[0]), "{guest}: {lines:?}");
    }
}

#[tokio::test]
async fn sleeping_takes_as_long_as_it_says() {
    let lab = Lab::new();
    let slept = numbers(&lab.script(&["sleep 3000000", "sleep-until 3000000", "sleep 0"]).await);
    assert!(slept[0] >= 3_000_000 && slept[1] >= 3_000_000, "{slept:?}");
    for guest in ["posix-c", "posix-c-component"] {
        let (_, lines) = lab.command(lab.spec(guest), &["clock 3"]).await;
        assert_eq!(lines, ["slept"], "{guest}");
    }
}

#[tokio::test]
async fn pollables_are_ready_when_their_time_has_come() {
    let lab = Lab::new();
    let rows = [
        ("sleep-until 3000000", "slept"),
        ("instant-past", "true"),
        ("duration-ready 60000000000", "false"),
        // The longest there is does not overflow into the past.
        ("duration-ready 18446744073709551615", "false"),
        ("poll 60000000000 0 60000000000", "1"),
    ];
    let lines: Vec<&str> = rows.iter().map(|row| row.0).collect();
    let mut answers = lab.script(&lines).await;
    answers[0] = "slept".to_owned();
    same(&rows, &answers, "");
    // In which order they are told is open.
    let both = lab.script(&["poll 0 0"]).await;
    assert!(["0 1", "1 0"].contains(&both[0].as_str()), "{both:?}");
}

#[tokio::test]
async fn polling_nothing_traps() {
    let lab = Lab::new();
    let exit = lab.exit(lab.spec("wasi-rust"), &["poll-nothing"]).await;
    let Exit::Trap(error) = exit else { panic!("{exit:?}") };
    assert_eq!(error.message(), "test:wasi-rust trapped: empty poll list");
}

/// A sleeping guest holds no worker: the host has one.
#[tokio::test]
async fn sleepers_do_not_stop_a_neighbour_and_end_in_time() {
    let lab = Lab::new();
    let mut sleeper = lab.spec("wasi-rust");
    sleeper.limits.execution_max = Some(Duration::from_millis(50));
    let start = Instant::now();
    let sleep = ["sleep 60000000000"];
    let (slept, answers) =
        tokio::join!(lab.exit(sleeper, &sleep), async { lab.script(&["monotonic"]).await });
    assert!(matches!(slept, Exit::Limit(Limit::Execution, _)), "{slept}");
    assert_eq!(answers.len(), 1);
    assert!(start.elapsed() < Duration::from_secs(30));
}
