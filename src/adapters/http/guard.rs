//! A client for URLs that users configure: it connects to public addresses only. Otherwise a
//! webhook could reach the services of the private network, and the metadata service of the cloud.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

/// All addresses of the host are private.
#[derive(Clone, Copy, Debug, Error)]
#[error("the host has a private address")]
pub(super) struct PrivateAddress;

/// Resolves names to public addresses. A name that has none is an error.
#[derive(Clone, Copy, Debug)]
pub(super) struct PublicAddresses;

impl Resolve for PublicAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|found| is_public(found.ip())).collect();
            match public.is_empty() {
                true => Err(Box::new(PrivateAddress) as Box<dyn Error + Send + Sync>),
                false => Ok(Box::new(public.into_iter()) as Addrs),
            }
        })
    }
}

/// The client of [`client`](super::client), for public addresses only.
pub(super) fn public_client() -> reqwest::Result<reqwest::Client> {
    super::builder().dns_resolver(Arc::new(PublicAddresses)).build()
}

/// Whether the host of the URL is an address, and a private one. An address is never resolved.
pub(super) fn is_private_literal(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host.parse::<IpAddr>().is_ok_and(|ip| !is_public(ip))
}

/// Whether the connection failed because of [`PrivateAddress`].
pub(super) fn is_private(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if error.is::<PrivateAddress>() || inner.is_some_and(|inner| inner.is::<PrivateAddress>()) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether an address is one of the public Internet (IANA's special-purpose registries).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        // Shared address space, protocol assignments, benchmarks.
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (18..20).contains(&b));
    !is_special
}

/// Only global unicast, without the ranges that carry an IPv4 address or are special.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(mapped) = ip.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let [a, b, ..] = ip.segments();
    // 2000::/3, without 2001::/23 (Teredo and others), documentation and 6to4.
    a & 0xe000 == 0x2000
        && !(a == 0x2001 && b < 0x0200)
        && (a, b) != (0x2001, 0x0db8)
        && a != 0x2002
        && (a, b & 0xf000) != (0x3fff, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_private_networks_are_not_public() {
        let private = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "3fff::1",
        ];
        for ip in private {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "1.1.1.1",
            "100.128.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
        ] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn an_address_in_a_url_is_checked_in_any_spelling() {
        // The URL parser reads 2130706433 and 0x7f.1 as 127.0.0.1.
        for url in
            ["https://10.0.0.1/", "https://2130706433/", "https://0x7f.1/x", "https://[::1]/"]
        {
            assert!(is_private_literal(&url.parse().unwrap()), "{url}");
        }
        for url in ["https://example.com/", "https://1.1.1.1/"] {
            assert!(!is_private_literal(&url.parse().unwrap()), "{url}");
        }
    }
}
