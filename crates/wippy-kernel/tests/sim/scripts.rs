//! Processes that run a closure.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use wippy_kernel::{Kernel, Prepare, Process, ProcessContext, Unit};
use wippy_model::{Exit, Limits, MailboxLimits, Result, Value};

use crate::world::id;

pub(crate) type Running = Pin<Box<dyn Future<Output = Exit> + Send>>;

type Body = Arc<dyn Fn(ProcessContext, Vec<Value>) -> Running + Send + Sync>;

struct Script {
    body: Body,
    limits: Limits,
}

struct Scripted {
    body: Body,
    args: Vec<Value>,
}

pub(crate) fn add(
    kernel: &Kernel,
    name: &str,
    body: impl Fn(ProcessContext, Vec<Value>) -> Running + Send + Sync + 'static,
) {
    let body: Body = Arc::new(body);
    let mailbox = MailboxLimits { capacity: 100_000, ..MailboxLimits::default() };
    let limits = Limits { mailbox, ..Limits::default() };
    kernel.add_unit(
        id(name),
        Box::new(move || Ok(Arc::new(Script { body: body.clone(), limits: limits.clone() }))),
    );
}

/// The seed among the arguments.
pub(crate) fn number(args: &[Value]) -> u64 {
    match args.first() {
        Some(Value::Int(number)) => *number as u64,
        _ => 0,
    }
}

impl Unit for Script {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn prepare(&self, spawn: Prepare<'_>) -> Result<Box<dyn Process>> {
        Ok(Box::new(Scripted { body: self.body.clone(), args: spawn.args }))
    }
}

impl Process for Scripted {
    fn run(self: Box<Self>, context: ProcessContext) -> Running {
        (self.body)(context, self.args)
    }
}
