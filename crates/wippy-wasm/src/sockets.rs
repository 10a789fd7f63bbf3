//! `wasi:sockets` of a guest: the grant, the policy for each address and name, and how many
//! sockets it may have open.
//!
//! Where the entry is granted `wasi:sockets`, the policy is asked: `socket.connect` on the
//! address of the peer for TCP connections and for datagrams either way, `socket.listen` on
//! the local address of a bind or listen, `socket.resolve` on a name, and `socket.private_ip`
//! beside each of the first two for a private or loopback address. A denial is
//! `access-denied`, or a datagram that does not arrive; the log says why, see `denials`.
//!
//! `max_open_sockets` counts TCP sockets, accepted ones too, and UDP sockets; past it the call
//! answers `new-socket-limit`.

use std::future::ready;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::vec;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable, ResourceType};
use wasmtime_wasi::p2::bindings::sockets::network::{
    ErrorCode, Host as _, IpAddress, IpAddressFamily, Network,
};
use wasmtime_wasi::p2::bindings::sockets::tcp::HostTcpSocket as _;
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket::Host as _;
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket::Host as _;
use wasmtime_wasi::p2::{self, Pollable, SocketResult};
use wasmtime_wasi::p3::bindings::sockets::{ip_name_lookup as names, types};
use wasmtime_wasi::runtime::AbortOnDropJoinHandle;
use wasmtime_wasi::sockets::{self, SocketAddrUse, WasiSocketsCtxView, WasiSocketsView};
use wasmtime_wasi::{WasiCtxBuilder, WasiView};
use wippy_host::{Lookups, Resolver, is_private};
use wippy_kernel::ProcessContext;

use crate::denials::Denials;
use crate::guest::Guest;

/// The interfaces with shadowed functions; wasmtime-wasi's own version, or the linker would
/// have both.
const TCP_CREATE: &str = "wasi:sockets/tcp-create-socket@0.2.12";
const UDP_CREATE: &str = "wasi:sockets/udp-create-socket@0.2.12";
const TCP: &str = "wasi:sockets/tcp@0.2.12";
const NAMES: &str = "wasi:sockets/ip-name-lookup@0.2.12";
const TYPES_0_3: &str = "wasi:sockets/types@0.3.0";
const NAMES_0_3: &str = "wasi:sockets/ip-name-lookup@0.3.0";

/// The sockets side of one guest.
#[derive(Default)]
pub(crate) struct Sockets {
    /// An upper bound of those open; counted again when it reaches the maximum.
    open: u32,
    /// Made at the first look-up.
    resolver: Option<Resolver>,
}

impl Sockets {
    /// Counts a socket that is about to be opened, if there may be one more.
    pub(crate) fn open(&mut self, table: &mut ResourceTable, open_max: u32) -> bool {
        if self.open >= open_max {
            self.open = count(table);
        }
        let admitted = self.open < open_max;
        self.open += u32::from(admitted);
        admitted
    }

