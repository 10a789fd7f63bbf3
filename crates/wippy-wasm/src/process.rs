//! Step … Step: one guest from its instance to its end, on the process's own task.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;

use wasmtime::component::ComponentExportIndex;
use wasmtime::{PoolConcurrencyLimitError, Store, UpdateDeadline, Val};
use wippy_kernel::{Process, ProcessContext};
use wippy_model::{Error, Exit, Kind, Value};

use crate::guest::Guest;
use crate::pools::Place;
use crate::trap::{self, Terminated};
use crate::unit::{Ready, ReadyCode, Target, WasmUnit};
use crate::value::{Prepared, Returned};

/// An admitted process with its arguments lowered.
pub(crate) struct WasmProcess {
    pub(crate) unit: Arc<WasmUnit>,
    pub(crate) ready: Arc<Ready>,
    /// What it takes of a spawn host's pools, until its end.
    pub(crate) place: Option<Place>,
    pub(crate) call: Call,
    /// The arguments of a command, as text.
    pub(crate) arguments: Vec<String>,
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
            let mut life = pin!(self.live(context));
            poll_fn(|poller| {
                let _running = ready.engine.ticker.guest_runs();
                life.as_mut().poll(poller)
            })
            .await
        })
    }
}

impl WasmProcess {
    async fn live(self, context: ProcessContext) -> Exit {
        // The place is bound first, so that it is given back after all that fills it.
        let Self { place: _place, unit, ready, call, arguments } = self;
        let mut store = match first_store(&unit, &ready, context, arguments) {
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
            Ok(instance) => call_method(&unit, &mut store, &ready.code, instance, call).await,
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
) -> wippy_model::Result<Store<Guest>> {
    let mut guest = Guest::new(context, unit.config.clone(), arguments);
    let component = matches!(ready.code, ReadyCode::Component { .. });
    guest.open_mounts(component)?;
    if ready.early_context {
        guest.make_context(component);
    }
    Ok(store(ready, guest))
}

/// The pool is full: the process is allocated on demand.
async fn overflow(unit: Arc<WasmUnit>, store: Store<Guest>, call: Call) -> Exit {
    let mut guest = store.into_data();
    guest.reset_limiter();
    let (_place, ready) = match unit.overflow(guest.process.host()) {
        Ok((ready, place)) => (place, ready),
        Err(error) => return Exit::Config(error),
    };
    let mut store = self::store(&ready, guest);
    let ended = match instantiate(&ready, &mut store).await {
        Ok(instance) => call_method(&unit, &mut store, &ready.code, instance, call).await,
        Err(error) => Err(error),
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
    code: &ReadyCode,
    instance: Instance,
    call: Call,
) -> wasmtime::Result<Exit> {
    match (instance, code, call) {
        (
            Instance::Component(instance),
            ReadyCode::Component { export, .. },
            Call::Component(args),
        ) => call_component(unit, store, instance, export, args).await,
        (Instance::Module(instance), _, Call::Core(args)) => {
            call_module(unit, store, instance, &args).await
        }
        _ => Err(wasmtime::Error::msg("the arguments are of another method")),
    }
}

/// A store that is limited and preempted: at each epoch a guest that has used up its
/// slice gives its worker back, and one that shall end is ended.
fn store(ready: &Ready, guest: Guest) -> Store<Guest> {
    let mut store = Store::new(&ready.engine.engine, guest);
    store.limiter(|guest| &mut guest.limiter);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| {
        let process = &store.data().process;
        if process.must_end() {
            Err(Terminated.into())
        } else if process.slice_is_over() {
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
