//! Step … Step: one guest from its instance to its end, on the process's own task.
//!
//! A guest of WASI 0.3 may go on after its method has returned: it has ended when its last
//! task has. Whatever ends a guest from outside (a signal, a deadline) drops this future,
//! and the store with it; no timer runs inside wasmtime's event loop, which would not reach
//! it while the guest holds the store.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;

use wasmtime::component::ComponentExportIndex;
use wasmtime::{PoolConcurrencyLimitError, Store, UpdateDeadline, Val};
use wippy_kernel::{Process, ProcessContext, Role};
use wippy_model::{Error, Exit, Kind, Value};

use crate::engine::Class;
use crate::guest::{self, Guest};
use crate::pools::Place;
use crate::trap::{self, Terminated, TooManyTasks};
use crate::unit::{EnvValues, Ready, ReadyCode, Target, WasmUnit};
use crate::value::{Prepared, Returned};

/// What the host keeps for one task, subtask, stream or future of WASI 0.3, at the least.
const TASK_BYTES: u64 = 512;

/// An admitted process with its arguments lowered.
pub(crate) struct WasmProcess {
    pub(crate) unit: Arc<WasmUnit>,
    pub(crate) ready: Arc<Ready>,
    /// What it takes of a spawn host's pools, until its end.
    pub(crate) place: Option<Place>,
    pub(crate) call: Call,
    /// The arguments of a command, as text.
    pub(crate) arguments: Vec<String>,
    /// Whether a `result` is a way to end, or data.
    pub(crate) role: Role,
    /// Its environment, as it was when it was spawned.
    pub(crate) env: EnvValues,
}

/// The lowered arguments of the one call.
pub(crate) enum Call {
    Component(Prepared),
    Core(Vec<Val>),
}

impl Process for WasmProcess {
    fn run(self: Box<Self>, context: ProcessContext) -> Pin<Box<dyn Future<Output = Exit> + Send>> {
        Box::pin(async move {
            let ready = self.ready.clone();
            let life = pin!(self.live(context));
            ticking(&ready, life).await
        })
    }
}

/// Keeps the clock of a guest's engine going while the guest runs. Without it nothing would
/// preempt or end the guest. The life is pinned by the caller: an `async` function would keep
/// room for it twice.
fn ticking<T>(
    ready: &Ready,
    mut life: Pin<&mut impl Future<Output = T>>,
) -> impl Future<Output = T> {
    poll_fn(move |poller| {
        let _running = ready.engine.ticker.guest_runs();
        life.as_mut().poll(poller)
    })
}

impl WasmProcess {
    async fn live(self, context: ProcessContext) -> Exit {
        // The place is bound first, so that it is given back after all that fills it.
        let Self { place: _place, unit, ready, call, arguments, role, env } = self;
        let mut store = match first_store(&unit, &ready, context, arguments, role, env) {
            Ok(store) => store,
            Err(error) => return Exit::Config(error),
        };
        let instance = match instantiate(&ready, &mut store).await {
            Err(error) if error.is::<PoolConcurrencyLimitError>() => {
                return Box::pin(overflow(unit, store, call)).await;
            }
            instance => instance,
        };
        let ended = match instance {
            Ok(instance) => call_method(&unit, &mut store, &ready, instance, call).await,
            Err(error) => Err(error),
        };
        ended.unwrap_or_else(|error| trap::exit(error, store.data(), &unit.binary))
    }
}

/// The store of a new process. Not a part of `live`, whose future would keep room for the
/// guest that was moved into the store, for as long as the process lives.
fn first_store(
    unit: &WasmUnit,
    ready: &Ready,
    context: ProcessContext,
    arguments: Vec<String>,
    role: Role,
    env: EnvValues,
) -> wippy_model::Result<Store<Guest>> {
    let mut guest = Guest::new(context, unit.config.clone(), arguments, role, env);
    let component = matches!(ready.code, ReadyCode::Component { .. });
    guest.open_mounts(component)?;
    if ready.early_context {
        guest.make_context(component);
    }
    Ok(store(unit, ready, guest))
}

/// The pool is full: the process is allocated on demand.
async fn overflow(unit: Arc<WasmUnit>, store: Store<Guest>, call: Call) -> Exit {
    let mut guest = store.into_data();
    guest.reset_limiter();
    let (_place, ready) = match unit.overflow(guest.process.host()) {
        Ok((ready, place)) => (place, ready),
        Err(error) => return Exit::Failed(error),
    };
    let mut store = self::store(&unit, &ready, guest);
    let ended = {
        let life = pin!(async {
            let instance = instantiate(&ready, &mut store).await?;
            call_method(&unit, &mut store, &ready, instance, call).await
        });
        ticking(&ready, life).await
    };
    ended.unwrap_or_else(|error| trap::exit(error, store.data(), &unit.binary))
}

/// An instance, before its method is called.
enum Instance {
    Component(wasmtime::component::Instance),
    Module(wasmtime::Instance),
}

async fn instantiate(ready: &Ready, store: &mut Store<Guest>) -> wasmtime::Result<Instance> {
    match &ready.code {
        ReadyCode::Component { pre, .. } => {
            pre.instantiate_async(store).await.map(Instance::Component)
        }
        ReadyCode::Module { pre } => pre.instantiate_async(store).await.map(Instance::Module),
    }
}

