//! A process that may not touch those of another host, spawn an entry or have a name, and looks
//! for a way around: by names, reply addresses, builders, functions, children and upgrades.

use std::sync::Arc;
use std::time::Duration;

use wippy_kernel::{Authorizer, HostSpec, Kernel, KernelOptions, Scheduler, SpawnRequest, Unit};
use wippy_lua::{LuaSpec, LuaUnit};
use wippy_model::{Actor, Context, ContextBody, Error, Exit, Kind, Principal, Result, Value};

use crate::node::id;

/// Denies the actor `hostile` all on the host `test:others`, one entry, and two names.
struct Denies;

impl Authorizer for Denies {
    fn allow(&self, context: &Context, action: &str, resource: &str) -> Result<()> {
        let denied = match action {
            "process.send"
            | "process.link"
            | "process.monitor"
            | "process.terminate"
            | "process.cancel"
            | "process.host"
            | "process.registry.register_for" => resource == "test:others",
            "process.spawn" => resource == "test:secret",
            "process.upgrade" => resource == "test:other_secret",
            "process.registry.register" => resource == "taken",
            "process.registry.unregister" => resource == "kept",
            "process.registry.lookup" => resource == "hidden",
            _ => false,
        };
        if denied && context.actor().is_some_and(|actor| &*actor.id == "hostile") {
            return Err(Error::new(Kind::PermissionDenied, format!("{action} of {resource}")));
        }
        Ok(())
    }
}

const SCRIPT: &str = r#"
local funcs = require("funcs")

local function denied(what, result, err)
  if result or err:kind() ~= "PermissionDenied" then
    error(what .. ": " .. tostring(result) .. " " .. tostring(err))
  end
end

-- What a function and a child can try as well.
local function touch(who, victim)
  local reply = victim:sub(1, -2) .. ".1}"
  for _, target in ipairs({ victim, "victim", reply }) do
    denied(who .. " send", process.send(target, "hello"))
    denied(who .. " terminate", process.terminate(target))
    denied(who .. " cancel", process.cancel(target, "1ms"))
    denied(who .. " bestows a name", process.registry.register("bestowed", target))
  end
  denied(who .. " registers", process.registry.register("taken", process.pid()))
  denied(who .. " looks up", process.registry.lookup("hidden"))
  denied(who .. " spawns", process.spawn("test:secret", "test:processes"))
  denied(who .. " spawns there", process.spawn("test:child", "test:others", victim))
  denied(who .. " executes", process.exec("test:secret", "test:processes"))
  denied(who .. " builds", process.with_name("taken"):spawn("test:child", "test:processes", victim))
  denied(who .. " builds", process.with_options({ host = "test:others", name = "x" })
    :spawn("test:child", nil, victim))
  denied(who .. " builds", process.with_message("hello"):exec("test:secret", "test:processes"))
end

function main(victim)
  touch("it", victim)
  local reply = victim:sub(1, -2) .. ".1}"
  for _, target in ipairs({ victim, "victim", reply }) do
    denied("link", process.link(target))
    denied("monitor", process.monitor(target))
    denied("call", process.call(target, "hello", "1s"))
  end
  denied("a linked spawn", process.spawn_linked("test:secret", "test:processes"))
  denied("a monitored spawn", process.spawn_monitored("test:child", "test:others", victim))
  assert(process.registry.register("kept"))
  denied("unregister", process.registry.unregister("kept"))
  denied("registers itself", process.registry.register("taken"))
  local child, err = process.exec("test:child", "test:processes", victim)
  if child ~= "touched" then error(err) end
  local called, err = funcs.call("test:function", victim)
  if called ~= "touched" then error(err) end
  -- What it may not spawn it may not become either.
  denied("upgrade", process.upgrade("test:secret"))
  denied("upgrade", process.upgrade("test:other_secret"))
  return "done"
end

function child(victim)
  touch("the child", victim)
  return "touched"
end

function called(victim)
  touch("the function", victim)
  return "touched"
end

function waits()
  process.receive()
end
"#;

fn unit(method: &str) -> Arc<dyn Unit> {
    let mut spec = LuaSpec::new(id("test:hostile"), SCRIPT);
    spec.method = Some(method.to_owned());
    spec.modules = vec!["funcs".to_owned()];
    LuaUnit::load(spec).unwrap()
}

#[tokio::test]
async fn nothing_leads_around_a_denial() {
    let options = KernelOptions { authorizer: Some(Box::new(Denies)), ..KernelOptions::default() };
    let kernel = Kernel::new(options);
    for name in ["test:processes", "test:others"] {
        let mut host = HostSpec::new(id(name));
        host.scheduler = Scheduler::Own { workers: 1 };
        kernel.add_host(host);
    }
    for (name, method) in [
        ("test:hostile", "main"),
        ("test:child", "child"),
        ("test:secret", "waits"),
        ("test:other_secret", "waits"),
        ("test:victim", "waits"),
    ] {
        let unit = unit(method);
        kernel.add_unit(id(name), Box::new(move || Ok(unit.clone())));
    }
    let function = unit("called");
    kernel.add_function(id("test:function"), Box::new(move || Ok(function.clone())));
    let mut request = SpawnRequest::new(id("test:victim"), id("test:others"), Vec::new());
    request.name = Some("victim".into());
    let victim = kernel.spawn(request).await.unwrap();
    kernel.register("hidden", &victim).unwrap();
    let args = vec![Value::from(victim.to_string())];
    let mut request = SpawnRequest::new(id("test:hostile"), id("test:processes"), args);
    let actor = Some(Actor::new("hostile", Value::Nil));
    let principal = Principal { actor, scope: None };
    request.context = Context::new(ContextBody { principal, ..ContextBody::default() });
    let (_, watch) = kernel.spawn_watched(request).await.unwrap();
    let exit = tokio::time::timeout(Duration::from_secs(30), watch).await.unwrap();
    assert_eq!(*exit, Exit::Normal(Value::from("done")));
    let left = kernel.processes();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!((&left[0].pid, left[0].mailbox_len), (&victim, 0));
    assert!(kernel.lookup("bestowed").is_err() && kernel.lookup("taken").is_err());
    kernel.kill().await;
}
