//! A node with a host that is soon full and one that is not, both on the worker of the neighbour,
//! and another host with a supervisor: where hostile actors meet what they misuse.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};
use wippy_kernel::{
    Budget, ExitWatch, HostSpec, Profile, Scheduler, ServiceSpec, ServiceState, SpawnRequest, Unit,
};
use wippy_lua::{LuaSpec, LuaUnit};
use wippy_model::{Error, Exit, Limits, MailboxLimits};
use wippy_testkit::guests;
use wippy_wasm::Grants;

use crate::node::{Meeting, Node, Peak, id, limits};
use crate::table::{Case, Code, End, MET};

/// How long a meeting may take: five hundred processes on a loaded machine.
const MEETING_MAX: Duration = Duration::from_secs(90);

/// How long what is left may take to end once it was told.
const CLEAR_MAX: Duration = Duration::from_secs(10);

/// Has a name, looks at a message now and then, and asks others: until it is cancelled because it
/// is enough, and eight times at the least.
const NEIGHBOUR: &str = r#"
local time = require("time")
function main()
  assert(process.registry.register("neighbour"))
  local events, rounds, enough = process.events(), 0, false
  while not enough or rounds < 8 do
    rounds = rounds + 1
    time.sleep("5ms")
    local product, err = process.exec("test:compute", "test:processes", rounds, 7)
    if product ~= 7 * rounds then error("product " .. tostring(product) .. tostring(err)) end
    process.receive("0ms")
    local found = channel.select({ events:case_receive(), default = true })
    if found.channel == events and found.value.reason == "enough" then enough = true end
  end
  return "done"
end
"#;

/// Starts again what ends badly, as a supervisor does.
const SUPERVISOR: &str = r#"
function main()
  process.set_options({ trap_links = true })
  for i = 1, 8 do
    local pid, err = process.spawn_linked("test:fails", "test:others")
    if err then error(err) end
    local event = process.receive("60s")
    if not event or event.from ~= pid then error("round " .. i .. ": no event came") end
  end
  return "done"
end
"#;

pub(crate) struct Crowd {
    pub(crate) node: Node,
    /// The worker of three hosts.
    worker: Option<Runtime>,
    /// What hostile actors meet.
    units: HashMap<&'static str, Arc<dyn Unit>>,
    /// The hostile actors that were here.
    hostile: HashMap<&'static str, Arc<dyn Unit>>,
}

impl Drop for Crowd {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.shutdown_background();
        }
    }
}

impl Crowd {
    pub(crate) fn new(profile: Profile) -> Self {
        let node = Node::new(profile);
        let worker = Builder::new_multi_thread()
            .worker_threads(1)
            .event_interval(1)
            .global_queue_interval(1)
            .enable_all()
            .build()
            .unwrap();
        for (name, most) in [("processes", 10_000), ("crowd", 64), ("wide", 1000), ("others", 16)] {
            let name = id(&format!("test:{name}"));
            let mut host = match profile {
                Profile::Spawn => HostSpec::new(name.clone()),
                Profile::Density => HostSpec::density(name.clone()),
            };
            host.processes_max = most;
            host.queue_size = most.min(600);
            host.scheduler = match name.as_str() {
                "test:others" => Scheduler::Own { workers: 1 },
                _ => Scheduler::Shared(worker.handle().clone()),
            };
            node.kernel.add_host(host);
        }
        let mut crowd =
            Self { node, worker: Some(worker), units: HashMap::new(), hostile: HashMap::new() };
        let lua = |name, text| LuaUnit::load(LuaSpec::new(id(name), text)).unwrap();
        crowd.node.add("test:neighbour", lua("test:neighbour", NEIGHBOUR));
        crowd.node.add("test:supervisor", lua("test:supervisor", SUPERVISOR));
        crowd.node.add_wasm("test:traps", "trap", "run", Limits::default(), false);
        let wrong = || Err(Error::invalid("the binary has another sha256 than its entry says"));
        crowd.node.kernel.add_unit(id("test:wrong_hash"), Box::new(wrong));
        for (name, brief) in MET {
            let unit = crowd.actor(name, *brief);
            crowd.units.insert(name, unit);
        }
        crowd
    }

    /// A function of the file of actors as an entry.
    fn actor(&self, method: &str, brief: bool) -> Arc<dyn Unit> {
        let path = guests::workspace().join("guests/hostile/actors.lua");
        let mut spec =
            LuaSpec::new(id(&format!("test:{method}")), std::fs::read_to_string(path).unwrap());
        spec.method = Some(method.to_owned());
        spec.limits = own_limits(brief);
        if method == "small_mailbox" {
            spec.limits.mailbox = MailboxLimits { capacity: 64, ..MailboxLimits::default() };
        }
        LuaUnit::load(spec).unwrap()
    }

