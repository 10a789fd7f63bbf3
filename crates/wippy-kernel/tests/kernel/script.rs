//! Processes scripted as async closures, and a node with virtual time to run them on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::runtime::Handle;
use wippy_kernel::{
    ExitWatch, HostSpec, Kernel, KernelOptions, Loader, Prepare, Process, ProcessContext,
    Scheduler, SpawnRequest, Unit,
};
use wippy_model::{EntryId, Error, Exit, Limits, Message, Pid, Result, Value};

type Run = Pin<Box<dyn Future<Output = Exit> + Send>>;
type Body = Arc<dyn Fn(ProcessContext, Vec<Value>) -> Run + Send + Sync>;

pub(crate) const HOST: &str = "test:host";

pub(crate) fn id(text: &str) -> EntryId {
    EntryId::parse(text).unwrap()
}

/// A kernel with one host on the test's own scheduler.
pub(crate) fn node() -> Kernel {
    node_with(|_| {})
}

pub(crate) fn node_with(change: impl FnOnce(&mut HostSpec)) -> Kernel {
    let kernel = Kernel::new(KernelOptions::default());
    let mut host = HostSpec::new(id(HOST));
    host.scheduler = Scheduler::Shared(Handle::current());
    change(&mut host);
    kernel.add_host(host);
    kernel
}

/// Registers a unit whose processes run `body`.
pub(crate) fn add<F, R>(kernel: &Kernel, name: &str, limits: Limits, body: F)
where
    F: Fn(ProcessContext, Vec<Value>) -> R + Send + Sync + 'static,
    R: Future<Output = Exit> + Send + 'static,
{
    kernel.add_unit(id(name), loader_with(limits, body));
}

/// Loads a unit whose processes run `body`.
pub(crate) fn loader<F, R>(body: F) -> Loader
where
    F: Fn(ProcessContext, Vec<Value>) -> R + Send + Sync + 'static,
    R: Future<Output = Exit> + Send + 'static,
{
    loader_with(Limits::default(), body)
}

fn loader_with<F, R>(limits: Limits, body: F) -> Loader
where
    F: Fn(ProcessContext, Vec<Value>) -> R + Send + Sync + 'static,
    R: Future<Output = Exit> + Send + 'static,
{
    let body: Body = Arc::new(move |context, args| Box::pin(body(context, args)));
    Box::new(move || {
        Ok(Arc::new(Script { limits: limits.clone(), body: body.clone(), hears: true }))
    })
}

/// Registers a unit whose processes cannot hear events.
pub(crate) fn add_deaf<F, R>(kernel: &Kernel, name: &str, body: F)
where
    F: Fn(ProcessContext, Vec<Value>) -> R + Send + Sync + 'static,
    R: Future<Output = Exit> + Send + 'static,
{
    let body: Body = Arc::new(move |context, args| Box::pin(body(context, args)));
    let script = move || Script { limits: Limits::default(), body: body.clone(), hears: false };
    kernel.add_unit(id(name), Box::new(move || Ok(Arc::new(script()))));
}

/// Registers a function that runs `body`.
pub(crate) fn add_function<F, R>(kernel: &Kernel, name: &str, limits: Limits, body: F)
where
    F: Fn(ProcessContext, Vec<Value>) -> R + Send + Sync + 'static,
    R: Future<Output = Exit> + Send + 'static,
{
    let body: Body = Arc::new(move |context, args| Box::pin(body(context, args)));
    let script = move || Script { limits: limits.clone(), body: body.clone(), hears: false };
    kernel.add_function(id(name), Box::new(move || Ok(Arc::new(script()))));
}

struct Script {
    limits: Limits,
    body: Body,
    hears: bool,
}

impl Unit for Script {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn prepare(&self, spawn: Prepare<'_>) -> Result<Box<dyn Process>> {
        if let Some(Value::String(text)) = spawn.args.first()
            && text == "refuse"
        {
            return Err(Error::invalid("refused"));
        }
        Ok(Box::new(Scripted { body: self.body.clone(), args: spawn.args }))
    }

    fn hears_events(&self) -> bool {
        self.hears
    }
}

struct Scripted {
    body: Body,
    args: Vec<Value>,
}

impl Process for Scripted {
    fn run(self: Box<Self>, context: ProcessContext) -> Run {
        (self.body)(context, self.args)
    }
}

pub(crate) fn request(name: &str) -> SpawnRequest {
    SpawnRequest::new(id(name), id(HOST), Vec::new())
}

pub(crate) async fn spawn(kernel: &Kernel, name: &str) -> (Pid, ExitWatch) {
    kernel.spawn_watched(request(name)).await.unwrap()
}

pub(crate) fn message(topic: &str, payload: impl Into<Value>) -> Message {
    Message {
        from: None,
        topic: topic.into(),
        payloads: vec![payload.into()],
        context: Default::default(),
    }
}

/// A process that never ends by itself.
pub(crate) async fn forever() -> Exit {
    std::future::pending().await
}
