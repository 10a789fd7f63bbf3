//! What entries become: every kind with all its fields, defaults, order, comparison.

use std::time::Duration;

use wippy_model::{EntryId, Value};
use wippy_registry::{
    Data, EntryKind, HostProfile, LoadOptions, PoolPlan, Project, Startup, Transport,
};

use super::{load, load_with};

#[track_caller]
fn fine(entries: &str) -> Project {
    match load(entries) {
        Ok(project) => {
            assert!(project.warnings().is_empty(), "{}", project.warnings());
            project
        }
        Err(found) => panic!("{found}"),
    }
}

fn id(text: &str) -> EntryId {
    EntryId::parse(text).unwrap()
}

const ALL: &str = r#"
- name: files
  kind: fs.directory
  directory: ./wasm
  auto_init: true
  mode: 0750
- { name: mem, kind: env.storage.memory, values: { A: 1, B: "two" } }
- { name: dotenv, kind: env.storage.file, file_path: .env, auto_create: true, file_mode: "0600", dir_mode: 0o700 }
- { name: os, kind: env.storage.os, prefix: APP_ }
- { name: router_env, kind: env.storage.router, storages: [mem, app:dotenv, os] }
- { name: url, kind: env.variable, variable: URL, storage: router_env, default: "", readonly: true }
- name: host
  kind: process.host
  host: { workers: 2, queue_size: 10, max_processes: 100, profile: density, slice_ms: 7, stop_timeout: 1m, stack_bytes: 64KiB }
  lifecycle: { auto_start: true }
- { name: term, kind: terminal.host, hide_logs: true }
- name: worker
  kind: process.wasm
  fs: files
  path: /w.wasm
  hash: sha256:292b796376f8b4cc360acf2ea6b82d1084871c3607a079f30b446da8e5c984a4
  method: compute
  wit: "compute: func(a: s32, b: s32) -> s32;"
  imports: [wasi1, WASI:HTTP/types@0.2.3, wippy:actor]
  wasi:
    args: [--input, 1, true, 0x10]
    cwd: /app
    env: [{ id: url, name: URL, required: true }]
    mounts: [{ fs: files, guest: /data, read_only: true }]
  limits: { max_execution_ms: 5000 }
  options: { limits: { memory_bytes: 64MiB }, mailbox: { capacity: 8 } }
  meta: { command: { name: compute, short: Multiply }, default_host: host }
- name: lua_worker
  kind: process.lua
  source: |
    return { run = function() end }
  method: run
  modules: [json]
  imports: { lib: lib }
  limits: { memory_bytes: 8MiB }
- name: svc
  kind: process.service
  process: worker
  host: host
  input: [6, "6", null, { a: [1.5] }]
  lifecycle:
    auto_start: true
    startup: optional
    start_timeout: 30s
    stable_threshold: 250ms
    depends_on: [db]
    restart: { delay: 2s, max_delay: 1m30s, backoff_factor: 3, jitter: 0, max_attempts: 4 }
    security: { actor: { id: "service:worker", meta: { role: admin } }, groups: [admins], policies: [policy] }
- { name: fw, kind: function.wasm, fs: files, path: /f.wasm, hash: "sha256:292b796376f8b4cc360acf2ea6b82d1084871c3607a079f30b446da8e5c984a4", method: handle, transport: wasi-http, pool: { type: adaptive, max_size: 4, reuse: true } }
- { name: fwat, kind: function.wat, source: "(module)", method: add, pool: { workers: 3 } }
- { name: fl, kind: function.lua, source: "return 1", method: main, pool: {} }
- { name: lib, kind: library.lua, source: "return {}" }
- { name: web, kind: http.service, addr: ":8080", timeouts: { read: 5s, write: 0, idle: 1m }, lifecycle: { auto_start: true } }
- { name: api, kind: http.router, meta: { server: web }, prefix: /api, middleware: [cors], options: { cors.allow: "*" } }
- { name: hello, kind: http.endpoint, router: api, method: POST, path: "/hello/{name}", func: fw }
- { name: static, kind: http.static, server: app:web, path: /, fs: files, spa: true }
- { name: cache, kind: store.memory, max_size: 10, cleanup_interval: 1h }
- { name: db, kind: db.sql.sqlite, file: ":memory:", pool: { max_open: 2 }, options: { journal_mode: WAL } }
- name: policy
  kind: security.policy
  groups: [admins, other:group]
  policy:
    actions: "*"
    resources: [app:a, app:b]
    effect: deny
    conditions: [{ field: actor.meta.role, operator: eq, value: admin }]
