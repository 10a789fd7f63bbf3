//! The seam where policies decide.

use wippy_model::{Context, Result};

/// Decides whether an actor may do something. Without an authorizer everything is allowed.
pub trait Authorizer: Send + Sync {
    /// Allows `action` (such as `process.spawn`) on `resource` (such as an entry ID).
    ///
    /// # Errors
    ///
    /// Of kind `PermissionDenied`, naming action, resource and actor.
    fn allow(&self, context: &Context, action: &str, resource: &str) -> Result<()>;
}
