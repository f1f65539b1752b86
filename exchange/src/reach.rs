//! Reachability beyond handed-out addresses: over a relay, by key on the local network, by key anywhere.
//!
//! All of these are off unless the party turns them on: each tells somebody where the party is.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use iroh::{
    Endpoint, RelayMap, RelayMode, RelayUrl, SecretKey,
    address_lookup::{AddrFilter, PkarrPublisher, PkarrResolver},
    endpoint::{BindOpts, PortmapperConfig, QuicTransportConfig, presets},
};
use iroh_mdns_address_lookup::MdnsAddressLookup;
use serde::{Deserialize, Serialize};
use tidegate_protocol::{Identity, limits};

use crate::{Address, NetError};

/// Settings of how a party is reached, and reaches others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reach {
    /// iroh relay for this party when there is no direct way: the relay sees who speaks with whom, but not the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<RelayUrl>,
    /// A pkarr relay (<https://pkarr.org>) where this party publishes its signed address, and looks up others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<RelayUrl>,
    /// Whether this party announces itself on the local network, and hears where others are (multicast DNS, RFC 6762).
    #[serde(default)]
    pub local: bool,
}

impl Reach {
    /// Returns whether a peer may be found by its key alone.
    pub fn finds(&self) -> bool {
        self.local || self.lookup.is_some()
    }
}

/// Returns the sockets to listen on for reaching all of these: only loopback if all are there.
pub fn listening_for(to: &[Address]) -> Vec<SocketAddr> {
    let sockets = || to.iter().flat_map(|to| &to.sockets);
    let direct = to.iter().all(|to| !to.sockets.is_empty() && to.relay.is_none());
    let all = |is: fn(&IpAddr) -> bool| direct && sockets().all(|socket| is(&socket.ip()));
    let any = |ip: IpAddr| SocketAddr::from((ip, 0));
    if all(|ip| ip.is_loopback() && ip.is_ipv4()) {
        return vec![any(Ipv4Addr::LOCALHOST.into())];
    }
    if all(|ip| ip.is_loopback() && ip.is_ipv6()) {
        return vec![any(Ipv6Addr::LOCALHOST.into())];
    }
    vec![any(Ipv4Addr::UNSPECIFIED.into()), any(Ipv6Addr::UNSPECIFIED.into())]
}

/// Binds an endpoint of this identity to `listen`, reached by its [`Address`] alone: no relay, no port mapping, no address
/// published.
///
/// # Errors
/// Returns [`NetError::Local`] if the socket cannot be bound.
pub async fn bind(identity: &Identity, listen: SocketAddr) -> Result<Endpoint, NetError> {
    bind_reaching(identity, &[listen], &Reach::default()).await
}

/// Limits unread data in flight to this node: small, until a peer is known, or asked. Nothing here reads datagrams.
fn transport() -> QuicTransportConfig {
    let windows = QuicTransportConfig::builder().receive_window(limits::WINDOW_BYTES.into());
    windows.max_concurrent_uni_streams(TOPICS.into()).datagram_receive_buffer_size(None).build()
}

/// Maximum number of topics per gossip connection: each is a stream.
const TOPICS: u32 = 64;

/// Binds an endpoint like [`bind`] to each of `listen`, reached according to `reach`.
///
/// Only the first socket must be bound; the others are bound if possible.
///
/// # Errors
/// Returns [`NetError::Local`] if the first socket cannot be bound.
pub async fn bind_reaching(identity: &Identity, listen: &[SocketAddr], reach: &Reach) -> Result<Endpoint, NetError> {
    let failed = |e: &dyn fmt::Display| {
        let sockets: Vec<_> = listen.iter().map(ToString::to_string).collect();
        NetError::Local(format!("cannot listen on {}: {e}", sockets.join(", ")))
    };
    let relay = reach.relay.clone().map_or(RelayMode::Disabled, |url| RelayMode::Custom(RelayMap::from(url)));
    let mut builder = Endpoint::builder(presets::Minimal)
        .relay_mode(relay)
        .clear_ip_transports()
        .portmapper_config(PortmapperConfig::Disabled)
        .transport_config(transport())
        .secret_key(SecretKey::from_bytes(&identity.seed()));
    for (i, socket) in listen.iter().enumerate() {
        builder = builder.bind_addr_with_opts(*socket, BindOpts::default().set_is_required(i == 0)).map_err(|e| failed(&e))?;
    }
    if let Some(lookup) = &reach.lookup {
        // With a relay, no more needs to be published.
        let filter = if reach.relay.is_some() { AddrFilter::relay_only() } else { AddrFilter::unfiltered() };
        builder = builder
            .address_lookup(PkarrPublisher::builder((**lookup).clone()).addr_filter(filter))
            .address_lookup(PkarrResolver::builder((**lookup).clone()));
    }
    if reach.local {
        builder = builder.address_lookup(MdnsAddressLookup::builder());
    }
    builder.bind().await.map_err(|e| failed(&e))
}

/// Returns the address at which others can dial `endpoint`.
pub fn local_address(endpoint: &Endpoint, identity: &Identity, reach: &Reach) -> Address {
    Address { peer: identity.id(), sockets: endpoint.bound_sockets(), relay: reach.relay.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_listens_on_the_network_who_speaks_with_this_machine_alone() {
        let key = Identity::from_seed([1; 32]).id();
        let at = |rest: &str| format!("{key}{rest}").parse::<Address>().unwrap();
        let loopback = |to: &[Address]| listening_for(to).iter().all(|socket| socket.ip().is_loopback());
        assert!(loopback(&[at("@127.0.0.1:5"), at("@127.0.0.2:6")]));
        assert!(loopback(&[at("@[::1]:5")]));
        for other in
            ["", "@192.0.2.1:5", "@127.0.0.1:5,192.0.2.1:5", "@127.0.0.1:5,https://relay.example/", "@127.0.0.1:5,[::1]:5"]
        {
            assert!(!loopback(&[at("@127.0.0.1:5"), at(other)]), "{other}");
        }
    }
}