    /// Lets a hostile actor run beside the neighbour and the supervisor, and then ends what it
    /// has left.
    pub(crate) fn meet(&mut self, case: &Case) -> Meeting {
        let unit = match self.hostile.get(case.name) {
            Some(unit) => unit.clone(),
            None => self.load(case),
        };
        self.hostile.insert(case.name, unit.clone());
        self.node.add("test:hostile", unit);
        for (name, unit) in &self.units {
            self.node.add(&format!("test:{name}"), unit.clone());
        }
        let peak = Peak::watch();
        let start = Instant::now();
        let (exit, neighbour) = self.node.runtime.block_on(async {
            let beside = self.neighbour().await;
            let hostile = self.spawn("test:hostile", "test:processes").await;
            let supervisor = self.spawn("test:supervisor", "test:others").await;
            let exit = timeout(MEETING_MAX, hostile).await.ok();
            let supervisor = well("the supervisor", supervisor).await;
            let neighbour = self.enough(beside).await;
            let cleared = self.clear().await;
            (exit.map(|exit| Exit::clone(&exit)), neighbour.and(supervisor).and(cleared))
        });
        Meeting { exit, neighbour, took: start.elapsed(), peak_bytes: peak.stop() }
    }

    fn load(&self, case: &Case) -> Arc<dyn Unit> {
        let brief = !matches!(case.end, End::Done);
        match case.code {
            Code::Actor(method) => self.actor(method, brief),
            Code::Guest(method) => {
                let grants = Grants { actor: true, process: true, ..Grants::default() };
                let limits = own_limits(brief);
                self.node.load_wasm("test:hostile", "hostile/actor", method, limits, grants)
            }
            _ => panic!("{} is none of the actors", case.name),
        }
    }

    /// The neighbour, when it has its name.
    async fn neighbour(&self) -> ExitWatch {
        let neighbour = self.spawn("test:neighbour", "test:processes").await;
        while self.node.kernel.lookup("neighbour").is_err() {
            sleep(Duration::from_millis(1)).await;
        }
        neighbour
    }

    /// Lets the neighbour come to its end.
    async fn enough(&self, neighbour: ExitWatch) -> Result<(), String> {
        let within = Some(MEETING_MAX);
        // One that failed is gone.
        let _ = self.node.kernel.cancel("neighbour", None, within, Some("enough"));
        well("the neighbour", neighbour).await
    }

    async fn spawn(&self, unit: &str, host: &str) -> ExitWatch {
        let request = SpawnRequest::new(id(unit), id(host), Vec::new());
        self.node.kernel.spawn_watched(request).await.unwrap().1
    }

    /// Takes away what could be spawned, and ends what is left. Nothing may be left after it.
    async fn clear(&self) -> Result<(), String> {
        let kernel = &self.node.kernel;
        kernel.remove_unit(&id("test:hostile"));
        for (name, _) in MET {
            kernel.remove_unit(&id(&format!("test:{name}")));
        }
        let start = Instant::now();
        loop {
            for process in kernel.processes() {
                // It may have ended by itself.
                let _ = kernel.terminate(&process.pid);
            }
            let left = [kernel.process_count(), kernel.bond_count(), kernel.waiting_count()];
            if left == [0, 0, 0] {
                return Ok(());
            }
            if start.elapsed() > CLEAR_MAX {
                return Err(format!("processes, bonds and spawns that are left: {left:?}"));
            }
            sleep(Duration::from_millis(2)).await;
        }
    }
}

/// What a hostile actor may use; one that is to find out what it is answered has time for it.
fn own_limits(brief: bool) -> Limits {
    let limits = limits();
    match brief {
        true => limits,
        false => Limits { execution_max: Some(MEETING_MAX), ..limits },
    }
}

async fn well(who: &str, watch: ExitWatch) -> Result<(), String> {
    match timeout(MEETING_MAX, watch).await.as_deref() {
        Err(_) => Err(format!("{who} is still at it")),
        Ok(Exit::Normal(_)) => Ok(()),
        Ok(other) => Err(format!("{who}: {other}")),
    }
}

/// A service whose process traps at once is started again without a delay, as often as its budget
/// says, or as the pace of those without one; the neighbour goes on.
#[test]
fn services_that_trap_at_once() {
    let _alone = crate::MEASURED.lock();
    let crowd = Crowd::new(Profile::Spawn);
    for (name, budget, brief) in [
        ("test:fails", Some(Budget { restarts: 50, within: Duration::from_secs(60) }), true),
        ("test:traps", Some(Budget { restarts: 50, within: Duration::from_secs(60) }), true),
        ("test:traps", None, false),
    ] {
        crowd.node.add("test:fails", crowd.units["fails"].clone());
        let service = id(&format!("{name}_{}", if brief { "budget" } else { "pace" }));
        let mut spec = ServiceSpec::new(service.clone(), id(name), id("test:crowd"));
        spec.restart.initial_delay = Duration::ZERO;
        spec.restart.budget = budget;
        crowd.node.kernel.add_service(spec).unwrap();
        crowd.node.runtime.block_on(async {
            let beside = crowd.neighbour().await;
            // Its first start succeeds; what comes after it is a matter of restarts.
            let _ = crowd.node.kernel.start_service(&service).await;
            crowd.enough(beside).await.unwrap();
            let info = || {
                let all = crowd.node.kernel.services();
                all.into_iter().find(|info| info.id == service).unwrap()
            };
            if brief {
                let start = Instant::now();
                while info().state != ServiceState::Failed {
                    assert!(start.elapsed() < MEETING_MAX, "{:?}", info());
                    sleep(Duration::from_millis(5)).await;
                }
                assert_eq!(info().restarts, 50, "{:?}", info());
            } else {
                sleep(Duration::from_secs(1)).await;
                assert!(info().restarts <= 1000, "{:?}", info());
                crowd.node.kernel.stop_service(&service).await.unwrap();
                assert_eq!(info().state, ServiceState::Stopped);
            }
        });
    }
}
