//! A peer all of whose texts are meant for the terminal of whoever reads them: names, refusals, documents, log files. No command shows them as they are.

use std::{future::Future, net::Ipv4Addr, pin::Pin, sync::Arc};

use crate::common::World;
use serde_json::Value;
use tidegate_exchange::{Handler, Router, bind, blobs::Served, local_address, serve_in, web::CancellationToken};
use tidegate_protocol::{
    Code, ContentHash, Document, Envelope, Identity, PeerId, Refusal,
    frame::{Published, Reply, Request},
    manifest::Manifest,
    policy::Policy,
    shown::repaints,
};

/// Clears the screen, rings, goes back in its line, begins one of its own, and turns what follows around.
const NASTY: &str = "x\u{1b}[2J\u{7}\r\nFORGED: all is well\n\u{9b}31m\u{202e}y";

#[derive(Debug)]
struct Hostile {
    /// It shows documents where it has any, and turns everything else away.
    shows: bool,
    published: Published,
}

impl Handler for Hostile {
    fn expects(&self, _: PeerId, _: &Request) -> Result<(), Refusal> {
        Ok(())
    }

    fn handle<'a>(
        &'a self,
        _: PeerId,
        request: Request,
        _: Vec<u8>,
        _: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>> {
        let refused = || Reply::Refused(Refusal::new(Code::Policy, NASTY).at(NASTY).fix(NASTY));
        let reply = match request {
            _ if !self.shows => refused(),
            Request::Listings { .. } => Reply::Listings(vec![self.published.clone()]),
            Request::LogFile { .. } => Reply::LogFile(NASTY.into()),
            Request::Catalogue { .. } => Reply::Catalogue(vec![NASTY.into()]),
            Request::Reconcile { .. } => Reply::Reconciled(NASTY.into()),
            Request::LastCheckpoint { .. } => Reply::LastCheckpoint(Some(NASTY.into())),
            Request::Revocations { .. } | Request::Sealed { .. } => Reply::Revocations(Box::new(self.published.manifest.clone())),
            _ => refused(),
        };
        Box::pin(std::future::ready(reply))
    }
}

/// The owner's dataset as another party would publish it, with another name or column.
fn published(world: &World, identity: &Identity, name: &str, column: &str) -> Published {
    let record = std::fs::read_dir(world.path("owner/datasets")).unwrap().map(|e| e.unwrap().path());
    let record = record.into_iter().find(|path| path.extension().is_some_and(|e| e == "json")).unwrap();
    let record: Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    let body = |field: &str| -> Value {
        let envelope: Envelope = serde_json::from_value(record[field].clone()).unwrap();
        serde_json::from_slice(&envelope.check().unwrap().1).unwrap()
    };
    let (mut manifest, mut policy) = (body("manifest"), body("policy"));
    manifest["name"] = name.into();
    manifest["schema"][1]["name"] = column.into();
    let rule = policy["columns"].as_object_mut().unwrap().remove("spend").unwrap();
    policy["columns"][column] = rule;
    let policy = serde_json::to_vec(&policy).unwrap();
    manifest["policy"] = ContentHash::of(&policy).to_string().into();
    Published {
        manifest: Envelope::sign(Manifest::PAYLOAD_TYPE, &serde_json::to_vec(&manifest).unwrap(), identity),
        policy: Envelope::sign(Policy::PAYLOAD_TYPE, &policy, identity),
        lease: None,
        newest: None,
    }
}

/// Runs each command against the peer; what all of them said.
fn everything(world: &World, address: &str) -> String {
    let (job, grant, out, data) = (world.count_job(), world.text("grant"), world.text("out of it"), world.text("rows"));
    std::fs::create_dir_all(&data).unwrap();
    let commands: [&[&str]; 19] = [
        &["list", "--to", address],
        &["list", "--to", address, "--json"],
        &["run", &job, "--to", address, "--grant", &grant],
        &["run", &job, "--to", address, "--grant", &grant, "--json", "--again"],
        &["rehearse", &job, "--to", address, "--grant", &grant],
        &["fetch", "towns", "--to", address, "--grant", &grant, "--out", &out],
        &["ping", address],
        &["audit", "--peer", address],
        &["audit", "--peer", address, "--json", "--anew"],
        &["replay", "3", "--to", address, "--grant", &grant, "--data", &data],
        &["revocations", "--to", address],
        &["hold", "begin", "towns", "--to", address, "--grant", &grant],
        &["hold", "list"],
        &["mirror", "keep", "--to", address, "--grant", &grant],
        &["mirror", "list"],
        &["catalog", "sync", "--from", address],
        &["catalog", "search", "x"],
        &["catalog", "history", "towns", "--to", address],
        &["grant", "show", &grant],
    ];
    let mut said = String::new();
    for command in commands {
        let output = world.command("buyer").env("TIDEGATE_LOG", "debug,iroh=off,noq=off").args(command).output().unwrap();
        for stream in [output.stdout, output.stderr] {
            let text = String::from_utf8(stream).unwrap();
            let raw: Vec<char> = text.chars().filter(|c| repaints(*c) && !matches!(c, '\n' | '\t')).collect();
            assert!(raw.is_empty(), "{command:?} shows {raw:?}: {text:?}");
            assert!(!text.lines().any(|line| line.starts_with("FORGED")), "{command:?}: {text}");
            assert!(!text.contains("panicked"), "{command:?}: {text}");
            said += &text;
        }
    }
    said
}

