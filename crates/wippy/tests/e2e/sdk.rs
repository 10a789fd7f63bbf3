//! Guests made with the libraries of `sdk/`, and `docs/sdk.md`, which shows them: what stands
//! there is what is built, and does what it says.

use std::fs;

use wippy_testkit::{Dir, guests};

use crate::{HOSTS, LUA_MAIN, dir};

/// A fenced block of the page, and the file that the line before it names.
struct Block {
    language: String,
    file: Option<String>,
    text: String,
}

fn blocks() -> Vec<Block> {
    let page = fs::read_to_string(guests::workspace().join("docs/sdk.md")).unwrap();
    let mut blocks = Vec::new();
    let mut before = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: String = lines
                .by_ref()
                .take_while(|line| *line != "```")
                .map(|line| format!("{line}\n"))
                .collect();
            let file = before.strip_suffix("`:").and_then(|before| before.rsplit('`').next());
            blocks.push(Block { language: language.into(), file: file.map(str::to_owned), text });
        } else if !line.is_empty() {
            before = line.to_owned();
        }
    }
    blocks
}

#[test]
fn the_page_shows_the_sources_of_the_guests() {
    let mut shown = 0;
    for block in blocks().iter().filter(|it| ["rust", "c"].contains(&it.language.as_str())) {
        let file = block.file.as_deref().expect("a source has a file");
        assert_eq!(
            block.text,
            fs::read_to_string(guests::workspace().join(file)).unwrap(),
            "{file}"
        );
        shown += 1;
    }
    assert_eq!(shown, 5);
}

/// The project of the page.
fn project() -> Dir {
    let dir = dir();
    for block in blocks() {
        if let Some(file) = block.file.filter(|file| file.starts_with("src/")) {
            dir.write(&file, block.text);
        }
    }
    for guest in ["sdk-counter", "sdk-counter-c", "sdk-server", "sdk-server-c", "sdk-supervisor"] {
        dir.guest(guest, &format!("wasm/{guest}.wasm"));
    }
    dir.wippy(["hash", "--write"]).succeeds();
    dir
}

#[test]
fn the_page_runs() {
    let dir = project();
    dir.wippy(["check"]).succeeds().quietly();
    let mut runs = 0;
    for block in blocks().iter().filter(|it| it.language == "console") {
        let mut lines = block.text.lines().peekable();
        while let Some(line) = lines.next() {
            let args = line.strip_prefix("$ wippy ").expect("a command").split(' ');
            let mut expected = String::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with('$')) {
                expected.push_str(line);
                expected.push('\n');
            }
            dir.wippy(args).succeeds().prints(&expected).quietly();
            runs += 1;
        }
    }
    assert_eq!(runs, 5);
}

/// A guest imports what it uses and nothing else, and `inspect` names the grants.
#[test]
fn guests_import_what_they_use() {
    let rows = [
        ("sdk-counter", "wippy:actor, wippy:process"),
        ("sdk-counter-c", "wippy:actor"),
        ("sdk-server", "wippy:actor, wippy:process"),
        ("sdk-server-c", "wippy:actor, wippy:process"),
        ("sdk-supervisor", "wippy:actor, wippy:process"),
    ];
    let dir = project();
    for (guest, grants) in rows {
        let outcome = dir.wippy(["inspect", &format!("wasm/{guest}.wasm")]).succeeds();
        let imports = outcome.stdout.lines().last().unwrap();
        let ours: Vec<&str> = imports
            .trim_start_matches("imports: [")
            .trim_end_matches(']')
            .split(", ")
            .filter(|grant| grant.starts_with("wippy:"))
            .collect();
        assert_eq!(ours.join(", "), grants, "{outcome}");
        assert!(!outcome.stdout.contains("nothing here provides it"), "{outcome}");
    }
}

/// The handler of a counter fails on what is no number, in either language as it says.
#[test]
fn what_a_counter_does_not_understand() {
    let dir = project();
    dir.write(
        "src/main.lua",
        "local function run(counter)
            local pid = assert(process.spawn_monitored(counter, 'app:processes', 1))
            process.send(pid, 'add', 'much')
            process.send(pid, 'add', 1)
            process.send(pid, 'stop')
            local event = process.receive('5s')
            print(event.value, event.error)
        end
        return { count = run, store = run, crash = run }",
    );
    let rust = dir.wippy(["run", "count", "app:counter"]).succeeds();
    assert!(rust.stdout.contains("expected i64, got \"much\""), "{rust}");
    dir.wippy(["run", "count", "app:counter-c"]).succeeds().prints("2\tnil\n");
}

/// Every call of both libraries, by guests that check what comes back, from the first message to
/// an upgrade to another entry.
#[test]
fn every_call_does_what_it_says() {
    let dir = dir();
    let entry = |name: &str, guest: &str, method: &str, more: &str| {
        format!(
            "
  - name: {name}
    kind: process.wasm
    fs: bin
    path: /{guest}.wasm
    hash: {{hash:{guest}}}
    method: {method}
    imports: [wippy:actor, wippy:process]
{more}"
        )
    };
    let c = |method: &str, params: &str| {
        format!("    wit: \"{method}: func({params}) -> result<string, string>;\"\n")
    };
    dir.entries(&format!(
        "{HOSTS}{LUA_MAIN}{}{}{}{}{}{}{}",
        entry("probe", "sdk-probe", "run", ""),
        entry("child", "sdk-probe", "child", ""),
        entry("tree", "sdk-probe", "tree", ""),
        entry("trio", "sdk-probe", "trio", ""),
        entry("upgraded", "sdk-probe", "upgraded", ""),
        entry("probe-c", "sdk-probe-c", "run", &c("run", "")),
        entry("upgraded-c", "sdk-probe-c", "upgraded", &c("upgraded", "count: u32")),
    ));
    dir.write("src/main.lua", include_str!("sdk.lua"));
    let outcome = dir.wippy(["run", "-s", "main"]).succeeds();
    outcome.prints(
        "app:probe\tall is well, 7\tnil
app:probe-c\tall is well, 7\tnil
one_for_one\tb
rest_for_one\tb c
one_for_all\ta b c
always\tc
never\t
stopped\tnone left
too often\tno restart: there were 2 within 60s
terminated\tand there again
trio\tall anew
trio\tstopped
",
    );
}
