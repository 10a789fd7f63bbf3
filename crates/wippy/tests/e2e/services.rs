//! Services under `wippy run`: started, started again, stopped.

use std::time::Duration;

use insta::assert_snapshot;
use wippy_testkit::{Dir, Outcome, Running, Signal};

use crate::{HOSTS, command, dir};

/// A service of the same name as its process, with the lines of its lifecycle.
fn service(name: &str, process: &str, lifecycle: &str) -> String {
    format!(
        "
  - name: {name}
    kind: process.service
    process: {process}
    host: processes
    lifecycle:
      auto_start: true
{lifecycle}"
    )
}

/// A Lua process of that name: the body of its function.
fn lua(dir: &Dir, name: &str, body: &str) -> String {
    let source = format!("return {{ main = function(...)\n{body}\nend }}\n");
    dir.write(&format!("src/{name}.lua"), source);
    // The folder of binaries is there, and empty.
    dir.write("wasm/.keep", "");
    format!(
        "
  - {{ name: {name}-process, kind: process.lua, source: file://{name}.lua, method: main }}
"
    )
}

/// Says that it is there and waits for its end.
fn polite(dir: &Dir, name: &str) -> String {
    let body = format!(
        "print('{name} is there')
        process.events():receive()
        print('{name} goes')"
    );
    lua(dir, name, &body)
}

fn stop(running: Running) -> Outcome {
    running.signal(Signal::TERM);
    let outcome = running.wait();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(0), ""), "{outcome}");
    outcome
}

/// The texts stand in this order on stderr.
fn in_order(outcome: &Outcome, texts: &[&str]) {
    let mut rest = outcome.stderr.as_str();
    for text in texts {
        let Some((_, after)) = rest.split_once(text) else {
            panic!("no {text:?} in its place: {outcome}");
        };
        rest = after;
    }
}

#[test]
fn a_trapping_service_is_started_again_and_the_backoff_grows() {
    let dir = dir();
    let restart = "      restart: { initial_delay: 20ms, jitter: 0, max_delay: 80ms }\n";
    dir.entries(&format!(
        "{HOSTS}{}{}",
        command("trap", "run"),
        service("worker", "trap", restart)
    ));
    let running = dir.wippy(["run"]).start();
    running.stderr_has("attempt 5 in");
    let outcome = stop(running);
    let ended = "WARN ended (trap: app:trap trapped";
    let attempts = ["20ms", "40ms", "80ms", "80ms"].iter().zip(1..);
    let attempts: Vec<String> = attempts.map(|(in_, n)| format!("attempt {n} in {in_} ")).collect();
    let mut texts = Vec::new();
    for attempt in &attempts {
        texts.extend(["INFO running entry=app:worker pid={", ended, attempt]);
    }
    in_order(&outcome, &texts);
}

#[test]
fn attempts_and_budget_run_out_and_the_runtime_stays() {
    let dir = dir();
    let at_once = |more| format!("      restart: {{ initial_delay: 0, jitter: 0, {more} }}\n");
    dir.entries(&format!(
        "{HOSTS}{}{}{}",
        command("trap", "run"),
        service("few", "trap", &at_once("max_attempts: 2")),
        service("cheap", "trap", &at_once("budget: { restarts: 3, within: 1m }")),
    ));
    let running = dir.wippy(["run"]).start();
    running
        .stderr_has("failed, and is not started again: given up after 2 attempts in a row (restart.max_attempts): app:trap trapped")
        .stderr_has("failed, and is not started again: given up after 3 restarts within 60s (restart.budget): app:trap trapped");
    let outcome = stop(running);
    let runs = |name: &str| outcome.stderr.matches(&format!("running entry=app:{name}")).count();
    assert_eq!((runs("few"), runs("cheap")), (3, 4), "{outcome}");
}

/// Without a delay and without a limit, a minute's restarts are over in a moment, and then it
/// waits: it keeps no core busy.
#[test]
fn an_endless_trapper_is_paced() {
    let dir = dir();
    let restart = "      restart: { initial_delay: 0 }\n";
    dir.entries(&format!(
        "{HOSTS}{}{}",
        command("trap", "run"),
        service("worker", "trap", restart)
    ));
    let running = dir.wippy(["run"]).start();
    running.stderr_has("restarts without a budget are paced");
    let outcome = stop(running);
    assert_eq!(outcome.stderr.matches("running entry=app:worker").count(), 1001);
}

