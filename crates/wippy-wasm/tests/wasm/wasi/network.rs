//! What the tests of sockets and HTTP share: calls, and a policy that notes what it is asked.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wippy_kernel::Authorizer;
use wippy_model::{Context, Error, Exit, Kind, Result, Value};
use wippy_wasm::WasmSpec;

use crate::node::{Node, PROCESSES, spec};

/// A guest with both network grants.
pub(crate) fn granted(guest: &str, method: &str) -> WasmSpec {
    let mut spec = spec(guest, Some(method));
    (spec.grants.sockets, spec.grants.http) = (true, true);
    spec
}

pub(crate) fn text(text: impl AsRef<str>) -> Value {
    Value::from(text.as_ref())
}

pub(crate) fn int(number: impl Into<i64>) -> Value {
    Value::Int(number.into())
}

/// Runs a method to its end and gives its value, or the text of its `err`.
pub(crate) async fn call(node: &Node, spec: WasmSpec, args: Vec<Value>) -> Result<Value, String> {
    outcome(run(node, spec, args).await)
}

/// Runs a method to its end, within a time that no test needs.
pub(crate) async fn run(node: &Node, spec: WasmSpec, args: Vec<Value>) -> Exit {
    let run = node.run_on(PROCESSES, spec, args);
    tokio::time::timeout(Duration::from_secs(60), run).await.unwrap().unwrap()
}

pub(crate) fn outcome(exit: Exit) -> Result<Value, String> {
    match exit {
        Exit::Normal(value) => Ok(value),
        Exit::Failed(error) => Err(error.details().as_str().unwrap().to_owned()),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn strings(value: &Value) -> Vec<String> {
    let Value::List(list) = value else { panic!("{value:?}") };
    list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

pub(crate) fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    let Value::Map(map) = value else { panic!("{value:?}") };
    map.get(name).unwrap()
}

/// Denies what is listed, and notes what it is asked.
#[derive(Clone, Default)]
pub(crate) struct Policy {
    denied: Vec<(&'static str, String)>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Policy {
    pub(crate) fn deny(mut self, action: &'static str, resource: impl Into<String>) -> Self {
        self.denied.push((action, resource.into()));
        self
    }

    pub(crate) fn node(&self) -> Node {
        Node::with_authorizer(Box::new(self.clone()))
    }

    /// The network's questions so far: action and resource.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock())
    }
}

impl Authorizer for Policy {
    fn allow(&self, _: &Context, action: &str, resource: &str) -> Result<()> {
        if action.starts_with("socket.") || action.starts_with("http_client.") {
            self.asked.lock().push(format!("{action} {resource}"));
        }
        let denied = |(own, of): &(&str, String)| *own == action && of == resource;
        if self.denied.iter().any(denied) {
            let message = format!("nobody may not {action} {resource}");
            return Err(Error::new(Kind::PermissionDenied, message));
        }
        Ok(())
    }
}
