//! `wippy ps`: the processes of a runtime that runs.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use insta::assert_snapshot;
use serde_json::Value;
use wippy_testkit::{Dir, Running, Signal};

use crate::{HOSTS, command, dir, with_command, with_lua};

/// A command that runs until it is told to end, and has others: one that waits with messages in
/// its mailbox, and one that has sent them.
pub(crate) fn with_workers() -> Dir {
    let dir = dir();
    dir.write(
        "src/main.lua",
        "local time = require('time')
        local function idle() process.events():receive() end
        local function deaf() process.events():receive() end
        local function main()
            local deaf = assert(process.spawn('app:deaf', 'app:processes'))
            for _ = 1, 5 do assert(process.send(deaf, 'topic', ('x'):rep(1000))) end
            assert(process.spawn('app:idle', 'app:processes'))
            assert(process.registry.register('chief'))
            print('ready')
            process.events():receive()
        end
        return { main = main, idle = idle, deaf = deaf }
",
    );
    let entry = |name: &str| {
        format!(
            "  - name: {name}
    kind: process.lua
    meta: {{ command: {{ name: {name} }} }}
    source: file://main.lua
    method: {name}
"
        )
    };
    dir.entries(&format!("{HOSTS}{}{}{}", entry("main"), entry("idle"), entry("deaf")));
    dir
}

/// Starts the command and waits until it listens.
pub(crate) fn started(dir: &Dir) -> Running {
    let running = dir.wippy(["run", "main"]).start();
    running.stdout_has("ready");
    listening(dir, &running);
    running
}

/// Waits until a runtime listens.
fn listening(dir: &Dir, running: &Running) -> PathBuf {
    let mut found = None;
    running.until("it listens", || {
        found = sockets(dir).into_iter().find(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.ends_with(&format!("-{}.sock", running.process_id()))
        });
        found.is_some()
    });
    found.unwrap()
}

/// What is in the folder of sockets, but for those that have no name of their own yet.
fn sockets(dir: &Dir) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.sockets()).into_iter().flatten();
    let paths = files.map(|file| file.unwrap().path());
    paths.filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.')).collect()
}

fn json(dir: &Dir, args: &[&str]) -> Value {
    let words: Vec<&str> = ["ps", "--json"].iter().chain(args).copied().collect();
    serde_json::from_str(&dir.wippy(words).succeeds().quietly().stdout).unwrap()
}

fn end(running: Running) {
    running.signal(Signal::TERM);
    let outcome = running.wait();
    assert_eq!(outcome.status, Some(143), "{outcome}");
}