- { name: tokens, kind: security.token_store, store: cache, token_length: 16, token_key: url }
- { name: data, kind: registry.entry, anything: [goes], pool: 1 }
- { name: more, kind: registry.entry, data: [1, 2] }
"#;

#[test]
fn every_kind_loads_with_all_its_fields() {
    let project = fine(ALL);
    let registry = project.registry();
    for kind in EntryKind::ALL {
        assert!(registry.of_kind(*kind).next().is_some(), "{kind}");
    }
    let data = |name: &str| &registry.get(&id(name)).unwrap().data;

    let Data::FsDirectory(files) = data("app:files") else { panic!() };
    assert_eq!((files.auto_init, files.mode), (true, 0o750));

    let Data::EnvVariable(url) = data("app:url") else { panic!() };
    assert_eq!(url.default.as_deref(), Some(""), "an empty text is a value");

    let Data::ProcessHost(host) = data("app:host") else { panic!() };
    assert_eq!(host.host.profile, HostProfile::Density);
    assert_eq!(host.host.stop_timeout, Duration::from_secs(60));
    assert_eq!(host.host.stack_bytes, Some(64 << 10));

    let Data::ProcessWasm(worker) = data("app:worker") else { panic!() };
    assert_eq!(worker.run.wasi.args, ["--input", "1", "true", "0x10"]);
    assert_eq!(worker.default_host, Some(id("app:host")));
    let limits = worker.run.limits();
    assert_eq!(limits.execution_max, Some(Duration::from_secs(5)));
    assert_eq!((limits.memory_bytes, limits.mailbox.capacity), (64 << 20, 8));
    assert_eq!(limits.table_elements, wippy_model::Limits::default().table_elements);

    let Data::ProcessService(svc) = data("app:svc") else { panic!() };
    let nested = Value::map([("a", Value::List(vec![Value::Float(1.5)]))]);
    assert_eq!(svc.input, [Value::Int(6), Value::from("6"), Value::Null, nested]);
    assert_eq!(svc.lifecycle.startup, Startup::Optional);
    assert_eq!(svc.lifecycle.requires, [id("app:db")]);
    assert_eq!(svc.lifecycle.restart.initial_delay, Duration::from_secs(2));
    assert_eq!(svc.lifecycle.restart.max_delay, Duration::from_secs(90));
    let security = svc.lifecycle.security.as_ref().unwrap();
    assert_eq!(security.groups, [id("app:admins")]);

    let Data::FunctionWasm(function) = data("app:fw") else { panic!() };
    assert_eq!(function.run.transport, Transport::WasiHttp);
    let Data::HttpRouter(api) = data("app:api") else { panic!() };
    assert_eq!(api.server, id("app:web"));
    let Data::SecurityPolicy(policy) = data("app:policy") else { panic!() };
    assert_eq!(policy.policy.actions, ["*"]);
    assert_eq!(policy.groups, [id("app:admins"), id("other:group")]);
    let Data::RegistryEntry(free) = data("app:data") else { panic!() };
    let expected =
        Value::map([("anything", Value::List(vec![Value::from("goes")])), ("pool", Value::Int(1))]);
    assert_eq!(free.data, expected);
    let Data::RegistryEntry(free) = data("app:more") else { panic!() };
    assert_eq!(free.data, Value::List(vec![Value::Int(1), Value::Int(2)]));
}

#[test]
fn defaults_of_a_lifecycle() {
    let project = fine("- { name: h, kind: process.host }\n");
    let entry = project.registry().get(&id("app:h")).unwrap();
    let lifecycle = entry.lifecycle().unwrap();
    assert!(!lifecycle.auto_start);
    assert_eq!(lifecycle.start_timeout, Duration::from_secs(10));
    assert_eq!(lifecycle.stop_timeout, Duration::from_secs(10));
    assert_eq!(lifecycle.stable_threshold, Duration::from_secs(5));
    assert_eq!(lifecycle.restart.initial_delay, Duration::from_secs(1));
    assert_eq!(lifecycle.restart.max_delay, Duration::from_secs(90));
    assert_eq!(lifecycle.restart.max_attempts, 0);
}

