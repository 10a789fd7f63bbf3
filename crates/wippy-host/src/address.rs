//! Names and addresses: which addresses are private, and the look-up of names.
//!
//! A look-up runs on tokio's threads for blocking work, because the system's resolver
//! blocks. One [`Resolver`] has at most [`Resolver::LOOKUPS_MAX`] of them under way and those
//! of one node [`Lookups::MAX`] together, given up ones included: neither a guest nor many
//! that come and go can fill the pool that file access uses too.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::sync::Arc;

use tokio::sync::Semaphore;

/// Whether an address is not one of the public Internet: private, loopback, link-local,
/// shared (CGNAT), unique local, unspecified, multicast, for documentation or reserved. An IPv6
/// address that carries an IPv4 address (mapped, compatible, translated, NAT64, 6to4, ISATAP)
/// is judged by that, and Teredo's are all private: they hide theirs behind a relay.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        // "This network", which Linux connects to itself for.
        || a == 0
        // Shared address space of carriers.
        || (a == 100 && (64..128).contains(&b))
        // Protocol assignments, and benchmarks.
        || (a == 192 && b == 0 && c == 0)
        // Relays of 6to4, which nobody runs any more.
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        // Reserved, and the broadcast address.
        || a >= 240
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_private_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => true,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => v4(high, low),
        [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] if v4(high, low) => true,
        // NAT64 of the local network; what is discarded; Teredo; documentation, twice.
        [0x64, 0xff9b, 1, ..]
        | [0x100, 0, 0, 0, ..]
        | [0x2001, 0 | 0xdb8, ..]
        | [0x3fff, 0..0x1000, ..] => true,
        // ISATAP, below any prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] if v4(high, low) => true,
        // Unique local, link-local and site-local, multicast.
        [first, ..] => first & 0xfe00 == 0xfc00 || first >= 0xfe80,
    }
}

/// The look-ups of a node. A clone shares the bound.
#[derive(Debug, Clone)]
pub struct Lookups(Arc<Semaphore>);

impl Lookups {
    /// Look-ups under way; the next one waits for its turn.
    pub const MAX: usize = 128;

    /// A resolver with a bound of its own beside that of the node.
    pub fn resolver(&self) -> Resolver {
        Resolver { own: Arc::new(Semaphore::new(Resolver::LOOKUPS_MAX)), node: self.clone() }
    }
}

impl Default for Lookups {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(Self::MAX)))
    }
}

/// Looks names up, a bounded number at a time. A clone shares the bound.
#[derive(Debug, Clone)]
pub struct Resolver {
    own: Arc<Semaphore>,
    node: Lookups,
}

impl Resolver {
    /// Look-ups under way; the next one waits for its turn.
    pub const LOOKUPS_MAX: usize = 16;

    /// The addresses of a name, in the order of the system's resolver, without duplicates. A
    /// literal address is its own.
    ///
    /// # Errors
    ///
    /// What the system's resolver says.
    pub async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = name.parse() {
            return Ok(vec![address]);
        }
        let turn = self.own.clone().acquire_owned().await.map_err(io::Error::other)?;
        let turn_of_node = self.node.0.clone().acquire_owned().await.map_err(io::Error::other)?;
        let name = name.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            // Given back when the system has answered, whether or not somebody still waits.
            let _turns = (turn, turn_of_node);
            let mut addresses = Vec::new();
            for found in (name.as_str(), 0).to_socket_addrs()? {
                if !addresses.contains(&found.ip()) {
                    addresses.push(found.ip());
                }
            }
            Ok(addresses)
        });
        lookup.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_private_addresses() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.7",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.255",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "::127.0.0.1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:db8::1",
            "3fff:fff::1",
            "2002:7f00:1::",
            "2002:808:808::5efe:10.0.0.1",
            "2606:4700::5efe:10.0.0.1",
            "2606:4700::200:5efe:192.168.0.1",
            "fe80::5efe:8.8.8.8",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(is_private(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn knows_public_addresses() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.169.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "::ffff:0:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "100:0:0:1::1",
            "2001:1::1",
            "2001:4860::8888",
            "2606:4700::5efe:8.8.8.8",
            "3fff:1000::1",
            "192.0.3.1",
            "192.88.98.1",
            "203.0.114.1",
            "2002:808:808::",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(!is_private(address.parse().unwrap()), "{address}");
        }
    }

    #[tokio::test]
    async fn a_literal_is_its_own_address() {
        let resolver = Lookups::default().resolver();
        let found = resolver.lookup("192.0.2.7").await.unwrap();
        assert_eq!(found, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        let found = resolver.lookup("::1").await.unwrap();
        assert_eq!(found, [IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    }

    #[tokio::test]
    async fn localhost_is_private() {
        let found = Lookups::default().resolver().lookup("localhost").await.unwrap();
        assert!(!found.is_empty());
        assert!(found.iter().all(|address| is_private(*address)), "{found:?}");
    }

    #[tokio::test]
    async fn what_is_no_name_is_refused() {
        assert!(Lookups::default().resolver().lookup("no name at all").await.is_err());
    }
}
