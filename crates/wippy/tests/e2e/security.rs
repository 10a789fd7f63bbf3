//! Permissions, from the project's policies to what a process is told.

use insta::assert_snapshot;
use wippy_testkit::{Dir, Outcome};

use crate::{HOSTS, command_with, dir};

const STRICT: &str = "version: \"1.0\"\nsecurity: { strict_mode: true }\n";

/// Policies that allow what starting a command takes, all of `app`, and deny secrets.
const POLICIES: &str = "
  - name: start
    kind: security.policy
    groups: [operators]
    policy: { actions: [process.spawn, process.host], resources: 'app:*', effect: allow }
  - name: everything
    kind: security.policy
    policy: { actions: '*', effect: allow }
  - name: no_secrets
    kind: security.policy
    groups: [operators]
    policy: { actions: '*', resources: ['app:secret*'], effect: deny }
  - name: admins
    kind: security.policy
    policy:
      actions: process.*
      effect: allow
      conditions:
        - { field: actor.meta.role, operator: in, value: [admin, owner] }
        - { field: actor.meta.level, operator: gte, value: 3 }
";

/// A Lua command `main` with a security block, and a body.
fn lua(security: &str, body: &str) -> Dir {
    let dir = dir();
    dir.write(
        "src/main.lua",
        format!("local function main(...)\n{body}\nend\nreturn {{ main = main }}\n"),
    );
    dir.entries(&format!(
        "{HOSTS}{POLICIES}
  - name: main
    kind: process.lua
    meta: {{ command: {{ name: main{security} }} }}
    source: file://main.lua
    method: main
    modules: [security]
"
    ));
    dir
}

fn strict(security: &str, body: &str) -> Outcome {
    let dir = lua(security, body);
    dir.write(".wippy.yaml", STRICT);
    dir.wippy(["run", "main"]).outcome()
}

#[test]
fn strict_mode_denies_what_nobody_answers_for() {
    assert_snapshot!("strict_nobody", strict("", "return 'ran'"));
    let actor = ", security: { actor: { id: 'cli:ops' } }";
    assert_snapshot!("strict_actor_without_scope", strict(actor, "return 'ran'"));
    lua("", "return 'ran'").wippy(["run", "main"]).succeeds().prints("ran\n").quietly();
    lua(actor, "return 'ran'").wippy(["run", "main"]).succeeds().prints("ran\n").quietly();
    let dir = lua("", "return 'ran'");
    let set = ["run", "--set", "security.strict_mode=true", "main"];
    dir.wippy(set).exits(1).mentions("security.strict_mode is on");
    dir.wippy(["run", "--set", "security.strict_mode=true", "-x", "app:main"]).exits(1);
}

#[test]
fn strict_mode_with_an_actor_and_policies() {
    let body = "local s = require('security')
        return s.actor():id() .. ' ' .. table.concat(s.scope():policies(), ' ')";
    for security in [
        ", security: { actor: { id: 'cli:ops' }, policies: [start, no_secrets] }",
        ", security: { actor: { id: 'cli:ops' }, groups: [operators] }",
        ", security: { actor: { id: 'cli:ops' }, policies: [start], groups: ['app:operators'] }",
    ] {
        let outcome = strict(security, body);
        assert_eq!(outcome.status, Some(0), "{outcome}");
        let mut words: Vec<&str> = outcome.stdout.split_whitespace().collect();
        words.sort_unstable();
        assert_eq!(words, ["app:no_secrets", "app:start", "cli:ops"], "{outcome}");
    }
    let none = ", security: { actor: { id: 'cli:ops' }, policies: [no_secrets] }";
    assert_snapshot!("strict_not_allowed", strict(none, "return 'ran'"));
}

#[test]
fn a_condition_on_the_meta_of_the_actor() {
    let security = |meta: &str| {
        format!(", security: {{ actor: {{ id: 'user:ann', meta: {meta} }}, policies: [admins] }}")
    };
    for (meta, allowed) in [
        ("{ role: admin, level: 3 }", true),
        ("{ role: owner, level: 9.5 }", true),
        ("{ role: guest, level: 9 }", false),
        ("{ role: admin, level: 2 }", false),
        ("{ role: admin }", false),
        ("{}", false),
    ] {
        let outcome = lua(&security(meta), "return 'ran'").wippy(["run", "main"]).outcome();
        assert_eq!(outcome.status, Some(if allowed { 0 } else { 1 }), "{meta}: {outcome}");
    }
}

