//! A node with virtual time, and scripts to run on it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use wippy_kernel::{
    Authorizer, HostSpec, Kernel, KernelOptions, Prepare, Process, ProcessContext, Scheduler,
    SpawnRequest, Unit,
};
use wippy_lua::{LuaImport, LuaSpec, LuaUnit};
use wippy_model::{EntryId, Error, Exit, Limits, Result, Value};

pub(crate) fn id(text: &str) -> EntryId {
    EntryId::parse(text).unwrap()
}

/// A node with the host `myns:processes` on the runtime of the test, and the native unit
/// `myns:compute_worker`, which multiplies its arguments.
pub(crate) struct Node {
    pub(crate) kernel: Kernel,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::with_authorizer(None)
    }

    pub(crate) fn with_authorizer(authorizer: Option<Box<dyn Authorizer>>) -> Self {
        let kernel =
            Kernel::new(KernelOptions { node: "test".into(), incarnation: 1, authorizer, seed: 1 });
        kernel.add_host(HostSpec {
            scheduler: Scheduler::Shared(Handle::current()),
            ..HostSpec::new(id("myns:processes"))
        });
        let node = Self { kernel };
        node.add("myns:compute_worker", Arc::new(Native::new(multiply)));
        node.add(
            "myns:failing",
            Arc::new(Native::new(|_| {
                let details = Value::map([("code", Value::Int(7))]);
                Exit::Failed(
                    Error::not_found("no such thing").with_details(details).with_retryable(false),
                )
            })),
        );
        node.add("myns:sleeper", Arc::new(Sleeper(Limits::default())));
        node
    }

    pub(crate) fn add(&self, name: &str, unit: Arc<dyn Unit>) {
        self.kernel.add_unit(id(name), Box::new(move || Ok(unit.clone())));
    }

    pub(crate) fn add_function(&self, name: &str, unit: Arc<dyn Unit>) {
        self.kernel.add_function(id(name), Box::new(move || Ok(unit.clone())));
    }

    pub(crate) fn script(&self, name: &str, source: &str) {
        self.add(name, LuaUnit::load(spec(name, source)).unwrap());
    }

    /// Runs a script as `myns:script` to its end.
    pub(crate) async fn run(&self, source: &str, args: Vec<Value>) -> Exit {
        self.run_spec(spec("myns:script", source), args).await
    }

    pub(crate) async fn run_spec(&self, spec: LuaSpec, args: Vec<Value>) -> Exit {
        match LuaUnit::load(spec) {
            Ok(unit) => self.add("myns:script", unit),
            Err(error) => return Exit::Config(error),
        }
        let request = SpawnRequest::new(id("myns:script"), id("myns:processes"), args);
        let (_, watch) = self.kernel.spawn_watched(request).await.unwrap();
        let exit = tokio::time::timeout(Duration::from_secs(100_000), watch).await;
        Exit::clone(&exit.expect("the script did not end"))
    }
}

pub(crate) fn spec(name: &str, source: &str) -> LuaSpec {
    LuaSpec {
        method: Some(String::new()),
        file: "script.lua".to_owned(),
        ..LuaSpec::new(id(name), source)
    }
}

pub(crate) fn import(alias: &str, source: &str) -> LuaImport {
    LuaImport {
        alias: alias.into(),
        id: id(&format!("myns:{alias}")),
        file: format!("{alias}.lua"),
        source: source.into(),
        modules: Vec::new(),
    }
}

/// Runs a test body on a runtime of its own with virtual time.
pub(crate) fn virtual_time<F: Future>(body: impl FnOnce() -> F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(async { body().await })
}

/// Runs a script whose body is the text and gives its exit.
pub(crate) fn exit(source: &str) -> Exit {
    virtual_time(|| async { Node::new().run(source, vec![]).await })
}

/// Runs a script and gives its value; its end must be a good one.
pub(crate) fn value(source: &str) -> Value {
    match exit(source) {
        Exit::Normal(value) => value,
        other => panic!("{other:?}\n{}", stack(&other)),
    }
}

/// The result of a script in a plain VM, whose chunk has the same name as ours.
pub(crate) fn plain(source: &str) -> String {
    mlua::Lua::new().load(source).set_name("@script.lua").call(()).unwrap()
}

/// Runs a script here and in a plain VM; the first line where they differ.
pub(crate) fn compare_source(source: &str) -> Result<(), String> {
    let plain = plain(source);
    let Value::String(ours) = value(source) else { panic!("no text") };
    if plain == *ours {
        return Ok(());
    }
    let differs = plain.lines().zip(ours.lines()).enumerate().find(|(_, (a, b))| a != b);
    Err(format!("{differs:?}"))
}

/// Runs scripts and compares their values.
pub(crate) fn check(cases: &[(&str, Value)]) {
    for (source, expected) in cases {
        assert_eq!(value(source), *expected, "{source}");
    }
}

/// Runs a script that must fail, and gives its error.
pub(crate) fn failure(source: &str) -> Error {
    match exit(source) {
        Exit::Failed(error) => error,
        other => panic!("{other:?}: {source}"),
    }
}

pub(crate) fn stack(exit: &Exit) -> String {
    exit.error().and_then(|error| error.stack().map(ToString::to_string)).unwrap_or_default()
}

pub(crate) fn list(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(items.into_iter().collect())
}

pub(crate) fn text(text: &str) -> Value {
    Value::from(text)
}

fn multiply(args: Vec<Value>) -> Exit {
    match args[..] {
        [Value::Int(a), Value::Int(b)] => Exit::Normal(Value::Int(a * b)),
        _ => Exit::Failed(Error::invalid(format!("{args:?}"))),
    }
}

/// A unit whose processes end at once.
pub(crate) struct Native {
    limits: Limits,
    run: fn(Vec<Value>) -> Exit,
}

impl Native {
    pub(crate) fn new(run: fn(Vec<Value>) -> Exit) -> Self {
        Self { limits: Limits::default(), run }
    }
}

impl Unit for Native {
    fn limits(&self) -> &Limits {
        &self.limits
    }
    fn prepare(&self, spawn: Prepare<'_>) -> Result<Box<dyn Process>> {
        Ok(Box::new(Run { args: spawn.args, run: self.run }))
    }
}

struct Run {
    args: Vec<Value>,
    run: fn(Vec<Value>) -> Exit,
}

impl Process for Run {
    fn run(self: Box<Self>, _: ProcessContext) -> Pin<Box<dyn Future<Output = Exit> + Send>> {
        Box::pin(async move { (self.run)(self.args) })
    }
}

/// A unit whose processes sleep for the milliseconds they are given.
struct Sleeper(Limits);

impl Unit for Sleeper {
    fn limits(&self) -> &Limits {
        &self.0
    }
    fn prepare(&self, spawn: Prepare<'_>) -> Result<Box<dyn Process>> {
        let ms = spawn.args.first().and_then(Value::as_i64);
        let ms = ms.ok_or_else(|| Error::invalid("expected milliseconds"))?;
        Ok(Box::new(Sleep(ms.unsigned_abs())))
    }
}

struct Sleep(u64);

impl Process for Sleep {
    fn run(self: Box<Self>, _: ProcessContext) -> Pin<Box<dyn Future<Output = Exit> + Send>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(self.0)).await;
            Exit::Normal(text("slept"))
        })
    }
}
