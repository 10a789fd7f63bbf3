//! The examples, run as their READMEs say.

use wippy_testkit::{Dir, Signal, guests};

use crate::dir;

/// Runs every `$ wippy …` line of a README and compares what follows it; a `$ cat FILE` line
/// is compared with the file.
fn runs_as_its_readme_says(name: &str) -> Dir {
    let dir = dir();
    dir.example(name);
    let readme = guests::workspace().join("examples").join(name).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let mut lines = readme.lines().filter_map(|line| line.strip_prefix("    ")).peekable();
    let mut runs = 0;
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("$ ") else { continue };
        let mut expected = String::new();
        while let Some(output) = lines.next_if(|line| !line.starts_with('$')) {
            expected.push_str(output);
            expected.push('\n');
        }
        match command.split_once(' ') {
            Some(("wippy", args)) => {
                dir.wippy(args.split(' ')).succeeds().prints(&expected).quietly();
                runs += 1;
            }
            Some(("cat", file)) => {
                assert_eq!(std::fs::read_to_string(dir.join(file)).unwrap(), expected, "{file}");
            }
            _ => panic!("{name}: cannot run {command}"),
        }
    }
    assert!(runs > 1, "the README of {name} shows commands");
    dir.wippy(["check"]).succeeds().quietly();
    dir
}

#[test]
fn hello() {
    runs_as_its_readme_says("hello");
}

#[test]
fn compute() {
    runs_as_its_readme_says("compute");
}

#[test]
fn functions() {
    runs_as_its_readme_says("functions");
}

/// The demo, and the tree under its service.
#[test]
fn supervision() {
    let dir = runs_as_its_readme_says("supervision");
    let running = dir.wippy(["run"]).start();
    running.stderr_has("running entry=tree:service");
    running.signal(Signal::TERM);
    let outcome = running.wait();
    assert_eq!(outcome.status, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("stopped entry=tree:service"), "{outcome}");
}

/// Its supervisor in Lua: two children end while it waits for the third.
#[test]
fn children_that_end_while_another_is_stopped() {
    let dir = dir();
    dir.example("supervision");
    dir.write(
        "src/trio/_index.yaml",
        "version: '1.0'
namespace: trio
entries:
  - { name: main, kind: process.lua, source: file://main.lua, method: main,
      meta: { command: { name: trio } } }
  - { name: child, kind: process.lua, source: file://main.lua, method: child }
  - { name: top, kind: process.lua, source: file://main.lua, method: top,
      imports: { supervisor: tree:supervisor } }
",
    );
    dir.write(
        "src/trio/main.lua",
        "local process = require('process')
local time = require('time')
local names = { 'first', 'second', 'third' }
local function child(name)
    local event = process.receive()
    if event.topic == 'crash' then error('as asked', 0) end
    if name == 'third' and event.type == 'CANCEL' then
        process.send('first', 'crash')
        process.send('second', 'stop')
        time.sleep('100ms')
    end
end
local function top()
    local children = {}
    for index, name in ipairs(names) do
        children[index] =
            { name = name, entry = 'trio:child', host = 'tree:processes', args = { name } }
    end
    return require('supervisor').run {
        strategy = 'one_for_all', max_restarts = 1, within = '1m', children = children,
    }
end
local function trio(old)
    local found = {}
    for _, name in ipairs(names) do
        repeat
            time.sleep('2ms')
            found[name] = process.registry.lookup(name)
        until found[name] and found[name] ~= old[name]
    end
    return found
end
local function main()
    local pid = assert(process.spawn_monitored('trio:top', 'tree:processes'))
    local before = trio({})
    process.send('first', 'crash')
    print(trio(before).third ~= before.third and 'all anew')
    process.cancel(pid, '10s')
    local event = process.receive('10s')
    print(event.from == pid and (event.error or 'stopped'))
end
return { main = main, child = child, top = top }
",
    );
    dir.wippy(["run", "-s", "trio"]).succeeds().prints("all anew\nstopped\n");
}

/// Each of the three programs writes what the README shows, and none of them anything else.
#[test]
fn files() {
    let dir = runs_as_its_readme_says("files");
    let summary = |format: &str| {
        std::fs::read_to_string(dir.join(format!("output/summary.{format}"))).unwrap()
    };
    let data = std::fs::read_to_string(dir.join("data/input.csv")).unwrap();
    let expected = (summary("json"), summary("csv"));
    for name in ["file_processor", "file_processor_c", "file_processor_command"] {
        std::fs::remove_dir_all(dir.join("output")).unwrap();
        dir.wippy(["run", name]).succeeds();
        dir.wippy(["run", "-o", "myns:output_format:default=csv", name]).succeeds();
        assert_eq!((summary("json"), summary("csv")), expected, "{name}");
        let written = std::fs::read_dir(dir.join("output")).unwrap().count();
        assert_eq!(written, 2, "{name}");
        let wrong = dir.wippy(["run", "-o", "myns:output_format:default=xml", name]).exits(1);
        assert!(wrong.stderr.contains("OUTPUT_FORMAT=xml: it may be json or csv"), "{wrong}");
    }
    assert_eq!(std::fs::read_to_string(dir.join("data/input.csv")).unwrap(), data);
    // Without its file, the process fails with the words of its guest.
    std::fs::remove_file(dir.join("data/input.csv")).unwrap();
    let missing = dir.wippy(["run", "file_processor"]).exits(1);
    assert!(missing.stderr.contains("/data/input.csv: No such file"), "{missing}");
}