async fn call_method(
    unit: &WasmUnit,
    store: &mut Store<Guest>,
    ready: &Ready,
    instance: Instance,
    call: Call,
) -> wasmtime::Result<Exit> {
    match (instance, &ready.code, call) {
        (
            Instance::Component(instance),
            ReadyCode::Component { export, .. },
            Call::Component(args),
        ) => {
            let exit = call_component(unit, store, instance, export, args).await?;
            if unit.binary.class == Class::Concurrent {
                // Boxed, because most guests have no such end to keep room for.
                Box::pin(finish(store)).await?;
            }
            Ok(exit)
        }
        (Instance::Module(instance), _, Call::Core(args)) => {
            call_module(unit, store, instance, &args).await
        }
        _ => Err(wasmtime::Error::msg("the arguments are of another method")),
    }
}

/// A store that is limited and preempted: at each epoch a guest that has used up its
/// slice gives its worker back, and one that shall end is ended. wasmtime keeps count of
/// tasks and streams and sets no limit, so that is looked at then, too.
fn store(unit: &WasmUnit, ready: &Ready, guest: Guest) -> Store<Guest> {
    let (handles_max, held_max) = (guest::handles_max(guest.limits()), guest.held_bytes_max());
    let tasks_max = (unit.binary.class == Class::Concurrent)
        .then(|| guest.limits().host_buffer_bytes.div_ceil(TASK_BYTES));
    let mut store = Store::new(&ready.engine.engine, guest);
    // What one call brings from the guest, and what the guest holds handles of.
    store.set_hostcall_fuel(held_max);
    store.set_max_component_handles(handles_max);
    if let Some(table) = store.concurrent_resource_table() {
        table.set_max_capacity(handles_max);
    }
    store.limiter(|guest| &mut guest.limiter);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |mut store| {
        if let Some(max) = tasks_max
            && store.concurrent_state_table_size() as u64 > max
        {
            return Err(TooManyTasks { max }.into());
        }
        let process = &store.data().process;
        if process.must_end() {
            Err(Terminated.into())
        } else if process.slice_is_over() {
            // It went on after a growth that was refused: a later trap has another cause.
            store.data_mut().limiter.refused = None;
            Ok(UpdateDeadline::Yield(1))
        } else {
            Ok(UpdateDeadline::Continue(1))
        }
    });
    store
}

async fn call_component(
    unit: &WasmUnit,
    store: &mut Store<Guest>,
    instance: wasmtime::component::Instance,
    export: &ComponentExportIndex,
    args: Prepared,
) -> wasmtime::Result<Exit> {
    let func = instance
        .get_func(&mut *store, export)
        .ok_or_else(|| wasmtime::Error::msg("the export is no function"))?;
    match &unit.target {
        Target::Command { method, .. } => {
            let returned = method.call(&mut *store, &func, args).await?;
            Ok(match returned {
                Returned::Err(_) => Exit::Code(1),
                _ => Exit::Normal(Value::Nil),
            })
        }
        Target::Function { method, .. } => {
            let returned = method.call(&mut *store, &func, args).await?;
            if store.data().role == Role::Function {
                return Ok(Exit::Normal(returned.into_data()));
            }
            Ok(match returned.into_exit(method.signature()) {
                Ok(value) => Exit::Normal(value),
                Err(value) => Exit::Failed(failure(unit, value)),
            })
        }
        Target::CoreCommand | Target::CoreFunction { .. } => {
            Err(wasmtime::Error::msg("a component became a module"))
        }
    }
}

/// Runs what tasks of WASI 0.3 have left to do after the method returned.
async fn finish(store: &mut Store<Guest>) -> wasmtime::Result<()> {
    store
        .run_concurrent(async |tasks| {
            poll_fn(|poller| tasks.poll_no_interesting_tasks(poller)).await;
        })
        .await
}

async fn call_module(
    unit: &WasmUnit,
    store: &mut Store<Guest>,
    instance: wasmtime::Instance,
    args: &[Val],
) -> wasmtime::Result<Exit> {
    let function = |store: &mut Store<Guest>, name: &str| {
        instance
            .get_func(store, name)
            .ok_or_else(|| wasmtime::Error::msg(format!("the module exports no {name}")))
    };
    match &unit.target {
        Target::CoreCommand => {
            let start = function(store, "_start")?;
            start.call_async(&mut *store, &[], &mut []).await?;
            Ok(Exit::Normal(Value::Nil))
        }
        Target::CoreFunction { name, signature } => {
            // A preview1 reactor sets itself up there.
            if let Ok(initialize) = function(store, "_initialize") {
                initialize.call_async(&mut *store, &[], &mut []).await?;
            }
            let func = function(store, name)?;
            let mut results = signature.results();
            func.call_async(&mut *store, args, &mut results).await?;
            Ok(Exit::Normal(signature.lift(&results)))
        }
        Target::Command { .. } | Target::Function { .. } => {
            Err(wasmtime::Error::msg("a module became a component"))
        }
    }
}

/// The error of a method that returned `err(e)`: as `e` says where it has the shape of an
/// error, else of kind `Internal`; `details` holds `e`.
fn failure(unit: &WasmUnit, value: Value) -> Error {
    let field = |name: &str| match &value {
        Value::Map(map) => map.get(name),
        _ => None,
    };
    let kind = field("kind").and_then(Value::as_str).and_then(Kind::from_name);
    let message = match (&value, field("message").and_then(Value::as_str)) {
        (Value::String(text), _) => text.clone(),
        (_, Some(text)) => text.to_owned(),
        (Value::Nil, None) => "it returned err".to_owned(),
        (other, None) => other.to_json().to_string(),
    };
    let retryable = field("retryable").cloned();
    let error =
        Error::new(kind.unwrap_or(Kind::Internal), format!("{} failed: {message}", unit.config.id));
    let error = match retryable {
        Some(Value::Bool(retryable)) => error.with_retryable(retryable),
        _ => error,
    };
    error.with_details(value)
}