#[test]
fn pools_settle_their_defaults() {
    for (pool, expected) in [
        ("{ type: inline }", PoolPlan::Inline),
        ("{ type: lazy }", PoolPlan::Lazy { size_max: 16 }),
        ("{ type: lazy, max_size: 3 }", PoolPlan::Lazy { size_max: 3 }),
        ("{ type: static, size: 2 }", PoolPlan::Static { size: 2, buffer: 128 }),
        ("{ type: static, workers: 2, buffer: 1 }", PoolPlan::Static { size: 2, buffer: 1 }),
        ("{ type: adaptive, max_size: 8 }", PoolPlan::Adaptive { size_max: 8 }),
        ("{ size: 4 }", PoolPlan::Static { size: 4, buffer: 256 }),
        ("{ workers: 4 }", PoolPlan::Static { size: 4, buffer: 256 }),
        ("{}", PoolPlan::Lazy { size_max: 100 }),
    ] {
        let entry =
            format!("- {{ name: f, kind: function.lua, source: x, method: m, pool: {pool} }}");
        let project = fine(&entry);
        let entry = project.registry().get(&id("app:f")).unwrap();
        assert_eq!(entry.pool().unwrap().plan(), expected, "{pool}");
    }
}

#[test]
fn what_is_named_comes_first() {
    let project = fine(ALL);
    let registry = project.registry();
    let order: Vec<&str> = registry.entries().map(|entry| entry.id.as_str()).collect();
    for entry in registry {
        let at = |id: &EntryId| order.iter().position(|other| *other == id.as_str()).unwrap();
        for named in &entry.requires {
            assert!(at(named) < at(&entry.id), "{named} before {}", entry.id);
        }
    }
    let starts: Vec<&str> = registry.start_order().iter().map(|entry| entry.id.as_str()).collect();
    // The database starts because the service needs it; the store, which nobody who starts
    // needs, does not.
    assert_eq!(starts, ["app:db", "app:host", "app:web", "app:svc"]);
}

#[test]
fn meta_of_the_index_is_under_that_of_the_entry() {
    let text = "namespace: app\nmeta: { team: core, tags: [a] }\nentries:\n- name: x\n  kind: \
                registry.entry\n  meta: { tags: [b], own: 1 }\n";
    let root = std::path::Path::new("/");
    let project = Project::from_text("a.yaml", text, root, &LoadOptions::default()).unwrap();
    let entry = project.registry().get(&id("app:x")).unwrap();
    let expected = Value::map([
        ("team", Value::from("core")),
        ("tags", Value::List(vec![Value::from("b")])),
        ("own", Value::Int(1)),
    ]);
    assert_eq!(entry.meta, expected);
}

#[test]
fn anchors_and_merge_keys() {
    let project = fine(
        "- &base { name: a, kind: http.service, addr: ':1', max_concurrency: 5 }\n- <<: *base\n  name: b\n  addr: ':2'\n",
    );
    let Data::HttpService(b) = &project.registry().get(&id("app:b")).unwrap().data else {
        panic!()
    };
    assert_eq!((b.addr.as_str(), b.max_concurrency), (":2", 5));
}

#[test]
fn an_optional_variable_that_does_not_exist_is_left_out() {
    let entries = "- { name: files, kind: fs.directory, directory: . }\n- { name: w, kind: \
                   process.wasm, fs: files, path: /x, method: m, wasi: { env: [{ id: nope, name: \
                   A }] } }\n";
    let options = LoadOptions { unfilled_hashes: true, ..LoadOptions::default() };
    let project = load_with(entries, &options).unwrap();
    assert_eq!(project.warnings().len(), 1);
    let entry = project.registry().get(&id("app:w")).unwrap();
    assert!(entry.wasm().unwrap().wasi.env.is_empty());
}

#[test]
fn places_of_entries_and_fields() {
    let project = fine(ALL);
    let worker = project.registry().get(&id("app:worker")).unwrap();
    assert_eq!(worker.place().to_string(), "app.yaml:19:9");
    assert_eq!(worker.place_of("wasi.mounts.0.guest").to_string(), "app.yaml:31:34");
    assert_eq!(worker.place_of("no.such.field").to_string(), "app.yaml:19:9");
    let lua = project.registry().get(&id("app:lua_worker")).unwrap();
    let source = lua.source_text().unwrap();
    assert_eq!((&*source.file, source.line), ("app.yaml", 38));
}

