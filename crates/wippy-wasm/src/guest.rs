//! What one store holds: everything the host keeps for one guest.

use std::sync::Arc;

use parking_lot::Mutex;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error as HttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};
use wippy_host::{GuestLog, Stream};
use wippy_kernel::ProcessContext;
use wippy_model::{Error, Result};

use crate::limiter::Limiter;
use crate::stdio::{Input, Output};
use crate::unit::Config;

/// The host's side of one guest.
///
/// The WASI context is made at its first use: most guests that a std toolchain makes
/// import a dozen interfaces and call none.
pub(crate) struct Guest {
    pub(crate) process: ProcessContext,
    pub(crate) limiter: Limiter,
    config: Arc<Config>,
    /// The arguments of a command, as text; empty for any other method.
    arguments: Vec<String>,
    /// Boxed, as is the next: most guests never have one, and a guest is moved into its store.
    wasi: Option<Box<WasiCtx>>,
    wasi1: Option<Box<WasiP1Ctx>>,
    table: ResourceTable,
    http: WasiHttpCtx,
    hooks: HttpHooks,
}

/// Lets a request out only where `wasi:http` is granted.
struct HttpHooks {
    granted: bool,
}

impl Guest {
    pub(crate) fn new(
        process: ProcessContext,
        config: Arc<Config>,
        arguments: Vec<String>,
    ) -> Self {
        Self {
            limiter: Limiter::new(&config.limits, process.clone()),
            process,
            hooks: HttpHooks { granted: config.grants.http },
            config,
            arguments,
            wasi: None,
            wasi1: None,
            table: ResourceTable::new(),
            http: WasiHttpCtx::new(),
        }
    }

    /// Hands the mounts over, where there are any. Their directories are open since the
    /// entry was loaded, so this fails only where handles run out.
    pub(crate) fn open_mounts(&mut self, component: bool) -> Result<()> {
        if self.config.mounts.is_empty() {
            return Ok(());
        }
        let mut builder = self.builder();
        for mount in &self.config.mounts {
            let perms = if mount.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
            builder.preopened_dir(mount.volume.handle_path(), &mount.guest, perms).map_err(
                |error| {
                    Error::not_found(format!(
                        "{}: cannot mount {} at {}: {error:#}",
                        self.config.id,
                        mount.volume.directory().display(),
                        mount.guest
                    ))
                },
            )?;
        }
        if component {
            self.wasi = Some(Box::new(builder.build()));
        } else {
            self.wasi1 = Some(Box::new(builder.build_p1()));
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

    /// The limits of its entry.
    pub(crate) fn limits(&self) -> &wippy_model::Limits {
        &self.config.limits
    }

    /// The preview1 context of a core module.
    pub(crate) fn wasi1(&mut self) -> &mut WasiP1Ctx {
        if self.wasi1.is_none() {
            self.wasi1 = Some(Box::new(self.builder().build_p1()));
        }
        // Set right above: the closure never runs.
        self.wasi1.get_or_insert_with(|| Box::new(WasiCtxBuilder::new().build_p1()))
    }

    fn builder(&self) -> WasiCtxBuilder {
        let config = &self.config;
        let mut builder = WasiCtxBuilder::new();
        builder.arg(&config.program).args(&config.args).args(&self.arguments);
        builder.envs(&config.env);
        if let Some(cwd) = &config.cwd {
            builder.initial_cwd(cwd);
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
        if config.grants.sockets {
            builder.inherit_network().allow_ip_name_lookup(true);
        }
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
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

type Sent = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), HttpError>> + Send>);

impl WasiHttpHooks for HttpHooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        sent: Box<dyn Future<Output = Result<(), HttpError>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, HttpError>> + Send> {
        drop(sent);
        let granted = self.granted;
        Box::new(async move {
            if !granted {
                return Err(HttpError::HttpRequestDenied);
            }
            let (response, io) = wasmtime_wasi_http::default_send_request(request, options).await?;
            let response = response.map(http_body_util::BodyExt::boxed_unsync);
            Ok((response, Box::new(io) as Box<dyn Future<Output = _> + Send>))
        })
    }
}