/// A guest as a process of its own, spawned by Lua on behalf of the command's actor.
fn guest_from_lua(scope: &str, wasi: &str) -> Outcome {
    let dir = lua(
        &format!(", security: {{ actor: {{ id: 'user:ann' }}, policies: [{scope}] }}"),
        "local process = require('process')
        local value, err = process.exec('secret_guest', 'processes')
        if err then return err:kind() .. ': ' .. tostring(err) end
        value, err = process.exec('cli-args', 'processes')
        return err and err:kind() .. ': ' .. tostring(err) or 'ran'",
    );
    let index = dir.read("src/_index.yaml");
    let head = "version: \"1.0\"\nnamespace: app\nentries:\n";
    let entries = index.strip_prefix(head).unwrap();
    let entries = entries.replace("app:secret*", "app:hidden*").replace(
        "\n  - name: main\n",
        &format!(
            "{}
  - {{ name: secret_guest, kind: process.lua, source: \"return function() end\", method: main }}
  - {{ name: files, kind: fs.directory, directory: ./files, auto_init: true }}
  - {{ name: hidden_files, kind: fs.directory, directory: ./files, auto_init: true }}
  - {{ name: memory, kind: env.storage.memory, values: {{ NAME: value }} }}
  - {{ name: name, kind: env.variable, variable: NAME, storage: memory }}
  - {{ name: hidden_name, kind: env.variable, variable: NAME, storage: memory }}
  - name: reads
    kind: security.policy
    policy: {{ actions: [fs.get, env.get], effect: allow }}
\n  - name: main\n",
            command_with("cli-args", "run", wasi)
        ),
    );
    dir.entries(&entries);
    dir.wippy(["run", "main"]).outcome()
}

#[test]
fn mounts_and_variables_are_asked_for_when_a_guest_is_spawned() {
    let mount = "    wasi: { mounts: [{ fs: files, guest: /data }] }\n";
    let variable = "    wasi: { env: [{ id: name, name: NAME }] }\n";
    for wasi in [mount, variable] {
        let outcome = guest_from_lua("start, reads, no_secrets", wasi);
        assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(0), "ran\n"), "{outcome}");
    }
    assert_snapshot!("denied_mount", guest_from_lua("start", mount));
    assert_snapshot!("denied_variable", guest_from_lua("start", variable));
    // A deny wins, and a variable that is not required is denied all the same.
    let hidden = "    wasi: { mounts: [{ fs: hidden_files, guest: /data }] }\n";
    assert_snapshot!("deny_wins", guest_from_lua("start, reads, everything, no_secrets", hidden));
    let hidden = "    wasi: { env: [{ id: hidden_name, name: NAME, required: false }] }\n";
    let outcome = guest_from_lua("everything, no_secrets", hidden);
    assert!(outcome.stdout.starts_with("PermissionDenied: app:cli-args: env.get on"), "{outcome}");
}

#[test]
fn what_is_spawned_acts_for_the_same_actor() {
    let dir = lua(
        ", security: { actor: { id: 'user:ann', meta: { role: admin } }, policies: [start] }",
        "local process, security = require('process'), require('security')
        if ... == 'child' then return security.actor():id() .. ' ' .. security.actor():meta().role end
        local seen = { process.exec('main', 'processes', 'child') }
        local _, err = process.exec('elsewhere:main', 'processes')
        return table.concat(seen) .. '; ' .. tostring(err)",
    );
    dir.write(".wippy.yaml", STRICT);
    assert_snapshot!("inherited", dir.wippy(["run", "main"]).succeeds());
}

