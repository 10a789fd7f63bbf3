//! Guests that loop, hoard and flood, each beside a well-behaved neighbour on the same worker:
//! how each ends, that the neighbour finishes its work, and that memory and files come back.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that tells how each guest fared"
)]

mod crowd;
mod node;
mod permissions;
mod server;
mod table;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use wippy_host::Resolver;
use wippy_kernel::Profile;
use wippy_model::{Exit, Kind, Limit};

use crate::crowd::Crowd;
use crate::node::{Footprint, Meeting, Node};
use crate::table::{ACTORS, CASES, Case, Code, End};

/// What those that hoard may leave behind when they come again: what was freed is used anew.
const LEFT_BYTES_MAX: u64 = 24 << 20;
const ROUNDS: usize = 3;
/// What one guest may take while it runs, above its own memory.
const PEAK_BYTES_MAX: u64 = 160 << 20;

/// Tests that measure the program's memory run one after the other.
static MEASURED: Mutex<()> = Mutex::new(());

#[test]
fn nobody_but_themselves() {
    let _alone = MEASURED.lock();
    let mut node = Node::new(Profile::Spawn);
    let mut failures = Vec::new();
    // Engines, pools and threads are made by the first guests and stay.
    for case in [&CASES[0], &CASES[CASES.len() - 1]] {
        drop(node.meet(case));
    }
    let before = Footprint::now();
    let only = std::env::var("HOSTILE").ok();
    let wanted = |case: &&Case| only.as_ref().is_none_or(|name| case.name == name);
    failures.extend(meet_all(&mut node, Profile::Spawn, CASES.iter().filter(wanted)));
    // Pools and the allocator keep what they have once used; only what comes again tells.
    let hoarders = CASES.iter().filter(|case| !matches!(case.end, End::OutOfTime));
    hoarders.clone().for_each(|case| drop(node.meet(case)));
    let before_again = Footprint::now();
    for case in (0..ROUNDS).flat_map(|_| hoarders.clone()) {
        drop(node.meet(case));
    }
    let mut after = Footprint::settled(&before_again, LEFT_BYTES_MAX, Duration::from_secs(5));
    if after.resident_bytes > before_again.resident_bytes + LEFT_BYTES_MAX {
        let grown = (after.resident_bytes - before_again.resident_bytes) >> 20;
        failures.push(format!("memory did not come back: {grown} MiB in {ROUNDS} rounds"));
    }
    // The system's resolver looks on for names that nobody waits for any more.
    let patience = Instant::now() + Duration::from_secs(20);
    while after.open_files > before.open_files + Resolver::LOOKUPS_MAX + 8
        && Instant::now() < patience
    {
        std::thread::sleep(Duration::from_millis(200));
        after = Footprint::now();
    }
    if after.open_files > before.open_files + Resolver::LOOKUPS_MAX + 8 {
        failures.push(format!(
            "open files did not come back: {} before, {} after: {:?}",
            before.open_files,
            after.open_files,
            Footprint::files()
        ));
    }
    // The same where memory is kept otherwise, with those whose end is the memory's doing.
    let mut dense = Node::new(Profile::Density);
    let of_memory = |case: &&Case| {
        !matches!(case.code, Code::Lua(_)) && matches!(case.end, End::Limit(_) | End::Trap(_))
    };
    let cases = CASES.iter().filter(of_memory).chain(&CASES[..1]).filter(wanted);
    failures.extend(meet_all(&mut dense, Profile::Density, cases));
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

/// The same for those that misuse other processes.
#[test]
fn nobody_else_by_their_messages() {
    let _alone = MEASURED.lock();
    let only = std::env::var("HOSTILE").ok();
    let wanted = |case: &&Case| only.as_ref().is_none_or(|name| case.name == name);
    let mut crowd = Crowd::new(Profile::Spawn);
    let mut failures = Vec::new();
    for case in ACTORS.iter().filter(wanted) {
        failures.extend(meet_crowd(&mut crowd, Profile::Spawn, case));
    }
    // The allocator keeps what it has once used; only what comes again tells.
    let mut again = || ACTORS.iter().filter(wanted).for_each(|case| drop(crowd.meet(case)));
    again();
    let before = Footprint::now();
    (1..ROUNDS).for_each(|_| again());
    let after = Footprint::settled(&before, LEFT_BYTES_MAX, Duration::from_secs(5));
    if after.resident_bytes > before.resident_bytes + LEFT_BYTES_MAX {
        let grown = (after.resident_bytes - before.resident_bytes) >> 20;
        failures.push(format!("memory did not come back: {grown} MiB in the last rounds"));
    }
    let mut dense = Crowd::new(Profile::Density);
    let guests = ACTORS.iter().filter(|case| matches!(case.code, Code::Guest(_)));
    for case in guests.filter(wanted) {
        failures.extend(meet_crowd(&mut dense, Profile::Density, case));
    }
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

fn meet_crowd(crowd: &mut Crowd, profile: Profile, case: &Case) -> Vec<String> {
    let start = Footprint::now();
    let meeting = crowd.meet(case);
    let jammed = meeting.exit.is_none() || meeting.neighbour.is_err();
    let failures = judge(profile, case, &start, meeting, crowd.node.kernel.process_count());
    if jammed {
        *crowd = Crowd::new(profile);
    }
    failures
}

/// Lets each guest meet its neighbour; what went wrong.
fn meet_all<'a>(
    node: &mut Node,
    profile: Profile,
    cases: impl Iterator<Item = &'a Case>,
) -> Vec<String> {
    let mut failures = Vec::new();
    for case in cases {
        let start = Footprint::now();
        let meeting = node.meet(case);
        let jammed = meeting.exit.is_none() || meeting.neighbour.is_err();
        failures.extend(judge(profile, case, &start, meeting, node.kernel.process_count()));
        if jammed {
            // Its worker may be jammed.
            *node = Node::new(profile);
        }
    }
    failures
}

/// What went wrong in a meeting.
fn judge(
    profile: Profile,
    case: &Case,
    start: &Footprint,
    meeting: Meeting,
    left: usize,
) -> Vec<String> {
    let grown = Footprint::now().resident_bytes.saturating_sub(start.resident_bytes);
    let mut wrong = Vec::new();
    if let Err(error) = &meeting.neighbour {
        wrong.push(format!("the neighbour did not finish: {error}"));
    }
    match &meeting.exit {
        None => wrong.push("it did not end".to_owned()),
        Some(exit) if !fits(case, exit) => wrong.push(format!("it ended so: {exit}")),
        Some(_) => {}
    }
    if meeting.peak_bytes > start.resident_bytes + PEAK_BYTES_MAX {
        wrong.push(format!("the host grew to {} MiB", meeting.peak_bytes >> 20));
    }
    if left != 0 {
        wrong.push(format!("{left} processes are left"));
    }
    println!(
        "{profile:?} {:<18} {:>5} ms  peak {:>4} MiB  left {:>3} MiB  {}",
        case.name,
        meeting.took.as_millis(),
        meeting.peak_bytes.saturating_sub(start.resident_bytes) >> 20,
        grown >> 20,
        meeting.exit.as_ref().map_or("alive".to_owned(), ToString::to_string)
    );
    wrong.into_iter().map(|what| format!("{profile:?} {}: {what}", case.name)).collect()
}

/// Whether a guest ended as the table says.
fn fits(case: &Case, exit: &Exit) -> bool {
    match (&case.end, exit) {
        (End::OutOfTime | End::OutOfTimeOrLinked, Exit::Limit(Limit::Execution, _)) => true,
        (End::OutOfTimeOrLinked, Exit::Linked(_, error)) => error.kind() == Kind::Timeout,
        (End::Limit(limit), Exit::Limit(met, _)) => met == limit,
        (End::SoonerOrLater(limit), Exit::Limit(met, _)) => {
            met == limit || *met == Limit::Execution
        }
        (End::Trap(text), Exit::Trap(error)) => error.message().contains(text),
        (End::Done, Exit::Normal(value)) => value.as_str() == Some("done"),
        (End::Config(text), Exit::Config(error)) => error.message().contains(text),
        (End::Linked, Exit::Linked(..)) => true,
        _ => false,
    }
}
