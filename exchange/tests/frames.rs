//! Peers that break the job protocol: refused or dropped, and others are served meanwhile.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{future::Future, net::Ipv4Addr, pin::Pin, sync::Arc};

use iroh::Endpoint;
use tidegate_exchange::{Address, Handler, ask, bind, blobs::Served, local_address, serve};
use tidegate_protocol::{
    Code, Envelope, Identity, PeerId, Refusal,
    frame::{ALPN, Reply, Request},
    limits,
};
use tokio_util::sync::CancellationToken;

/// Answers listings after a moment.
#[derive(Debug)]
struct Echo;
impl Handler for Echo {
    fn expects(&self, _: PeerId, request: &Request) -> Result<(), Refusal> {
        match request {
            Request::Submit { grant, .. } if grant == "mine" => Ok(()),
            _ => Err(Refusal::new(Code::NotGranted, "not yours")),
        }
    }

    fn handle<'a>(
        &'a self,
        _: PeerId,
        request: Request,
        attachment: Vec<u8>,
        _: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        Box::pin(async move {
            match request {
                Request::Listings { .. } => Reply::Listings(vec![]),
                _ => Reply::LogFile(attachment.len().to_string()),
            }
        })
    }
}

async fn setup() -> (tempfile::TempDir, Address, iroh::protocol::Router, Endpoint) {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::from_seed([1; 32]);
    let served = Served::open(dir.path()).await.unwrap();
    let endpoint = bind(&identity, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = local_address(&endpoint, &identity, &Default::default());
    let router = serve(endpoint, Arc::new(Echo), &served);
    let client = bind(&Identity::from_seed([2; 32]), (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    (dir, address, router, client)
}

async fn raw(client: &Endpoint, to: &Address, bytes: &[u8], finish: bool) -> Option<Vec<u8>> {
    let id = iroh::EndpointId::from_bytes(to.peer.as_bytes()).unwrap();
    let addr = iroh::EndpointAddr { id, addrs: to.sockets.iter().map(|s| iroh::TransportAddr::Ip(*s)).collect() };
    let connection = client.connect(addr, ALPN).await.unwrap();
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(bytes).await.unwrap();
    if !finish {
        // Hang up in the middle.
        connection.close(1u32.into(), b"bye");
        return None;
    }
    send.finish().unwrap();
    recv.read_to_end(1 << 20).await.ok()
}

#[tokio::test]
async fn broken_frames_are_turned_away_and_others_are_served() {
    let (_dir, address, _router, client) = setup().await;
    let frame = |json: &str| [&(json.len() as u32).to_be_bytes()[..], json.as_bytes()].concat();
    let too_long = (limits::REQUEST_BYTES as u32 + 1).to_be_bytes();
    assert!(raw(&client, &address, &too_long, true).await.is_none_or(|r| r.is_empty()), "a frame over the limit is dropped");
    assert!(raw(&client, &address, &[0, 0, 0, 9, 1, 2], true).await.is_none_or(|r| r.is_empty()), "a frame cut short");
    for json in ["", "{}", "null", "{\"submit\":{}}", "{\"submit\":{\"job\":1}}", "[[[[[[[["] {
        let reply = raw(&client, &address, &frame(json), true).await.unwrap();
        assert!(String::from_utf8_lossy(&reply).contains("bad-request"), "{json}");
    }
    raw(&client, &address, &[0, 0, 0, 200, b'{'], false).await;
    let reply = ask(&client, &address, &Request::Listings { grant: String::new() }, &[]).await.unwrap();
    assert!(matches!(reply, Reply::Listings(_)));
}

#[tokio::test]
async fn an_attachment_over_the_limit_is_refused_before_it_is_read() {
    let (_dir, address, _router, client) = setup().await;
    let envelope = r#"{"payload":"","payloadType":"","signatures":[]}"#;
    let json = format!(r#"{{"submit":{{"job":{envelope},"grant":"","attachment_bytes":{}}}}}"#, u64::MAX);
    let bytes = [&(json.len() as u32).to_be_bytes()[..], json.as_bytes()].concat();
    let reply = raw(&client, &address, &bytes, true).await.unwrap();
    assert!(String::from_utf8_lossy(&reply).contains("bad-request"));
}

/// Nobody can make a node hold a program that it would not run: the refusal comes while most of it is still on the sender's side.
#[tokio::test]
async fn an_attachment_is_read_only_from_those_who_may_send_it() {
    let (_dir, address, _router, client) = setup().await;
    let attachment = vec![7; 48 << 20];
    let submit = |grant: &str| Request::Submit {
        job: Envelope { payload_type: String::new(), payload: String::new(), signatures: vec![] },
        grant: grant.into(),
        attachment_bytes: attachment.len() as u64,
    };
    let reply = ask(&client, &address, &submit("stolen"), &attachment).await.unwrap();
    assert!(matches!(&reply, Reply::Refused(refusal) if refusal.code == Code::NotGranted), "{reply:?}");
    let reply = ask(&client, &address, &submit("mine"), &attachment).await.unwrap();
    assert!(matches!(&reply, Reply::LogFile(length) if *length == attachment.len().to_string()), "{reply:?}");
}

/// However many programs are sent at once, a bounded number of them lies in memory; who comes later is told to try again, others are served.
#[tokio::test]
async fn a_bounded_number_of_attachments_is_held() {
    let (_dir, address, _router, client) = setup().await;
    let submit = |bytes: usize| Request::Submit {
        job: Envelope { payload_type: String::new(), payload: String::new(), signatures: vec![] },
        grant: "mine".into(),
        attachment_bytes: bytes as u64,
    };
    let frame = serde_json::to_vec(&submit(1 << 20)).unwrap();
    let id = iroh::EndpointId::from_bytes(address.peer.as_bytes()).unwrap();
    let addr = iroh::EndpointAddr { id, addrs: address.sockets.iter().map(|s| iroh::TransportAddr::Ip(*s)).collect() };
    let connection = client.connect(addr, ALPN).await.unwrap();
    let mut slow = Vec::new();
    for _ in 0..limits::ATTACHMENTS {
        let (mut send, recv) = connection.open_bi().await.unwrap();
        send.write_all(&(frame.len() as u32).to_be_bytes()).await.unwrap();
        send.write_all(&frame).await.unwrap();
        send.write_all(b"and no more").await.unwrap();
        slow.push((send, recv));
    }
    let mut refused = false;
    for _ in 0..100 {
        match ask(&client, &address, &submit(3), b"abc").await.unwrap() {
            Reply::Refused(refusal) if refusal.code == Code::Busy => refused = true,
            // The slow ones are on their way.
            _ => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
        if refused {
            break;
        }
    }
    assert!(refused, "one peer has half of them, and no more");
    let other = bind(&Identity::from_seed([77; 32]), (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let reply = ask(&other, &address, &submit(3), b"abc").await.unwrap();
    assert!(matches!(&reply, Reply::LogFile(length) if length == "3"), "the other half is for others");
    assert!(matches!(
        ask(&client, &address, &Request::Listings { grant: String::new() }, &[]).await.unwrap(),
        Reply::Listings(_)
    ));
    connection.close(0u32.into(), b"gone");
    let mut served = false;
    for _ in 0..100 {
        let reply = ask(&client, &address, &submit(3), b"abc").await.unwrap();
        served |= matches!(&reply, Reply::LogFile(length) if length == "3");
        if served {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(served, "places that were left are not given to others");
}