#[test]
fn one_that_ends_has_exited() {
    let dir = dir();
    let entries = format!(
        "{HOSTS}{}{}    input: [World]\n",
        command("hello-wat", "greet"),
        service("worker", "hello-wat", "")
    );
    dir.entries(&entries);
    let running = dir.wippy(["run"]).start();
    running.stderr_has("exited entry=app:worker").stderr_has("running; Ctrl-C stops");
    let outcome = stop(running);
    assert!(!outcome.stderr.contains("WARN"), "{outcome}");
}

#[test]
fn starts_follow_requirements_and_stops_go_backwards() {
    let dir = dir();
    let processes: String = ["web", "cache", "db"].map(|name| polite(&dir, name)).concat();
    let entries = format!(
        "{HOSTS}{processes}{}{}{}",
        service("web", "web-process", "      requires: [cache]\n"),
        // By its older name, and not asked to start itself.
        service("cache", "cache-process", "      depends_on: [db]\n")
            .replace("auto_start: true", "auto_start: false"),
        service("db", "db-process", ""),
    );
    dir.entries(&entries);
    let running = dir.wippy(["run"]).start();
    running.stderr_has("web is there").stderr_has("running; Ctrl-C stops");
    let outcome = stop(running);
    let order = [
        "running entry=app:db",
        "running entry=app:cache",
        "running entry=app:web",
        "stopping, for up to 40s; once more ends at once",
        "web goes",
        "stopped entry=app:web",
        "cache goes",
        "stopped entry=app:cache",
        "db goes",
        "stopped entry=app:db",
        "stopped",
    ];
    in_order(&outcome, &order);
    assert!(!outcome.stderr.contains("WARN"), "{outcome}");
}

#[test]
fn what_does_not_stop_is_terminated_and_the_log_says_so() {
    let dir = dir();
    let body = "local events = process.events()
        print('ready')
        while true do events:receive() end";
    let process = lua(&dir, "stubborn", body);
    let lifecycle = "      stop_timeout: 300ms\n";
    dir.entries(&format!("{HOSTS}{process}{}", service("stubborn", "stubborn-process", lifecycle)));
    let running = dir.wippy(["run"]).start();
    running.stderr_has("ready").stderr_has("Ctrl-C stops");
    let outcome = stop(running);
    in_order(
        &outcome,
        &[
            "WARN terminated: it did not stop within 300ms (lifecycle.stop_timeout) entry=app:stubborn pid={",
            "stopped entry=app:stubborn",
        ],
    );
}

/// Guests hear of it where they have the grant; what has it not is not waited for.
#[test]
fn guests_are_asked_to_stop() {
    let dir = dir();
    let guest = |name: &str, method: &str, imports: &str| {
        let guest = "
    kind: process.wasm
    fs: bin
    path: /actor-behaviours.wasm
    hash: {hash:actor-behaviours}";
        let imports = format!("imports: [wippy:actor, {imports}]");
        format!("\n  - name: {name}-process{guest}\n    method: {method}\n    {imports}\n")
    };
    let lifecycle = "      stop_timeout: 400ms\n";
    let services = ["obeys", "sleeps", "deaf"]
        .map(|name| service(name, &format!("{name}-process"), lifecycle))
        .concat();
    dir.entries(&format!(
        "{HOSTS}{}{}{}{services}",
        guest("obeys", "obeys", "wippy:process"),
        guest("sleeps", "sleeps", "wippy:process"),
        guest("deaf", "echo", "funcs"),
    ));
    let running = dir.wippy(["run"]).start();
    running.stderr_has("Ctrl-C stops");
    let outcome = stop(running);
    assert_eq!(outcome.stderr.matches("WARN").count(), 1, "{outcome}");
    in_order(&outcome, &["WARN terminated: it did not stop within 400ms", "entry=app:sleeps"]);
    for name in ["obeys", "sleeps", "deaf"] {
        assert!(outcome.stderr.contains(&format!("INFO stopped entry=app:{name}\n")), "{outcome}");
    }
}

