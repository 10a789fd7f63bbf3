//! INTERIM
use std::sync::Arc; use wippy_host::Terminal; use wippy_model::*; use wippy_kernel::Unit;
pub(crate) struct LuaRuntime; pub(crate) struct LuaOptions { pub(crate) terminal: Arc<Terminal> } pub(crate) struct LuaSpec;
impl LuaRuntime { pub(crate) fn new(o: LuaOptions) -> Self { let _ = o.terminal; Self }
 pub(crate) fn check(&self, _: &LuaSpec) -> Result<()> { Ok(()) }
 pub(crate) fn load(&self, _: LuaSpec) -> Result<Arc<dyn Unit>> { Err(Error::internal("no Lua yet")) } }
pub(crate) struct Inspection { pub(crate) exports: Vec<Export> } pub(crate) struct Export { pub(crate) name: String }
pub(crate) fn inspect(_: &[u8]) -> Result<Inspection> { Ok(Inspection { exports: vec![] }) }
impl Inspection { pub(crate) fn to_json(&self) -> serde_json::Value { serde_json::json!({}) } }
impl std::fmt::Display for Inspection { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("x") } }
