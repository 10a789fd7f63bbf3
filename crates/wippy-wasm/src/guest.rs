//! What one store holds: everything the host keeps for one guest.

use std::sync::Arc;

use parking_lot::Mutex;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};
use wippy_host::{GuestLog, Resolver, Stream};
use wippy_kernel::{ProcessContext, Role};
use wippy_model::{Limits, Result};

use crate::denials::Denials;
use crate::files::{self, Budget, Files};
use crate::http::Http;
use crate::limiter::Limiter;
use crate::sockets::{self, Sockets};
use crate::spec::Grants;
use crate::stdio::{Input, Output};
use crate::unit::{Config, EnvValues};

/// The host's side of one guest.
///
/// The WASI context is made at its first use: most guests that a std toolchain makes
/// import a dozen interfaces and call none.
pub(crate) struct Guest {
    pub(crate) process: ProcessContext,
    pub(crate) limiter: Limiter,
    pub(crate) role: Role,
    pub(crate) files: Files,
    config: Arc<Config>,
    /// The arguments of a command, as text; empty for any other method.
    arguments: Vec<String>,
    /// The values of its environment, in the order of the entry.
    env: EnvValues,
    /// Boxed, as is the next: most guests never have one, and a guest is moved into its store.
    wasi: Option<Box<WasiCtx>>,
    wasi1: Option<Box<WasiP1Ctx>>,
    table: ResourceTable,
    /// Directories that have been handed over.
    mounts: usize,
    http: Option<Box<Http>>,
    sockets: Sockets,
}

/// What one handle costs the host, roughly, with what small thing stands behind it.
const HANDLE_BYTES: u64 = 256;
/// What every guest may have: its streams, mounts and pollables.
const HANDLES_MIN: u64 = 256;

/// What every guest may ask of the random generator at once: std seeds its maps from it.
const RANDOM_BYTES_MIN: u64 = 4096;

/// How many handles of resources a guest may hold: its `host_buffer_bytes` of them.
pub(crate) fn handles_max(limits: &Limits) -> usize {
    usize::try_from((limits.host_buffer_bytes / HANDLE_BYTES).max(HANDLES_MIN))
        .unwrap_or(usize::MAX)
}

impl Guest {
    pub(crate) fn new(
        process: ProcessContext,
        config: Arc<Config>,
        arguments: Vec<String>,
        role: Role,
        env: EnvValues,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(handles_max(&config.limits));
        Self {
            role,
            limiter: Limiter::new(&config.limits, process.clone()),
            files: Files::new(&config.limits),
            process,
            config,
            arguments,
            env,
            wasi: None,
            wasi1: None,
            table,
            mounts: 0,
            http: None,
            sockets: Sockets::default(),
        }
    }

    /// Hands the mounts over, where there are any.
    pub(crate) fn open_mounts(&mut self, component: bool) -> Result<()> {
        if self.config.mounts.is_empty() {
            return Ok(());
        }
        let mut builder = self.builder();
        self.mounts = files::preopen(&self.config, &mut builder)?;
        if component {
            self.wasi = Some(Box::new(builder.build()));
        } else {
            self.wasi1 = Some(self.bounded1(builder));
        }
        Ok(())
    }

    /// Makes the WASI context now. At its first use it would be made on the guest's own stack,
    /// deeper than the guest itself goes: a page that a sleeper keeps.
    pub(crate) fn make_context(&mut self, component: bool) {
        if component {
            self.ctx();
        } else {
            self.wasi1();
        }
    }

    /// Forgets what an instantiation that failed has counted.
    pub(crate) fn reset_limiter(&mut self) {
        self.limiter = Limiter::new(&self.config.limits, self.process.clone());
    }

    /// What its entry grants.
    pub(crate) fn grants(&self) -> &Grants {
        &self.config.grants
    }

    /// The limits of its entry.
    pub(crate) fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// What the host may hold for it at once.
    pub(crate) fn held_bytes_max(&self) -> usize {
        usize::try_from(self.limits().host_buffer_bytes).unwrap_or(usize::MAX)
    }

    /// The preview1 context of a core module.
    pub(crate) fn wasi1(&mut self) -> &mut WasiP1Ctx {
        if self.wasi1.is_none() {
            self.wasi1 = Some(self.bounded1(self.builder()));
        }
        // Set right above: the closure never runs.
        self.wasi1.get_or_insert_with(|| Box::new(WasiCtxBuilder::new().build_p1()))
    }