fn peer(world: &World, runtime: &tokio::runtime::Runtime, handler: Hostile, identity: &Identity) -> (String, Router) {
    let folder = world.path("blobs of the peer");
    runtime.block_on(async {
        let served = Served::open(&folder).await.unwrap();
        let endpoint = bind(identity, (Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = local_address(&endpoint, identity, &Default::default());
        let router = serve_in(endpoint, Arc::new(handler), &served, None);
        (address.to_string(), router)
    })
}

#[test]
fn no_command_shows_a_peer_s_texts_as_they_are() {
    let (world, runtime) = (World::new(), tokio::runtime::Runtime::new().unwrap());
    let names = [("towns", "spend"), (NASTY, "spend"), ("towns", NASTY)];
    for (number, (name, column)) in names.into_iter().enumerate() {
        let identity = Identity::from_seed([50 + number as u8; 32]);
        let hostile = Hostile { shows: true, published: published(&world, &identity, name, column) };
        let (address, _kept) = peer(&world, &runtime, hostile, &identity);
        let listed = world.try_run("buyer", &["list", "--to", &address]);
        // A good name is shown; with another, all of the document is turned down.
        assert_eq!(listed.status.success(), number == 0, "{name:?} {column:?}: {}", crate::common::text(&listed));
        everything(&world, &address);
    }
    let identity = Identity::from_seed([60; 32]);
    let hostile = Hostile { shows: false, published: published(&world, &identity, "towns", "spend") };
    let (address, _kept) = peer(&world, &runtime, hostile, &identity);
    let said = everything(&world, &address);
    assert!(said.contains("x\u{FFFD}[2J\u{FFFD}\u{FFFD}\u{FFFD}FORGED"), "the peer's words were to be shown: {said}");
}

#[test]
fn names_that_repaint_are_not_published() {
    let world = World::new();
    let (policy, data) = (world.text("policy.toml"), std::fs::read_to_string(world.path("data.csv")).unwrap());
    let bad = ["x\u{1b}[31mred\u{7}", "two\nlines", "back\rward", "c1\u{9b}31m", "bidi\u{202e}txt", "sep\u{2028}x"];
    for bad in bad {
        let file = world.text("data.csv");
        let publish = |file: &str, name: &str| {
            let said = world.fails("owner", &["publish", file, "--unit", "person", "--policy", &policy, "--name", name]);
            assert!(said.contains("control characters") && !said.chars().any(|c| repaints(c) && c != '\n'), "{bad:?}: {said:?}");
        };
        publish(&file, bad);
        // A file's name is told to everybody too.
        let named = world.path(&format!("{bad}.csv"));
        std::fs::write(&named, &data).unwrap();
        publish(&named.display().to_string(), "other");
        // And a column's that the policy lets jobs see.
        let header = data.replace("person,spend,city", &format!("person,spend,\"{bad}\""));
        std::fs::write(world.path("column.csv"), header).unwrap();
        let quoted: String = bad.chars().map(|c| format!("\\u{:04X}", u32::from(c))).collect();
        let with = std::fs::read_to_string(&policy).unwrap().replace("city = {}", &format!("\"{quoted}\" = {{}}"));
        std::fs::write(world.path("column.toml"), with).unwrap();
        let (file, policy) = (world.text("column.csv"), world.text("column.toml"));
        let said = world.fails("owner", &["publish", &file, "--unit", "person", "--policy", &policy, "--name", "third"]);
        assert!(said.contains("control characters") && !said.chars().any(|c| repaints(c) && c != '\n'), "{bad:?}: {said:?}");
    }
    assert_eq!(world.ok("owner", &["budget", "--json"]).lines().count(), 1, "nothing but what was there was published");
}

/// Nor does the log, whatever texts are in it: a file's name, of what waits for the owner and is no job.
#[test]
fn no_event_of_the_log_is_shown_as_it_is() {
    let world = World::new();
    let waiting = world.path("owner/review/pending");
    std::fs::create_dir_all(&waiting).unwrap();
    std::fs::write(waiting.join(format!("{}.json", NASTY.replace('/', ""))), "no job").unwrap();
    let output = world.command("owner").env("TIDEGATE_LOG", "warn").arg("pending").output().unwrap();
    let logged = String::from_utf8(output.stderr).unwrap();
    assert!(logged.contains("FORGED"), "the name was to be logged: {logged:?}");
    assert!(!logged.chars().any(|c| repaints(c) && c != '\n'), "{logged:?}");
    assert!(!logged.lines().any(|line| line.starts_with("FORGED")), "{logged:?}");
}