    /// Takes the last count back.
    pub(crate) fn not_opened(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// What looks names up.
    pub(crate) fn resolver(&mut self, lookups: &Lookups) -> Resolver {
        self.resolver.get_or_insert_with(|| lookups.resolver()).clone()
    }
}

fn count(table: &mut ResourceTable) -> u32 {
    let open = table.iter_mut().filter(|entry| {
        entry.is::<p2::TcpSocket>()
            || entry.is::<p2::UdpSocket>()
            || entry.is::<sockets::TcpSocket>()
            || entry.is::<sockets::UdpSocket>()
    });
    u32::try_from(open.count()).unwrap_or(u32::MAX)
}

/// What an entry without the grant is told.
pub(crate) const UNGRANTED: &str = "add imports: [wasi:sockets] to the entry";

/// Hands the network over, as far as the policy goes.
pub(crate) fn configure(
    builder: &mut WasiCtxBuilder,
    process: &ProcessContext,
    denials: &Arc<Denials>,
    granted: bool,
) {
    builder.allow_tcp(granted).allow_udp(granted);
    if !granted {
        return;
    }
    let (process, denials) = (process.clone(), denials.clone());
    builder.socket_addr_check(move |address, usage| {
        Box::pin(ready(permits(&process, &denials, address, usage)))
    });
}

fn permits(
    process: &ProcessContext,
    denials: &Denials,
    address: SocketAddr,
    usage: SocketAddrUse,
) -> bool {
    let action = match usage {
        // Listening has been allowed; it says nothing about who comes.
        SocketAddrUse::TcpAccept => return true,
        // Any free port: what connecting and sending do by themselves. Nobody reaches it before
        // a listen or a receive, which are asked about.
        SocketAddrUse::TcpBind | SocketAddrUse::UdpBind
            if address.port() == 0 && address.ip().is_unspecified() =>
        {
            return true;
        }
        SocketAddrUse::TcpBind | SocketAddrUse::TcpListen | SocketAddrUse::UdpBind => {
            "socket.listen"
        }
        SocketAddrUse::TcpConnect | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => {
            "socket.connect"
        }
    };
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    let allowed = process.authorize(action, &address.to_string()).and_then(|()| {
        if is_private(address.ip()) {
            process.authorize("socket.private_ip", &address.ip().to_string())
        } else {
            Ok(())
        }
    });
    if let Err(error) = &allowed {
        denials.tell(process.entry(), "an address", &error);
    }
    allowed.is_ok()
}

// --- Linking ----------------------------------------------------------------------------

/// Shadows what opens a socket or looks a name up.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.instance(TCP_CREATE)?.func_wrap(
        "create-tcp-socket",
        |mut store: Store<'_>, (family,): (IpAddressFamily,)| {
            let guest = store.data_mut();
            if !guest.open_socket() {
                return Ok((Err(ErrorCode::NewSocketLimit),));
            }
            let mut view = guest.sockets();
            let created = view.create_tcp_socket(family);
            Ok((or_code(&mut view, created)?,))
        },
    )?;
    linker.instance(UDP_CREATE)?.func_wrap_async(
        "create-udp-socket",
        |mut store: Store<'_>, (family,): (IpAddressFamily,)| {
            Box::new(async move {
                let guest = store.data_mut();
                if !guest.open_socket() {
                    return Ok((Err(ErrorCode::NewSocketLimit),));
                }
                let mut view = guest.sockets();
                let created = view.create_udp_socket(family).await;
                Ok((or_code(&mut view, created)?,))
            })
        },
    )?;
    linker.instance(TCP)?.func_wrap(
        "[method]tcp-socket.accept",
        |mut store: Store<'_>, (socket,): (Resource<p2::TcpSocket>,)| {
            let guest = store.data_mut();
            if !guest.open_socket() {
                return Ok((Err(ErrorCode::NewSocketLimit),));
            }
            let mut view = guest.sockets();
            let accepted = view.accept(socket);
            let accepted = or_code(&mut view, accepted)?;
            if accepted.is_err() {
                guest.socket_not_opened();
            }
            Ok((accepted,))
        },
    )?;
    let mut names = linker.instance(NAMES)?;
    names.resource(
        "resolve-address-stream",
        ResourceType::host::<Lookup>(),
        |mut store, lookup| {
            store.data_mut().ctx().table.delete(Resource::<Lookup>::new_own(lookup))?;
            Ok(())
        },
    )?;
    names.func_wrap(
        "resolve-addresses",
        |mut store: Store<'_>, (network, name): (Resource<Network>, String)| {
            let guest = store.data_mut();
            guest.ctx().table.get(&network)?;
            Ok((match resolve(guest, &name) {
                Ok(lookup) => Ok(guest.ctx().table.push(lookup)?),
                Err(code) => Err(code),
            },))
        },
    )?;
    names.func_wrap(
        "[method]resolve-address-stream.resolve-next-address",
        |mut store: Store<'_>, (lookup,): (Resource<Lookup>,)| {
            Ok((store.data_mut().ctx().table.get_mut(&lookup)?.next(),))
        },
    )?;
    names.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut store: Store<'_>, (lookup,): (Resource<Lookup>,)| {
            Ok((p2::subscribe(store.data_mut().ctx().table, lookup)?,))
        },
    )
}

/// The same for WASI 0.3, whose streams of accepted sockets are not counted.
pub(crate) fn link_concurrent(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES_0_3)?;
    types.func_wrap(
        "[static]tcp-socket.create",
        |mut store: Store<'_>, (family,): (types::IpAddressFamily,)| {
            let guest = store.data_mut();
            if !guest.open_socket() {
                return Ok((Err(too_many()),));
            }
            let mut view = guest.sockets();
            Ok((match types::HostTcpSocket::create(&mut view, family) {
                Ok(socket) => Ok(socket),
                Err(error) => Err(types::Host::convert_error_code(&mut view, error)?),
            },))
        },
    )?;
    types.func_wrap_async(
        "[static]udp-socket.create",
        |mut store: Store<'_>, (family,): (types::IpAddressFamily,)| {
            Box::new(async move {
                let guest = store.data_mut();
                if !guest.open_socket() {
                    return Ok((Err(too_many()),));
                }
                let mut view = guest.sockets();
                Ok((match types::HostUdpSocket::create(&mut view, family).await {
                    Ok(socket) => Ok(socket),
                    Err(error) => Err(types::Host::convert_error_code(&mut view, error)?),
                },))
            })
        },
    )?;
    linker.instance(NAMES_0_3)?.func_wrap_concurrent(
        "resolve-addresses",
        |accessor, (name,): (String,)| {
            Box::pin(async move {
                let admitted = accessor.with(|mut store| admit_name(store.data_mut(), &name));
                let found = match admitted {
                    Ok(Name::Address(address)) => Ok(vec![address]),
                    Ok(Name::Domain(name, resolver)) => lookup(&name, &resolver).await,
                    Err(code) => Err(code),
                };
                Ok((match found {
                    Ok(found) => {
                        Ok(found.into_iter().map(types::IpAddress::from).collect::<Vec<_>>())
                    }
                    Err(ErrorCode::AccessDenied) => Err(names::ErrorCode::AccessDenied),
                    Err(ErrorCode::InvalidArgument) => Err(names::ErrorCode::InvalidArgument),
                    Err(_) => Err(names::ErrorCode::NameUnresolvable),
                },))
            })
        },
    )
}

