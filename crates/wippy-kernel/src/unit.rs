//! What an engine gives the kernel: units, which prepare processes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use wippy_model::{Context, Error, Exit, Limits, Result, Value};

use crate::{HostSpec, Kernel, ProcessContext};

/// What a process can be made of: an entry that an engine has loaded and checked.
pub trait Unit: Send + Sync {
    /// What one process of this unit may use.
    fn limits(&self) -> &Limits;

    /// Init: checks the arguments, environment and mounts against types alone, and
    /// captures them. Makes no instance; must not run guest code or block.
    ///
    /// # Errors
    ///
    /// What is wrong here fails the spawn call.
    fn prepare(&self, spawn: Prepare<'_>) -> Result<Box<dyn Process>>;

    /// Whether [`Unit::prepare`] has what it needs for this host. Where it has not, a spawn
    /// calls [`Unit::make_ready`] first.
    fn is_ready(&self, host: &HostSpec) -> bool {
        let _ = host;
        true
    }

    /// Makes what processes on this host need: code that only such hosts use is compiled
    /// when the first of them needs it. Runs on a thread that may block, several at a time.
    ///
    /// # Errors
    ///
    /// What is wrong here fails the spawn call.
    fn make_ready(&self, host: &HostSpec) -> Result<()> {
        let _ = host;
        Ok(())
    }

    /// Turns words of a command line into arguments. By default each is a string.
    ///
    /// # Errors
    ///
    /// Of kind `Invalid`, showing the signature, when the words do not fit it.
    fn parse_args(&self, words: &[String]) -> Result<Vec<Value>> {
        Ok(words.iter().map(|word| Value::from(word.as_str())).collect())
    }

    /// How a result is printed; `None` prints nothing.
    fn render(&self, value: &Value) -> Option<String> {
        match value {
            Value::Nil => None,
            Value::String(text) => Some(text.clone()),
            other => {
                let mut json = other.to_json();
                // What has no order of its own must not be printed in a random one.
                json.sort_all_objects();
                Some(json.to_string())
            }
        }
    }

    /// Whether its processes can see a CANCEL event. Where they cannot, waiting for them
    /// to obey serves nobody.
    fn hears_events(&self) -> bool {
        false
    }
}

/// What a spawn hands to [`Unit::prepare`].
#[derive(Debug)]
pub struct Prepare<'a> {
    /// The arguments.
    pub args: Vec<Value>,
    /// The host that will run it.
    pub host: &'a HostSpec,
    /// Principal, values, trace and deadline.
    pub context: &'a Context,
    /// The kernel, for permissions.
    pub kernel: &'a Kernel,
    /// What it will be.
    pub role: Role,
}

/// What a unit is run as. The same code can be both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A process: `err(e)` is a bad end.
    Process,
    /// One call of a function: what it returns is data, `err(e)` too.
    Function,
}

impl Prepare<'_> {
    /// Asks the authorizer whether whoever spawns may do this.
    ///
    /// # Errors
    ///
    /// Of kind `PermissionDenied`, naming action, resource and actor.
    pub fn authorize(&self, action: &str, resource: &str) -> Result<()> {
        self.kernel.authorize(self.context, action, resource)
    }
}

/// A process that has been admitted and not begun.
pub trait Process: Send {
    /// Runs to the end: makes the instance, advances it, and says how it ended. Dropping
    /// the future frees all that the process holds.
    fn run(self: Box<Self>, context: ProcessContext) -> Pin<Box<dyn Future<Output = Exit> + Send>>;
}

/// Loads a unit when it is first needed. Runs on a thread that may block.
pub type Loader = Box<dyn Fn() -> Result<Arc<dyn Unit>, Error> + Send + Sync>;
