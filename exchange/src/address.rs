//! Where a peer is: `did:key:…@ip:port`.

use std::{fmt, net::SocketAddr, str::FromStr};

use iroh::{
    Endpoint, EndpointAddr, EndpointId, RelayMode, SecretKey, TransportAddr,
    endpoint::{PortmapperConfig, presets},
};
use tidegate_protocol::{Identity, PeerId};

use crate::NetError;

/// A peer and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The peer's key.
    pub peer: PeerId,
    /// Socket addresses it can be reached at.
    pub sockets: Vec<SocketAddr>,
}

/// An address could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a peer address: write did:key:…@ip:port, as `tidegate serve` prints it")]
pub struct BadAddress(String);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sockets: Vec<_> = self.sockets.iter().map(ToString::to_string).collect();
        write!(f, "{}@{}", self.peer, sockets.join(","))
    }
}

impl FromStr for Address {
    type Err = BadAddress;
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.chars().take(120).collect());
        let (peer, sockets) = text.trim().split_once('@').ok_or_else(bad)?;
        let sockets = sockets.split(',').map(|s| s.parse().map_err(|_| bad())).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { peer: peer.parse().map_err(|_| bad())?, sockets })
    }
}

impl Address {
    pub(crate) fn endpoint_addr(&self) -> Result<EndpointAddr, NetError> {
        let id = EndpointId::from_bytes(self.peer.as_bytes()).map_err(|e| NetError::Local(e.to_string()))?;
        Ok(EndpointAddr { id, addrs: self.sockets.iter().map(|s| TransportAddr::Ip(*s)).collect() })
    }
}

pub(crate) fn peer_of(id: EndpointId) -> Option<PeerId> {
    PeerId::from_bytes(*id.as_bytes()).ok()
}

/// Binds an endpoint of this identity to `listen`. No relay, no port mapping, no address published: peers need the [`Address`].
///
/// # Errors
/// [`NetError::Local`] when the socket cannot be bound.
pub async fn bind(identity: &Identity, listen: SocketAddr) -> Result<Endpoint, NetError> {
    let local = |e: &dyn fmt::Display| NetError::Local(format!("cannot listen on {listen}: {e}"));
    Endpoint::builder(presets::Minimal)
        .relay_mode(RelayMode::Disabled)
        .clear_ip_transports()
        .bind_addr(listen)
        .map_err(|e| local(&e))?
        .portmapper_config(PortmapperConfig::Disabled)
        .secret_key(SecretKey::from_bytes(&identity.seed()))
        .bind()
        .await
        .map_err(|e| local(&e))
}

/// The address others can dial `endpoint` at.
pub fn local_address(endpoint: &Endpoint, identity: &Identity) -> Address {
    Address { peer: identity.id(), sockets: endpoint.bound_sockets() }
}
