//! How a party is reached beyond the addresses that it hands out: over a relay, by its key on the local network, by its key anywhere. All of it is off
//! until its party says otherwise: each tells somebody where it is.

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

/// How a party is reached, and reaches others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reach {
    /// iroh's relay that this party is reached over where there is no direct way: it sees who speaks with whom, and nothing of what is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<RelayUrl>,
    /// A pkarr relay (<https://pkarr.org>) where this party says where it is, signed, and asks where others are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<RelayUrl>,
    /// Whether this party says on the local network where it is, and hears where others are (multicast DNS, RFC 6762).
    #[serde(default)]
    pub local: bool,
}

impl Reach {
    /// Whether a peer may be found by its key alone.
    pub fn finds(&self) -> bool {
        self.local || self.lookup.is_some()
    }
}

/// Where to listen, to reach all of these: on loopback alone, where they all are.
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

/// Binds an endpoint of this identity to `listen`, reached by its [`Address`] alone: no relay, no port mapping, no address published.
///
/// # Errors
/// [`NetError::Local`] when the socket cannot be bound.
pub async fn bind(identity: &Identity, listen: SocketAddr) -> Result<Endpoint, NetError> {
    bind_reaching(identity, &[listen], &Reach::default()).await
}

/// What peers may have on its way to here, unread: little, until they are known, or asked. Nothing here reads datagrams.
fn transport() -> QuicTransportConfig {
    let windows = QuicTransportConfig::builder().receive_window(limits::WINDOW_BYTES.into());
    windows.max_concurrent_uni_streams(TOPICS.into()).datagram_receive_buffer_size(None).build()
}

/// Most topics of one gossip connection: each is a stream.
const TOPICS: u32 = 64;

/// As [`bind`], to each of `listen` (of those that are not the first, where that is possible), and reached as `reach` says.
///
/// # Errors
/// [`NetError::Local`] when the first socket cannot be bound.
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
        // Who has a relay need not say more.
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

/// The address others can dial `endpoint` at.
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