    fn bounded1(&self, mut builder: WasiCtxBuilder) -> Box<WasiP1Ctx> {
        let mut context = Box::new(builder.build_p1());
        context.ctx().table.set_max_capacity(handles_max(self.limits()));
        context
    }

    /// Whether preview1 may open one more file.
    pub(crate) fn has_room1(&mut self) -> bool {
        let mounts = self.mounts;
        self.wasi1();
        match &mut self.wasi1 {
            Some(context) => self.files.has_room1(context.ctx().table, mounts),
            None => false,
        }
    }

    /// What a further listing of a folder is charged to.
    pub(crate) fn listing_budget(&mut self) -> Arc<Budget> {
        self.files.listing_budget(&self.table)
    }

    fn builder(&self) -> WasiCtxBuilder {
        let config = &self.config;
        let mut builder = WasiCtxBuilder::new();
        builder.arg(&config.program).args(&config.args).args(&self.arguments);
        for (variable, value) in config.env.iter().zip(&self.env) {
            if let Some(value) = value {
                builder.env(&variable.name, value);
            }
        }
        builder.max_random_size(config.limits.host_buffer_bytes.max(RANDOM_BYTES_MIN));
        if let Some(cwd) = &config.cwd {
            builder.initial_cwd(cwd);
            // For guests that cannot ask: preview1 has no other way.
            if !config.env.iter().any(|variable| variable.name == "PWD") {
                builder.env("PWD", cwd);
            }
        }
        if self.process.host().terminal {
            let terminal = &config.terminal;
            builder
                .stdin(Input(terminal.clone()))
                .stdout(Output::Terminal(terminal.clone(), Stream::Stdout))
                .stderr(Output::Terminal(terminal.clone(), Stream::Stderr));
        } else {
            builder.stdout(self.log(Stream::Stdout)).stderr(self.log(Stream::Stderr));
        }
        sockets::configure(&mut builder, &self.process, &config.denials, config.grants.sockets);
        builder
    }

    fn log(&self, stream: Stream) -> Output {
        let log = GuestLog::new(self.config.id.clone(), stream, self.config.limits.output_bytes);
        Output::Log(Arc::new(Mutex::new(log)))
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        if self.wasi.is_none() {
            self.wasi = Some(Box::new(self.builder().build()));
        }
        // Set right above: the closure never runs.
        let ctx = self.wasi.get_or_insert_with(|| Box::new(WasiCtxBuilder::new().build()));
        WasiCtxView { ctx, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let (http, table) = self.http_and_table();
        http.view(table)
    }
}

/// What its [`Http`] and [`Sockets`] need of it.
impl Guest {
    fn http_and_table(&mut self) -> (&mut Http, &mut ResourceTable) {
        let http = self.http.get_or_insert_with(|| {
            let (config, process) = (&self.config, self.process.clone());
            let granted = config.grants.http;
            Box::new(Http::new(
                process,
                granted,
                config.denials.clone(),
                &config.limits,
                config.http.clone(),
            ))
        });
        (http, &mut self.table)
    }

    /// Counts bytes that HTTP is about to hold for it.
    pub(crate) fn charge_http(&mut self, bytes: usize) -> wasmtime::Result<()> {
        let (http, table) = self.http_and_table();
        http.charge(bytes, table)
    }

    /// Whether its entry is granted `wasi:sockets`.
    pub(crate) fn may_use_sockets(&self) -> bool {
        self.config.grants.sockets
    }

    /// What is told of denials.
    pub(crate) fn denials(&self) -> &Denials {
        &self.config.denials
    }

    /// Counts a socket that is about to be opened, if there may be one more.
    pub(crate) fn open_socket(&mut self) -> bool {
        if !self.may_use_sockets() {
            self.denials().tell(self.process.entry(), "the network", &sockets::UNGRANTED);
        }
        self.sockets.open(&mut self.table, self.config.limits.open_sockets_max)
    }

    /// Takes back what [`Self::open_socket`] counted.
    pub(crate) fn socket_not_opened(&mut self) {
        self.sockets.not_opened();
    }

    /// What looks names up for it.
    pub(crate) fn resolver(&mut self) -> Resolver {
        self.sockets.resolver(self.config.http.lookups())
    }
}