#[test]
fn a_second_signal_does_not_wait_for_services() {
    let dir = dir();
    let body = "local events = process.events()
        print('ready')
        while true do events:receive(); print('heard') end";
    let process = lua(&dir, "stubborn", body);
    let lifecycle = "      stop_timeout: 50s\n";
    dir.entries(&format!("{HOSTS}{process}{}", service("stubborn", "stubborn-process", lifecycle)));
    let running = dir.wippy(["run"]).start();
    running.stderr_has("ready").stderr_has("Ctrl-C stops");
    running.signal(Signal::INT).stderr_has("heard");
    running.signal(Signal::INT);
    let outcome = running.wait();
    assert_eq!(outcome.status, Some(130), "{outcome}");
    assert!(outcome.took < Duration::from_secs(40), "{outcome}");
}

/// A service of the input that its process does not take.
fn misfit(startup: &str) -> Dir {
    let dir = dir();
    let other = polite(&dir, "other");
    let entries = format!(
        "{HOSTS}{}{other}{}{}    input: [six, 7]\n",
        command("compute", "compute"),
        service("other", "other-process", ""),
        service(
            "worker",
            "compute",
            &format!("      startup: {startup}\n      requires: [other]\n")
        ),
    );
    dir.entries(&entries);
    dir
}

#[test]
fn a_required_service_that_does_not_start_ends_the_runtime() {
    let outcome = misfit("required").wippy(["run"]).exits(1).prints("");
    // The log has the time of day.
    let said = outcome.stderr.split_once("error: ").map(|(_, said)| said);
    assert_snapshot!("services_required", said.unwrap_or_default());
    let ends = ["running entry=app:other", "stopped entry=app:other"];
    in_order(&outcome, &ends);
}

#[test]
fn the_runtime_goes_on_without_an_optional_service() {
    let dir = misfit("optional");
    let running = dir.wippy(["run"]).start();
    running.stderr_has("running; Ctrl-C stops").stderr_has("other is there");
    let outcome = stop(running);
    in_order(
        &outcome,
        &[
            "ERROR failed, and is not started again",
            "WARN app:worker did not start",
            "; it is optional",
        ],
    );
}

#[test]
fn a_service_acts_for_its_actor() {
    let dir = dir();
    let body = "local security = require('security')
        print('actor is ' .. security.actor():id())
        process.events():receive()";
    let process =
        lua(&dir, "worker", body).replace("method: main", "method: main, modules: [security]");
    let security = "      security: { actor: { id: \"service:worker\" }, policies: [all] }\n";
    let policy = "
  - name: all
    kind: security.policy
    policy: { actions: \"*\", resources: \"*\", effect: allow }
";
    dir.entries(&format!(
        "{HOSTS}{policy}{process}{}",
        service("worker", "worker-process", security)
    ));
    let running = dir.wippy(["run", "--set", "security.strict_mode=true"]).start();
    running.stderr_has("actor is service:worker");
    stop(running);
}

#[test]
fn strict_mode_needs_somebody_who_acts() {
    let dir = dir();
    dir.write(".wippy.yaml", "version: \"1.0\"\nsecurity: { strict_mode: true }\n");
    let process = polite(&dir, "worker");
    dir.entries(&format!("{HOSTS}{process}{}", service("worker", "worker-process", "")));
    assert_snapshot!("services_strict_check", dir.wippy(["check"]).succeeds());
    dir.wippy(["run"])
        .exits(1)
        .mentions("app:worker did not start: process.spawn on app:worker-process is denied");
}

#[test]
fn mistakes_in_services() {
    let dir = dir();
    let process = polite(&dir, "worker");
    let wrong = "      restart: { max_attempts: -1, budget: { restarts: 0 } }
      startup: sometimes
      requires: [wroker]
";
    let entries = format!(
        "{HOSTS}{process}{}{}{}{}",
        service("worker", "worker-process", wrong),
        service("second", "processes", ""),
        service("third", "worker-process", "").replace("host: processes", "host: terminal"),
        service("fourth", "worker-process", "      requires: [fourth]\n"),
    );
    dir.entries(&entries);
    assert_snapshot!("services_mistakes", dir.wippy(["run"]).exits(2));
}
