//! The one error shape: kind, message, retryable, details, stack.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Value;

/// A result with the one error shape.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it was. The names are the same in Lua, WIT, HTTP and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// What was asked for does not exist.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// The input is wrong; the same call fails again.
    Invalid,
    /// A grant or a policy is missing.
    PermissionDenied,
    /// Not now: full, starting, stopping or gone.
    Unavailable,
    /// The program or the runtime failed.
    Internal,
    /// Somebody asked for the end.
    Canceled,
    /// Two things exclude each other.
    Conflict,
    /// It took longer than allowed.
    Timeout,
    /// Too often in a span of time.
    RateLimited,
    /// A limit on memory, handles or the like was met.
    ResourceExhausted,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::NotFound,
        Self::AlreadyExists,
        Self::Invalid,
        Self::PermissionDenied,
        Self::Unavailable,
        Self::Internal,
        Self::Canceled,
        Self::Conflict,
        Self::Timeout,
        Self::RateLimited,
        Self::ResourceExhausted,
    ];

    /// The name, as Lua and the log show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::Invalid => "Invalid",
            Self::PermissionDenied => "PermissionDenied",
            Self::Unavailable => "Unavailable",
            Self::Internal => "Internal",
            Self::Canceled => "Canceled",
            Self::Conflict => "Conflict",
            Self::Timeout => "Timeout",
            Self::RateLimited => "RateLimited",
            Self::ResourceExhausted => "ResourceExhausted",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where an error came from, in words, made only when somebody reads it.
///
/// A trap's backtrace costs little to capture and much to make readable (names,
/// source lines), and most are never read.
pub trait StackTrace: Send + Sync {
    /// The readable text: one frame a line, innermost first.
    fn render(&self) -> String;
}

impl StackTrace for String {
    fn render(&self) -> String {
        self.clone()
    }
}

/// A stack, shared and rendered on demand.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Stack(Arc<dyn StackTrace>);

impl Stack {
    /// Keeps a stack for whoever reads it.
    pub fn new(trace: impl StackTrace + 'static) -> Self {
        Self(Arc::new(trace))
    }
}

impl From<String> for Stack {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<Stack> for String {
    fn from(stack: Stack) -> Self {
        stack.0.render()
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.render())
    }
}

/// What went wrong, in the one shape that Lua, WIT, HTTP and the log share.
///
/// The body is shared, so that a `Result` with it stays small, and that many who hear of one
/// error, as those who are linked to one process, do not hold its details each.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Body", into = "Body")]
pub struct Error(Arc<Body>);

#[derive(Clone, Serialize, Deserialize)]
struct Body {
    kind: Kind,
    message: String,
    retryable: Option<bool>,
    #[serde(with = "shared_value")]
    details: Option<Arc<Value>>,
    stack: Option<Stack>,
}

impl From<Body> for Error {
    fn from(body: Body) -> Self {
        Self(Arc::new(body))
    }
}

impl From<Error> for Body {
    fn from(error: Error) -> Self {
        Arc::unwrap_or_clone(error.0)
    }
}

/// A shared value as a value; nothing as nil.
mod shared_value {
    use super::{Arc, Deserialize, Serialize, Value};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Arc<Value>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_deref().unwrap_or(&Value::Nil).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<Value>>, D::Error> {
        Ok(super::shared(Value::deserialize(deserializer)?))
    }
}

fn shared(value: Value) -> Option<Arc<Value>> {
    match value {
        Value::Nil => None,
        value => Some(Arc::new(value)),
    }
}

impl Error {
    /// An error of a kind. The message names the entry and says what to do next.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Arc::new(Body { kind, message, retryable: None, details: None, stack: None }))
    }

    /// An error of kind [`Kind::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// An error of kind [`Kind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// An error of kind [`Kind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// An error of kind [`Kind::Unavailable`], which is retryable.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, message).with_retryable(true)
    }

    /// Says whether the same call may succeed later.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.body().retryable = Some(retryable);
        self
    }

    /// Adds details for programs.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.body().details = shared(details);
        self
    }

    /// Adds the stack of the place it came from.
    #[must_use]
    pub fn with_stack(mut self, stack: Stack) -> Self {
        self.body().stack = Some(stack);
        self
    }

    /// Puts words before the message: `prefix: message`.
    #[must_use]
    pub fn context(mut self, prefix: impl fmt::Display) -> Self {
        let body = self.body();
        body.message = format!("{prefix}: {}", body.message);
        self
    }

    fn body(&mut self) -> &mut Body {
        Arc::make_mut(&mut self.0)
    }

    /// What sort of failure it was.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether the same call may succeed later; `None` where nobody said.
    pub fn retryable(&self) -> Option<bool> {
        self.0.retryable
    }

    /// Details for programs; [`Value::Nil`] without any.
    pub fn details(&self) -> &Value {
        self.0.details.as_deref().unwrap_or(&Value::Nil)
    }

    /// What whoever keeps it holds, in bytes: an estimate, without the stack.
    pub fn size_bytes(&self) -> usize {
        size_of::<Body>() + self.0.message.len() + self.details().size_bytes()
    }

    /// The stack of the place it came from.
    pub fn stack(&self) -> Option<&Stack> {
        self.0.stack.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind, self.0.message)?;
        if let Some(details) = &self.0.details {
            write!(f, " {details:?}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl PartialEq for Error {
    /// Equal in all but the stack, which is for people.
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.0, &other.0);
        (a.kind, &a.message, a.retryable, &a.details)
            == (b.kind, &b.message, b.retryable, &b.details)
    }
}