#[test]
fn processes_of_a_command() {
    let dir = with_workers();
    let running = started(&dir);
    let listing = dir.wippy(["ps"]).succeeds().quietly().stdout;
    let lines: Vec<Vec<&str>> =
        listing.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[0],
        [
            "PID", "ENTRY", "NAME", "RESTARTS", "STATE", "CPU", "MEMORY", "MAILBOX", "QUEUED",
            "RECEIVED", "SENT", "STEPS", "AGE"
        ]
    );
    let column = |index: usize| lines[1..].iter().map(|line| line[index]).collect::<Vec<_>>();
    assert_eq!(column(1), ["app:main", "app:deaf", "app:idle"], "{listing}");
    assert_eq!(column(2), ["chief", "-", "-"], "{listing}");
    assert_eq!((column(3), column(4)), (vec!["-"; 3], vec!["waiting"; 3]), "{listing}");
    assert_eq!((column(7), column(9)), (vec!["0", "5", "0"], vec!["0", "5", "0"]), "{listing}");
    assert_eq!(column(10), ["5", "0", "0"], "{listing}");
    assert!(column(0)[0].starts_with("{local@app:terminal|"), "{listing}");

    let entries = |args: &[&str]| -> Vec<String> {
        let all = json(&dir, args);
        let list = all["processes"].as_array().unwrap();
        list.iter().map(|process| process["entry"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(entries(&["--sort", "mailbox"])[0], "app:deaf");
    assert_eq!(entries(&["--sort", "age"]), ["app:main", "app:deaf", "app:idle"]);
    assert_eq!(entries(&["--sort", "messages"]), ["app:main", "app:deaf", "app:idle"]);
    assert_eq!(entries(&["--filter", "IDLE"]), ["app:idle"]);
    assert_eq!(entries(&["--filter", "chief"]), ["app:main"]);
    assert_eq!(entries(&["--filter", "app:processes|", "--limit", "1"]), ["app:deaf"]);
    assert_eq!(entries(&["--filter", "nobody"]), [""; 0]);
    assert_eq!(entries(&["--limit", "5000"]).len(), 3);

    let all = json(&dir, &[]);
    assert_eq!(all["runtime"]["process_id"], running.process_id());
    assert_eq!(all["runtime"]["command"], "main");
    assert_eq!(all["runtime"]["project"], "[DIR]");
    assert!(all["runtime"]["resident_bytes"].as_u64().unwrap() > 1 << 20, "{all}");
    assert_eq!((&all["node"]["processes"], &all["node"]["spawned"]), (&3.into(), &3.into()));
    assert_eq!(all["node"]["messages"], 5);
    let host = all["hosts"].as_array().unwrap().iter().find(|host| host["id"] == "app:processes");
    let host = host.unwrap();
    assert_eq!((&host["processes"], &host["processes_max"]), (&2.into(), &10_000.into()));
    let deaf = &all["processes"][1];
    assert!(deaf["mailbox_bytes"].as_u64().unwrap() > 5_000, "{deaf}");
    assert!(deaf["memory_bytes"].as_u64().unwrap() > 10_000, "{deaf}");
    assert!(deaf["cpu_us"].as_u64().unwrap() > 0, "{deaf}");
    end(running);
    assert_eq!(sockets(&dir), Vec::<PathBuf>::new(), "the socket goes with its runtime");
}

/// More than fit one answer are listed in full, none of them twice.
#[test]
fn many_processes() {
    let dir = with_lua(
        "local first = assert(process.spawn('app:sleep', 'app:processes', 600000))
        for _ = 2, 2500 do process.spawn('app:sleep', 'app:processes', 600000) end
        print('ready')
        process.events():receive()",
    );
    let text = dir.read("src/_index.yaml") + &command("sleep", "sleep-ms");
    dir.entries(text.split_once("entries:\n").unwrap().1);
    let running = started(&dir);
    let all = json(&dir, &["--sort", "cpu"]);
    let processes = all["processes"].as_array().unwrap();
    let mut serials: Vec<u64> =
        processes.iter().map(|process| process["serial"].as_u64().unwrap()).collect();
    serials.sort_unstable();
    serials.dedup();
    assert_eq!((serials.len(), processes.len()), (2501, 2501));
    assert_eq!(dir.wippy(["ps"]).succeeds().stdout.lines().count(), 2502);
    assert_eq!(dir.wippy(["ps", "--limit", "7"]).succeeds().stdout.lines().count(), 8);
    end(running);
}

/// Long lists of names do not make an answer too long: of each process the first ones are shown.
#[test]
fn many_names() {
    let dir = with_lua(
        "for process_number = 1, 60 do
            local pid = assert(process.spawn('app:sleep', 'app:processes', 600000))
            for number = 1, 1024 do
                local name = ('%d-%d-'):format(process_number, number)
                assert(process.registry.register(name .. ('x'):rep(255 - #name), pid))
            end
        end
        print('ready')
        process.events():receive()",
    );
    let text = dir.read("src/_index.yaml") + &command("sleep", "sleep-ms");
    dir.entries(text.split_once("entries:\n").unwrap().1);
    let running = started(&dir);
    let all = json(&dir, &["--filter", "app:sleep"]);
    let processes = all["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 60);
    for process in processes {
        assert_eq!(process["names"].as_array().unwrap().len(), 10, "{process}");
        assert_eq!(process["more_names"], 1014, "{process}");
    }
    let listing = dir.wippy(["ps"]).succeeds().quietly().stdout;
    assert_eq!(listing.matches(",+1014 ").count(), 60, "{listing}");
    end(running);
}

/// An answer that is full before its number of processes is goes on in the next one.
#[test]
fn large_answers() {
    let dir = with_lua(
        "for process_number = 1, 1500 do
            local pid = assert(process.spawn('app:sleep', 'app:processes', 600000))
            for number = 1, 10 do
                local name = ('%d-%d-'):format(process_number, number)
                assert(process.registry.register(name .. ('\"'):rep(255 - #name), pid))
            end
        end
        print('ready')
        process.events():receive()",
    );
    let text = dir.read("src/_index.yaml") + &command("sleep", "sleep-ms");
    dir.entries(text.split_once("entries:\n").unwrap().1);
    let running = started(&dir);
    let mut connection = connect(&dir, &running);
    let mut line = String::new();
    writeln!(connection.get_mut(), r#"{{"version":1,"processes":true}}"#).unwrap();
    connection.read_line(&mut line).unwrap();
    let answer: Value = serde_json::from_str(&line).unwrap();
    let listed = answer["processes"].as_array().unwrap().len();
    assert!(listed < 1000 && line.len() < 5 << 20, "{listed} processes, {} bytes", line.len());
    assert_eq!(answer["matching"], 1501);
    let serials = |args: &[&str]| {
        let all = json(&dir, args);
        let processes = all["processes"].as_array().unwrap();
        let mut serials: Vec<u64> =
            processes.iter().map(|process| process["serial"].as_u64().unwrap()).collect();
        serials.sort_unstable();
        serials.dedup();
        serials.len()
    };
    assert_eq!((serials(&[]), serials(&["--limit", "900"])), (1501, 900));
    end(running);
}

#[test]
fn the_runtime_without_a_command() {
    let dir = with_command("hello-wat", "greet");
    let running = dir.wippy(["run"]).start();
    running.stderr_has("running");
    let all = json(&dir, &[]);
    assert_eq!(all["runtime"]["command"], Value::Null);
    assert_eq!(all["processes"], Value::Array(Vec::new()));
    assert_eq!(dir.wippy(["ps"]).succeeds().quietly().stdout.lines().count(), 1);
    running.signal(Signal::TERM);
    assert_eq!(running.wait().status, Some(0));
    assert_eq!(sockets(&dir), Vec::<PathBuf>::new());
}

/// Services have states of their own, and their processes tell how often they came back.
#[test]
fn services_and_restarts() {
    let dir = dir();
    dir.write(
        "src/main.lua",
        "local time = require('time')
        return {
            steady = function() process.events():receive() end,
            shaky = function()
                if not process.registry.lookup('tried') then
                    local pid = process.spawn('app:steady_process', 'app:processes')
                    process.registry.register('tried', pid)
                    error('on purpose')
                end
                process.events():receive()
            end,
            brief = function() return 1 end,
        }
",
    );
    let mut entries = String::from("\n  - { name: processes, kind: process.host }\n");
    for name in ["steady", "shaky", "brief"] {
        entries += &format!(
            "  - name: {name}_process
    kind: process.lua
    source: file://main.lua
    method: {name}
  - name: {name}
    kind: process.service
    process: app:{name}_process
    host: app:processes
    lifecycle:
      auto_start: true
      restart: {{ initial_delay: 10ms, max_delay: 10ms }}
"
        );
    }
    dir.entries(&entries);
    let running = dir.wippy(["run"]).start();
    running.stderr_has("Ctrl-C stops");
    let service = |name: &str| {
        let all = json(&dir, &[]);
        let services = all["services"].as_array().unwrap().clone();
        services.into_iter().find(|service| service["id"] == format!("app:{name}")).unwrap()
    };
    running.until("it was started again", || {
        service("shaky")["restarts"] == 1 && service("shaky")["state"] == "running"
    });
    running.until("it has ended", || service("brief")["state"] == "exited");
    let shaky = service("shaky");
    assert!(shaky["last_exit"].as_str().unwrap().contains("on purpose"), "{shaky}");
    let all = json(&dir, &["--filter", "shaky"]);
    let process = &all["processes"][0];
    assert_eq!((&process["service"], &process["restarts"]), (&"app:shaky".into(), &1.into()));
    assert_eq!(process["pid"], shaky["pid"]);

    let table = dir.wippy(["ps", "--services"]).succeeds().quietly().stdout;
    let lines: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["SERVICE", "STATE", "SINCE", "RESTARTS", "NEXT", "PID", "LAST"]);
    let row = |name: &str| lines.iter().find(|line| line[0] == name).unwrap();
    assert_eq!((row("app:steady")[1], row("app:steady")[3]), ("running", "0"), "{table}");
    assert_eq!((row("app:shaky")[1], row("app:shaky")[3]), ("running", "1"), "{table}");
    assert_eq!((row("app:brief")[1], row("app:brief")[5]), ("exited", "-"), "{table}");
    dir.wippy(["ps", "--services", "--sort", "cpu"]).exits(2).mentions("cannot be used with");
    running.signal(Signal::TERM);
    assert_eq!(running.wait().status, Some(0));
}

/// It ends before anybody could look, and does not pay for it.
#[test]
fn a_short_command_opens_no_socket() {
    let dir = with_lua("return 'done'");
    dir.wippy(["run", "main"]).succeeds().prints("done\n").quietly();
    assert!(!dir.sockets().exists());
}

#[test]
fn nobody_runs() {
    let dir = with_workers();
    assert_snapshot!("none", dir.wippy(["ps"]).exits(1));
    dir.wippy(["ps", "--pid", "4000000"]).exits(1).mentions("has the process ID 4000000");
    let elsewhere = dir.wippy(["ps", "--json"]).exits(1);
    assert_eq!(elsewhere.stdout, "");
}

#[test]
fn mistakes() {
    let dir = with_workers();
    assert_snapshot!("sort", dir.wippy(["ps", "--sort", "name"]).exits(2));
    assert_snapshot!("limit", dir.wippy(["ps", "--limit", "-1"]).exits(2));
    assert_snapshot!("pid", dir.wippy(["ps", "--pid", "me"]).exits(2));
}

#[test]
fn several_run() {
    let dir = with_workers();
    let (first, second) = (started(&dir), started(&dir));
    let outcome = dir.wippy(["ps"]).exits(2);
    for running in [&first, &second] {
        let line = format!("--pid {}  wippy run main  in [DIR]", running.process_id());
        assert!(outcome.stderr.contains(&line), "{outcome}");
        let id = running.process_id().to_string();
        let all = json(&dir, &["--pid", &id]);
        assert_eq!(all["runtime"]["process_id"], running.process_id());
    }
    assert!(outcome.stderr.contains("2 runtimes of [DIR] run"), "{outcome}");
    assert!(outcome.stderr.contains("name one with --pid"), "{outcome}");
    // From elsewhere they are listed as well, and can be named.
    fs::create_dir(dir.join("other")).unwrap();
    let outcome = dir.wippy(["ps"]).below("other").exits(1);
    assert!(outcome.stderr.contains("no runtime of [DIR]/other runs"), "{outcome}");
    assert!(outcome.stderr.contains("there is no project here"), "{outcome}");
    assert!(outcome.stderr.contains(&format!("--pid {}", first.process_id())), "{outcome}");
    let id = second.process_id().to_string();
    dir.wippy(["ps", "--pid", &id]).below("other").succeeds();
    dir.wippy(["-C", "..", "ps", "--pid", &id]).below("other").succeeds();
    end(first);
    dir.wippy(["ps"]).succeeds();
    end(second);
}

/// What a killed runtime leaves is found, and taken away.
#[test]
fn a_stale_socket() {
    let dir = with_workers();
    let killed = started(&dir);
    killed.signal(Signal::KILL);
    assert_eq!(killed.wait().status, None);
    assert_eq!(sockets(&dir).len(), 1);
    dir.wippy(["ps"]).exits(1).mentions("no runtime of");
    assert_eq!(sockets(&dir), Vec::<PathBuf>::new());

    let killed = started(&dir);
    killed.signal(Signal::KILL);
    assert_eq!(killed.wait().status, None);
    let running = started(&dir);
    running.until("the next runtime has swept", || sockets(&dir).len() == 1);
    dir.wippy(["ps"]).succeeds();
    end(running);
}

#[test]
fn only_the_owner_can_open_it() {
    let dir = with_workers();
    let running = started(&dir);
    let mode = |path: &PathBuf| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    let socket = sockets(&dir).remove(0);
    assert_eq!((mode(&dir.sockets()), mode(&socket)), (0o700, 0o600));
    // Who finds the folder open to others does not trust what is in it.
    fs::set_permissions(dir.sockets(), fs::Permissions::from_mode(0o755)).unwrap();
    dir.wippy(["ps"]).exits(1);
    fs::set_permissions(dir.sockets(), fs::Permissions::from_mode(0o700)).unwrap();
    dir.wippy(["ps"]).succeeds();
    end(running);
}

/// A runtime goes on without.
#[test]
fn a_folder_that_is_not_ours_is_not_used() {
    let dir = with_command("hello-wat", "greet");
    let run = |dir: &Dir| {
        let running = dir.wippy(["run"]).start();
        running.stderr_has("running");
        running.signal(Signal::TERM);
        let outcome = running.wait();
        assert_eq!(outcome.status, Some(0), "{outcome}");
        outcome.stderr
    };
    let warning = "`wippy ps` and `wippy top` cannot look at this runtime: \
                   no folder for its socket;";
    fs::create_dir(dir.sockets()).unwrap();
    fs::set_permissions(dir.sockets(), fs::Permissions::from_mode(0o777)).unwrap();
    let stderr = run(&dir);
    assert!(stderr.contains(warning), "{stderr}");
    assert!(stderr.contains("others may enter it: its mode is 777, not 700"), "{stderr}");

    fs::remove_dir(dir.sockets()).unwrap();
    let real = dir.join("real");
    fs::create_dir(&real).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o700)).unwrap();
    symlink(&real, dir.sockets()).unwrap();
    let stderr = run(&dir);
    assert!(stderr.contains(warning) && stderr.contains("it is no folder"), "{stderr}");
    assert_eq!(fs::read_dir(&real).unwrap().count(), 0);
}

fn connect(dir: &Dir, running: &Running) -> BufReader<UnixStream> {
    BufReader::new(UnixStream::connect(listening(dir, running)).unwrap())
}

fn ask(connection: &mut BufReader<UnixStream>, request: &str) -> Value {
    writeln!(connection.get_mut(), "{request}").unwrap();
    let mut line = String::new();
    connection.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

#[test]
fn the_protocol_by_hand() {
    let dir = with_workers();
    let running = started(&dir);
    let mut connection = connect(&dir, &running);
    let answer = ask(&mut connection, r#"{"version":1}"#);
    assert_eq!((&answer["version"], &answer["processes"]), (&1.into(), &Value::Array(vec![])));
    // Several on one connection; CPU time is measured between two of them.
    let first = ask(&mut connection, r#"{"version":1,"processes":true}"#);
    assert_eq!(first["processes"][0].get("cpu_percent"), None);
    let request = r#"{"version":1,"processes":true,"sort":"cpu_percent","limit":1,"offset":1}"#;
    let second = ask(&mut connection, request);
    assert_eq!(
        (&second["matching"], second["processes"].as_array().unwrap().len()),
        (&3.into(), 1)
    );
    assert!(second["processes"][0]["cpu_percent"].is_number(), "{second}");
    let serial = &first["processes"][0]["serial"];
    let after =
        ask(&mut connection, &format!(r#"{{"version":1,"processes":true,"after":{serial}}}"#));
    assert_eq!(after["processes"].as_array().unwrap().len(), 2);

    for (request, expected) in [
        (r#"{"version":2}"#, "this runtime speaks version 1 of the control protocol, not 2"),
        (r#"{"version":1,"processes":true,"sort":"x"}"#, "there is no order \"x\"; orders: cpu,"),
        (r#"{"version":1,"stop":true}"#, "not a request: unknown field `stop`"),
        ("hello", "not a request: expected value"),
        ("", "not a request: EOF"),
        (&"x".repeat(5000), "a request has at most 4096 bytes"),
    ] {
        let mut connection = connect(&dir, &running);
        let answer = ask(&mut connection, request);
        assert!(answer["error"].as_str().unwrap().starts_with(expected), "{request}: {answer}");
    }
    end(running);
}

/// Who asks and does not read, and who asks too often, holds nobody up.
#[test]
fn greedy_clients() {
    let dir = with_workers();
    let running = started(&dir);
    let mut silent: Vec<_> = (0..16).map(|_| connect(&dir, &running)).collect();
    for connection in &mut silent {
        ask(connection, r#"{"version":1}"#);
    }
    let outcome = dir.wippy(["ps"]).exits(1);
    assert!(
        outcome.stderr.contains("answers: 16 others look at this runtime already"),
        "{outcome}"
    );
    drop(silent);
    running.until("places are free again", || dir.wippy(["ps"]).outcome().status == Some(0));

    let greedy = UnixStream::connect(listening(&dir, &running)).unwrap();
    greedy.set_nonblocking(true).unwrap();
    let request = b"{\"version\":1,\"processes\":true}\n";
    // Until nothing more fits: its answers are not read.
    while (&greedy).write(request).is_ok() {}
    dir.wippy(["ps"]).succeeds();
    end(running);
}

/// Somebody else's answers are bounded too.
#[test]
fn a_runtime_that_does_not_answer() {
    let dir = with_workers();
    fs::create_dir(dir.sockets()).unwrap();
    fs::set_permissions(dir.sockets(), fs::Permissions::from_mode(0o700)).unwrap();
    let path = |id: u32| dir.sockets().join(format!("0123456789abcdef-01234567-{id}.sock"));
    let (mute, rude) = (UnixListener::bind(path(7)), UnixListener::bind(path(8)));
    let (mute, rude) = (mute.unwrap(), rude.unwrap());
    dir.wippy(["ps", "--pid", "7"]).exits(1).mentions("the runtime 7 does not answer within 5 s");
    let answers = std::thread::spawn(move || {
        let (mut stream, _) = rude.accept().unwrap();
        let _ = stream.read(&mut [0; 1000]);
        stream.write_all(b"{\"version\":9}\n").unwrap();
        rude.accept().unwrap();
    });
    dir.wippy(["ps", "--pid", "8"]).exits(1).mentions("an answer that this release cannot read");
    dir.wippy(["ps", "--pid", "8"]).exits(1).mentions("the runtime 8 has ended");
    answers.join().unwrap();
    drop(mute);
}
