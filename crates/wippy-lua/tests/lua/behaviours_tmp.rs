//! Temporary.
use crate::support::{Native, Node, id, virtual_time};
use std::sync::Arc;
use wippy_kernel::{HostSpec, Scheduler, SpawnRequest};
use wippy_lua::{LuaSpec, LuaUnit};
use wippy_model::{Error, Exit, Limits, MailboxLimits};
const LUA: &str = include_str!("../../../wippy-testkit/tests/actors/lua/behaviours.lua");
const TABLE: &str = include_str!("../../../wippy-testkit/tests/actors/table.rs");
#[test]
fn all() {
    let names: Vec<&str> = LUA
        .lines()
        .filter_map(|l| l.strip_prefix("function "))
        .map(|l| l.split('(').next().unwrap())
        .collect();
    let mut bad = Vec::new();
    for line in TABLE.lines() {
        let Some((_, rest)) = line.split_once("done(\"").or_else(|| line.split_once("name: \""))
        else {
            continue;
        };
        let name = rest.split('"').next().unwrap();
        if !names.contains(&name) {
            bad.push(format!("{name}: not there"));
            continue;
        }
        let exit = virtual_time(|| async {
            let node = Node::new();
            for host in ["test:processes", "test:others"] {
                node.kernel.add_host(HostSpec {
                    scheduler: Scheduler::Shared(tokio::runtime::Handle::current()),
                    ..HostSpec::new(id(host))
                });
            }
            let unit = |name: &str| {
                let mailbox =
                    MailboxLimits { capacity: 64, bytes: 8 << 20, message_bytes: 1 << 20 };
                LuaUnit::load(LuaSpec {
                    method: Some(name.into()),
                    modules: vec!["funcs".into()],
                    limits: Limits { mailbox, ..Limits::default() },
                    ..LuaSpec::new(id(&format!("test:{name}")), LUA)
                })
                .unwrap()
            };
            for n in &names {
                node.add(&format!("test:{n}"), unit(n));
            }
            node.add("test:traps", Arc::new(Native::new(|_| Exit::Trap(Error::internal("trap")))));
            node.add_function("test:tries_upgrade", unit("tries_upgrade"));
            let request =
                SpawnRequest::new(id(&format!("test:{name}")), id("test:processes"), vec![]);
            let (_, mut watch) = node.kernel.spawn_watched(request).await.unwrap();
            let end = async {
                loop {
                    tokio::select! {
                        exit = &mut watch => return Exit::clone(&exit),
                        () = tokio::time::sleep(std::time::Duration::from_millis(1)) => {
                            let me = id(&format!("test:{name}"));
                            if node.kernel.lookup("replace_me").is_ok() && node.kernel.version(&me) == Some(1) {
                                let u = unit("value");
                                node.kernel.replace_unit(me, Box::new(move || Ok(u.clone()))).await.unwrap();
                            }
                        }
                    }
                }
            };
            let exit = tokio::time::timeout(std::time::Duration::from_secs(20), end).await;
            node.kernel.kill().await;
            assert_eq!(node.kernel.process_count(), 0);
            exit.ok()
        });
        println!("{name}: {exit:?}");
        match exit {
            Some(Exit::Normal(v)) if matches!(v.as_str(), Some("done" | "a,b,c" | "new")) => {}
            Some(Exit::Config(e))
                if name == "upgrade_failed" && e.to_string().contains("test:missing") => {}
            other => bad.push(format!(
                "{name}: {}",
                other
                    .map(|e| format!("{e}\n{}", crate::support::stack(&e)))
                    .unwrap_or("hangs".into())
            )),
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