/// WASI 0.3 has no code of its own for it.
fn too_many() -> types::ErrorCode {
    types::ErrorCode::Other(Some("new-socket-limit".to_owned()))
}

type Store<'a> = StoreContextMut<'a, Guest>;

fn or_code<T>(
    view: &mut WasiSocketsCtxView<'_>,
    result: SocketResult<T>,
) -> wasmtime::Result<Result<T, ErrorCode>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => Ok(Err(view.convert_error_code(error)?)),
    }
}

// --- Names ------------------------------------------------------------------------------

/// A name that is being looked up, with a [`Resolver`]'s bound. (wasmtime-wasi's own stream
/// starts a blocking task for each call, however many there are.)
struct Lookup(State);

enum State {
    Pending(AbortOnDropJoinHandle<Found>),
    Ready(Found),
}

type Found = Result<vec::IntoIter<IpAddr>, ErrorCode>;

/// Starts a look-up, unless the name is an address.
fn resolve(guest: &mut Guest, name: &str) -> Result<Lookup, ErrorCode> {
    let (name, resolver) = match admit_name(guest, name)? {
        Name::Address(address) => return Ok(Lookup(State::Ready(Ok(vec![address].into_iter())))),
        Name::Domain(name, resolver) => (name, resolver),
    };
    let lookup = async move { lookup(&name, &resolver).await.map(Vec::into_iter) };
    Ok(Lookup(State::Pending(wasmtime_wasi::runtime::spawn(lookup))))
}

/// What a guest gives as a name.
enum Name {
    Address(IpAddr),
    Domain(String, Resolver),
}

/// Grant, form and policy of a look-up.
fn admit_name(guest: &mut Guest, name: &str) -> Result<Name, ErrorCode> {
    if !guest.may_use_sockets() {
        guest.denials().tell(guest.process.entry(), "the network", &UNGRANTED);
        return Err(ErrorCode::AccessDenied);
    }
    let name = match url::Host::parse(name) {
        Ok(url::Host::Domain(name)) => name,
        Ok(url::Host::Ipv4(found)) => return Ok(Name::Address(found.into())),
        Ok(url::Host::Ipv6(found)) => return Ok(Name::Address(found.into())),
        // That parser wants an IPv6 address in brackets.
        Err(_) => match name.parse() {
            Ok(found) => return Ok(Name::Address(IpAddr::V6(found))),
            Err(_) => return Err(ErrorCode::InvalidArgument),
        },
    };
    let process = &guest.process;
    if let Err(error) = process.authorize("socket.resolve", &name) {
        guest.denials().tell(process.entry(), "a name", &error);
        return Err(ErrorCode::AccessDenied);
    }
    Ok(Name::Domain(name, guest.resolver()))
}

async fn lookup(name: &str, resolver: &Resolver) -> Result<Vec<IpAddr>, ErrorCode> {
    match resolver.lookup(name).await {
        Ok(found) => Ok(found.iter().map(IpAddr::to_canonical).collect()),
        Err(error) => {
            tracing::debug!("cannot look {name} up: {error}");
            Err(ErrorCode::NameUnresolvable)
        }
    }
}

impl Lookup {
    fn next(&mut self) -> Result<Option<IpAddress>, ErrorCode> {
        if let State::Pending(task) = &mut self.0 {
            match wasmtime_wasi::runtime::poll_noop(std::pin::Pin::new(task)) {
                Some(found) => self.0 = State::Ready(found),
                None => return Err(ErrorCode::WouldBlock),
            }
        }
        match &mut self.0 {
            State::Ready(Ok(found)) => Ok(found.next().map(IpAddress::from)),
            State::Ready(Err(code)) => Err(*code),
            State::Pending(_) => Err(ErrorCode::WouldBlock),
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        if let State::Pending(task) = &mut self.0 {
            self.0 = State::Ready(task.await);
        }
    }
}