/// The blocks of a language in `docs/security.md`.
fn blocks(language: &str) -> Vec<String> {
    let page = wippy_testkit::guests::workspace().join("docs/security.md");
    let page = std::fs::read_to_string(page).unwrap();
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// What the page shows runs as it stands.
#[test]
fn the_page_on_permissions() {
    let [settings, policies, command] = &blocks("yaml")[..] else { panic!() };
    let dir = dir();
    dir.write(".wippy.yaml", settings);
    dir.write(
        "src/report.lua",
        "local security = require('security')
        local can = security.can
        return { main = function()
            return tostring(can('env.get', 'app:mine')) .. tostring(can('env.get', 'app:other'))
                .. tostring(can('fs.get', 'app:secret_files'))
        end }\n",
    );
    dir.entries(&format!(
        "{HOSTS}{policies}{command}    modules: [security]
  - {{ name: mine, kind: registry.entry, meta: {{ owner: 'cli:ops' }} }}
  - {{ name: other, kind: registry.entry, meta: {{ owner: 'cli:others' }} }}
  - {{ name: secret_files, kind: registry.entry, meta: {{ owner: 'cli:ops' }} }}
"
    ));
    dir.wippy(["run", "report"]).succeeds().prints("truefalsefalse\n").quietly();
}

#[test]
fn the_lua_of_the_page() {
    let [page] = &blocks("lua")[..] else { panic!() };
    let dir = lua("", page);
    let index = dir.read("src/_index.yaml").replace("name: main", "name: report");
    let index = index.replace("name: start", "name: orders").replace(
        "actions: [process.spawn, process.host], resources: 'app:*', effect: allow",
        "actions: orders.*, effect: allow, conditions: [{ field: meta.owner, value: 'user:ann' }]",
    );
    dir.write(
        "src/_index.yaml",
        format!(
            "{index}
  - name: outer
    kind: process.lua
    meta: {{ command: {{ name: outer }} }}
    modules: [security]
    method: main
    source: |
      return {{ main = function()
        local security = require('security')
        local says = process.with_context():with_actor(security.new_actor('user:bob', {{ role = 'x' }}))
        return says:with_scope(security.new_scope({{ 'admins' }})):exec('report', 'processes')
      end }}
"
        ),
    );
    // Nobody acts: everything is allowed, and it spawns itself for another actor, who may not.
    dir.wippy(["run", "report"]).succeeds();
    dir.wippy(["run", "outer"]).succeeds().prints("not yours\n");
}

fn checked(entries: &str) -> Outcome {
    let dir = dir();
    dir.write("src/main.lua", "return function() end\n").write("wasm/.keep", "");
    dir.entries(&format!("{HOSTS}{POLICIES}{entries}"));
    dir.wippy(["check"]).outcome()
}

#[test]
fn mistakes_in_a_security_block() {
    assert_snapshot!(
        "mistakes_block",
        checked(
            "
  - name: main
    kind: process.lua
    meta:
      command:
        name: main
        long: is nobody's business
        security:
          actr: { id: x }
          actor: { id: 7, metta: {} }
          policies: [everythin, processes]
          groups: [operator]
    source: file://main.lua
    method: main
"
        )
    );
    assert_snapshot!(
        "mistakes_groups",
        checked(
            "
  - name: main
    kind: process.lua
    meta: { command: { name: main, security: { actor: { id: x }, groups: [operator, none] } } }
    source: file://main.lua
    method: main
"
        )
    );
    assert_snapshot!(
        "mistakes_no_actor",
        checked(
            "
  - name: main
    kind: process.lua
    meta: { command: { name: main, security: { policies: [start] } } }
    source: file://main.lua
    method: main
"
        )
    );
}

#[test]
fn mistakes_in_a_policy() {
    assert_snapshot!(checked(
        "
  - name: bad
    kind: security.policy
    policy:
      actions: []
      effect: permit
      conditions:
        - { field: actor.name, value: x }
        - { field: actor.id }
        - { field: actor.id, value: x, value_from: resource }
        - { field: actor.id, operator: exists, value: true }
        - { field: actor.id, operator: in, value: x }
        - { field: actor.id, operator: matches, value: 7 }
        - { field: actor.id, operator: lt, value: [1] }
        - { field: actor.id, value: null }
        - { field: resource, value_from: actor.mta.x }
"
    ));
}
