//! Addresses of peers: `did:key:…@ip:port`, possibly with a relay's address; or the key alone, to be looked up.

use std::{fmt, net::SocketAddr, str::FromStr};

use iroh::{EndpointAddr, EndpointId, RelayUrl, TransportAddr};
use tidegate_protocol::PeerId;

use crate::NetError;

/// Key of a peer, with its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Public key of the peer.
    pub peer: PeerId,
    /// Socket addresses of the peer.
    pub sockets: Vec<SocketAddr>,
    /// Relay of the peer.
    pub relay: Option<RelayUrl>,
}

/// Error of parsing an address.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a peer address: write did:key:…@ip:port, as `tidegate serve` prints it, or only the key if address lookup is on"
)]
pub struct BadAddress(String);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.sockets.iter().map(ToString::to_string).chain(self.relay.iter().map(ToString::to_string));
        let places: Vec<_> = places.collect();
        write!(f, "{}{}{}", self.peer, if places.is_empty() { "" } else { "@" }, places.join(","))
    }
}

impl FromStr for Address {
    type Err = BadAddress;
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let bad = || BadAddress(text.chars().take(120).collect());
        let Some((peer, places)) = text.trim().split_once('@') else {
            return Ok(Self { peer: text.trim().parse().map_err(|_| bad())?, sockets: vec![], relay: None });
        };
        let (mut sockets, mut relay) = (vec![], None);
        for place in places.split(',') {
            match place.parse() {
                Ok(socket) => sockets.push(socket),
                Err(_) if relay.is_none() && (place.starts_with("https://") || place.starts_with("http://")) => {
                    relay = Some(place.parse::<RelayUrl>().map_err(|_| bad())?);
                }
                Err(_) => return Err(bad()),
            }
        }
        Ok(Self { peer: peer.parse().map_err(|_| bad())?, sockets, relay })
    }
}

impl Address {
    pub(crate) fn endpoint_addr(&self) -> Result<EndpointAddr, NetError> {
        let id = EndpointId::from_bytes(self.peer.as_bytes()).map_err(|e| NetError::Local(e.to_string()))?;
        let direct = self.sockets.iter().map(|socket| TransportAddr::Ip(*socket));
        Ok(EndpointAddr { id, addrs: direct.chain(self.relay.clone().map(TransportAddr::Relay)).collect() })
    }
}

pub(crate) fn peer_of(id: EndpointId) -> Option<PeerId> {
    PeerId::from_bytes(*id.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::Identity;

    use super::*;

    #[test]
    fn an_address_is_what_it_is_written_as() {
        let key = Identity::from_seed([1; 32]).id();
        for rest in
            ["", "@127.0.0.1:5", "@[2001:db8::1]:7,192.0.2.1:9", "@https://relay.example/", "@192.0.2.1:9,http://192.0.2.1:81/"]
        {
            let text = format!("{key}{rest}");
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for rest in [
            "@",
            "@127.0.0.1",
            "@relay.example",
            "@ftp://relay.example/",
            "@http://a/,http://b/",
            "@127.0.0.1:5,",
            "@x@127.0.0.1:5",
        ] {
            assert!(format!("{key}{rest}").parse::<Address>().is_err(), "{rest}");
        }
        assert!("127.0.0.1:5".parse::<Address>().is_err());
    }
}