#[test]
fn overrides_are_laid_over_entries() {
    let overrides = [
        "app:svc:lifecycle.restart.max_attempts=9",
        "app:worker:wasi.args.0=--output",
        "app:worker:meta.command.short=Other: text",
        "app:url:default=",
        "app:svc:input=[1, {a: b}]",
    ];
    // YAML would read `Other: text` as a map; quotes make it text.
    let overrides = overrides.map(|flag| flag.replace("Other: text", "\"Other: text\""));
    let options = LoadOptions { overrides: overrides.to_vec(), ..LoadOptions::default() };
    let project = load_with(ALL, &options).map_err(|found| found.to_string()).unwrap();
    let registry = project.registry();
    let Data::ProcessService(svc) = &registry.get(&id("app:svc")).unwrap().data else { panic!() };
    assert_eq!(svc.lifecycle.restart.max_attempts, 9);
    assert_eq!(svc.input, [Value::Int(1), Value::map([("a", "b".into())])]);
    let worker = registry.get(&id("app:worker")).unwrap();
    assert_eq!(worker.wasm().unwrap().wasi.args[0], "--output");
    assert_eq!(worker.command().unwrap().short, "Other: text");
    let Data::EnvVariable(url) = &registry.get(&id("app:url")).unwrap().data else { panic!() };
    assert_eq!(url.default.as_deref(), Some(""));
}

#[test]
fn commands_are_sorted() {
    let project = fine(
        "- { name: a, kind: process.lua, source: x, method: m, meta: { command: { name: z } } }\n- { name: b, kind: process.lua, source: x, method: m, meta: { command: { name: y } } }\n",
    );
    let commands = project.registry().commands();
    let names: Vec<_> = commands.iter().map(|(command, _)| command.name.as_str()).collect();
    assert_eq!(names, ["y", "z"]);
}

#[test]
fn the_difference_of_two_registries() {
    let old = fine(
        "- { name: a, kind: registry.entry, x: 1 }\n- { name: b, kind: registry.entry }\n- { name: l, kind: library.lua, source: x }\n",
    );
    let new = fine(
        "\n\n- { name: l, kind: library.lua, source: x }\n- { name: a, kind: registry.entry, x: 2 }\n- { name: c, kind: registry.entry }\n",
    );
    let difference = new.registry().since(old.registry());
    assert_eq!(difference.added, [id("app:c")]);
    assert_eq!(difference.changed, [id("app:a")]);
    assert_eq!(difference.removed, [id("app:b")]);
    assert!(new.registry().since(new.registry()).is_empty());
}

#[test]
fn the_documented_limits_are_the_defaults() {
    let project = fine("- { name: f, kind: function.wat, source: x, method: m }\n");
    let function = project.registry().get(&id("app:f")).unwrap();
    let limits = function.wasm().unwrap().limits();
    assert_eq!(limits, wippy_model::Limits::default());
    let text = wippy_registry::entries_markdown();
    for (field, value) in [
        ("memory_bytes", format!("{}MiB", limits.memory_bytes >> 20)),
        ("table_elements", limits.table_elements.to_string()),
        ("instances", limits.instances.to_string()),
        ("host_buffer_bytes", format!("{}MiB", limits.host_buffer_bytes >> 20)),
        ("max_open_files", limits.open_files_max.to_string()),
        ("max_open_sockets", limits.open_sockets_max.to_string()),
        ("http_concurrency", limits.http_concurrency.to_string()),
        ("output_bytes", format!("{}MiB", limits.output_bytes >> 20)),
        ("capacity", limits.mailbox.capacity.to_string()),
        ("bytes", format!("{}MiB", limits.mailbox.bytes >> 20)),
        ("message_bytes", format!("{}MiB", limits.mailbox.message_bytes >> 20)),
    ] {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{field}` |"))).unwrap();
        assert!(row.contains(&format!("Default: {value}.")), "{row}");
    }
}

#[test]
fn meta_is_free() {
    fine(
        "- { name: p, kind: process.lua, source: x, method: m, meta: { x: 1, command: { name: go, long: text, own: [1] } } }\n",
    );
}
