//! The seam where policies decide.

use wippy_model::{Context, EntryId, Error, Result, Scope, Value};

/// Decides whether an actor may do something. Without an authorizer everything is allowed.
pub trait Authorizer: Send + Sync {
    /// Allows `action` (such as `process.spawn`) on `resource` (such as an entry ID).
    ///
    /// # Errors
    ///
    /// Of kind `PermissionDenied`, naming action, resource and actor.
    fn allow(&self, context: &Context, action: &str, resource: &str) -> Result<()>;

    /// The same, with what whoever asks knows of the resource.
    ///
    /// # Errors
    ///
    /// As [`Authorizer::allow`].
    fn allow_with(
        &self,
        context: &Context,
        action: &str,
        resource: &str,
        meta: &Value,
    ) -> Result<()> {
        let _ = meta;
        self.allow(context, action, resource)
    }

    /// The scope of these policies and of all policies of these groups.
    ///
    /// # Errors
    ///
    /// `NotFound`, naming the policy or group that does not exist.
    fn scope(&self, policies: &[EntryId], groups: &[EntryId]) -> Result<Scope> {
        match policies.first().or(groups.first()) {
            Some(name) => Err(Error::not_found(format!("there is no policy or group {name}"))),
            None => Ok(Scope::default()),
        }
    }

    /// Those policies of a scope that deny: whatever is derived from the scope keeps them.
    fn denials(&self, scope: &Scope) -> Scope {
        let _ = scope;
        Scope::default()
    }
}
