//! Encrypted copies in others' hands: they are served to who may have them, read by nobody else, and not served where a revocation may have been missed.

use std::path::PathBuf;

use tidegate_exchange::NetError;
use tidegate_protocol::{
    Sealed, Signed,
    frame::{Reply, Request},
};

use crate::{
    common::{self, World, until},
    copies::slowly,
};

/// Something that is in the rows, and nowhere else.
const SECRET: &str = "a-city-that-nobody-may-see";

struct Held {
    world: World,
    /// Keys of the parties.
    keys: std::collections::BTreeMap<&'static str, String>,
    /// What is in each row.
    secret: String,
}

impl Held {
    /// An owner of `held`, sealed; two mirrors and a buyer with grants.
    fn new() -> Self {
        Self::of(SECRET.to_owned())
    }

    fn of(secret: String) -> Self {
        let world = World::new();
        let mut keys = std::collections::BTreeMap::new();
        for who in ["owner", "buyer", "colleague", "north", "south"] {
            keys.insert(who, world.ok(who, &["init"]).trim().to_owned());
        }
        let policy = common::POLICY
            .replace("BUYER", &keys["buyer"])
            .replace("max_units = 100", "max_units = 50000")
            .replace("replicate = \"nobody\"", "replicate = \"granted\"\nmirror = \"granted\"");
        std::fs::write(world.path("held.toml"), policy).unwrap();
        let held = Self { world, keys, secret };
        held.write("one.csv", 0..40_000);
        held.write("two.csv", 40_000..40_020);
        held.publish(&[]);
        for who in ["north", "south"] {
            held.grant(who, "mirror");
        }
        held.grant("buyer", "replicate");
        held
    }

    fn write(&self, name: &str, people: std::ops::Range<u32>) {
        std::fs::create_dir_all(self.world.path("files")).unwrap();
        let rows: String = people.map(|person| format!("{person},{},{}\n", person % 50, self.secret)).collect();
        std::fs::write(self.world.path("files").join(name), format!("person,spend,city\n{rows}")).unwrap();
    }

    /// Publishes what is there, and encrypts it. The version's id.
    fn publish(&self, more: &[&str]) -> String {
        let (files, policy) = (self.world.text("files"), self.world.text("held.toml"));
        let mut args = vec!["publish", &files, "--name", "held", "--unit", "person", "--policy", &policy, "--json"];
        args.extend(more);
        let published: serde_json::Value = serde_json::from_str(&self.world.ok("owner", &args)).unwrap();
        published["dataset"].as_str().unwrap().to_owned()
    }

    fn seal(&self, more: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.world.ok("owner", &[&["seal", "held", "--json"], more].concat())).unwrap()
    }

    fn grant(&self, who: &str, action: &str) {
        self.grant_for("90d", who, action);
    }

    fn grant_for(&self, time: &str, who: &str, action: &str) {
        let out = self.world.text(&format!("{who}.grant"));
        self.world.ok("owner", &["grant", "held", "--to", &self.keys[who], "--action", action, "--expires", time, "--out", &out]);
    }

    fn keep(&self, who: &str, owner: &str) -> String {
        self.world.ok(who, &["mirror", "keep", "--to", owner, "--grant", &self.world.text(&format!("{who}.grant"))])
    }

    /// Lets `who` fetch from these; what it said, where that failed.
    fn fetch(&self, who: &str, grant: &str, from: &[&str]) -> Result<Vec<PathBuf>, String> {
        let out = self.world.path(&format!("of {who}"));
        let _ = std::fs::remove_dir_all(&out);
        let (text, grant) = (out.display().to_string(), self.world.text(grant));
        let mut args = vec!["fetch", "held", "--grant", &grant, "--out", &text];
        args.extend(from.iter().flat_map(|from| ["--from", from]));
        let done = self.world.try_run(who, &args);
        let mut found: Vec<_> = std::fs::read_dir(&out).into_iter().flatten().map(|e| e.unwrap().path()).collect();
        found.sort();
        // Nothing half-written is there, whatever happened.
        for path in &found {
            let was = self.world.path("files").join(path.file_name().unwrap());
            assert!(std::fs::read(path).unwrap() == std::fs::read(was).unwrap(), "{path:?}");
        }
        if done.status.success() { Ok(found) } else { Err(common::text(&done)) }
    }

    /// What a mirror holds, in its folder.
    fn files(&self, who: &str) -> Vec<PathBuf> {
        let mut folders = vec![self.world.path(who)];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }
}

#[test]
fn who_may_copy_has_it_from_mirrors_that_cannot_read_it_and_nobody_else_has() {
    let held = Held::new();
    let world = &held.world;
    held.seal(&[]);
    let owner = world.serve(None);
    for who in ["north", "south"] {
        held.keep(who, &owner.address);
        for file in held.files(who) {
            let bytes = std::fs::read(&file).unwrap();
            for word in [SECRET.as_bytes(), b"person", b"one.csv"] {
                assert!(!bytes.windows(word.len()).any(|w| w == word), "{} has {word:?}", file.display());
            }
        }
    }
    let (north, south) = (world.mirror("north", &[]), world.mirror("south", &[]));
    drop(owner);
    let both = [north.address.as_str(), south.address.as_str()];
    // Whoever heard the owner's listing knows where they are, and is sent there when the owner is gone.
    let owner = world.serve_as(&["--mirror", both[0], "--mirror", both[1]]);
    world.ok("buyer", &["catalog", "sync", "--from", &owner.address]);
    drop(owner);
    assert_eq!(held.fetch("buyer", "buyer.grant", &[]).unwrap().len(), 2);
    assert!(world.ok("buyer", &["catalog", "show", "held"]).contains(both[1]));
    assert_eq!(held.fetch("buyer", "buyer.grant", &both).unwrap().len(), 2);
    assert_eq!(held.fetch("buyer", "buyer.grant", &both[..1]).unwrap().len(), 2);
    // A colleague, for whom the holder narrowed it.
    let (grant, given) = (world.text("buyer.grant"), world.text("given"));
    world.ok("buyer", &["grant", "narrow", &grant, "--to", &held.keys["colleague"], "--action", "replicate", "--out", &given]);
    assert_eq!(held.fetch("colleague", "given", &both).unwrap().len(), 2);
    let listing = world.text("only listing");
    world.ok("buyer", &["grant", "narrow", &grant, "--to", &held.keys["colleague"], "--action", "list", "--out", &listing]);
    let shown = world.ok("colleague", &["grant", "show", &listing, "--json"]);
    let keys = |shown: &str| serde_json::from_str::<serde_json::Value>(shown).unwrap()["files_key"].clone();
    assert_eq!(
        keys(&shown),
        keys(&world.ok("buyer", &["grant", "show", &grant, "--json"])),
        "the keys went on to who may not copy"
    );
    // Nobody else.
    for (who, grant, why) in [
        ("north", "north.grant", "lacks the keys"),
        ("colleague", "buyer.grant", "the keys of the encrypted files"),
        ("colleague", "grant", "lacks the keys"),
        ("buyer", "given", "the keys of the encrypted files"),
    ] {
        let said = held.fetch(who, grant, &both).unwrap_err();
        assert!(said.contains(why), "{who} with {grant}: {said}");
    }
    // One that has it wrong does not matter, where another has it right.
    let file = held.files("north").into_iter().filter(|f| f.extension().is_some_and(|e| e == "age"));
    let largest = file.max_by_key(|f| f.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&largest, &bytes).unwrap();
    let said = held.fetch("buyer", "buyer.grant", &both[..1]).unwrap_err();
    assert!(said.contains("error"), "{said}");
    assert_eq!(held.fetch("buyer", "buyer.grant", &both).unwrap().len(), 2);
    bytes.truncate(middle);
    std::fs::write(&largest, &bytes).unwrap();
    held.fetch("buyer", "buyer.grant", &both[..1]).unwrap_err();
    assert_eq!(held.fetch("buyer", "buyer.grant", &both).unwrap().len(), 2);
    for who in ["owner", "north", "south", "buyer", "colleague"] {
        common::is_shut(&world.path(who));
    }
}

#[test]
fn what_is_revoked_or_may_have_been_is_not_served() {
    let held = Held::new();
    let world = &held.world;
    held.seal(&[]);
    let owner = world.serve_as(&["--revocations-last", "20s"]);
    let of_owner = owner.address.clone();
    held.keep("north", &of_owner);
    let north = world.mirror("north", &["--with", &of_owner]);
    let from = [north.address.as_str()];
    held.fetch("buyer", "buyer.grant", &from).unwrap();
    held.fetch("buyer", "buyer.grant", &[&of_owner]).unwrap();
    let list = |to: &str| {
        let args = ["revocations", "--to", to, "--owner", &held.keys["owner"], "--against", &of_owner, "--json"];
        serde_json::from_str::<serde_json::Value>(&world.ok("buyer", &args)).unwrap()
    };
    assert_eq!((list(from[0])["list"]["number"].as_u64(), list(&of_owner)["fits"].as_bool()), (Some(0), Some(true)));
    world.ok("owner", &["revoke", &world.text("buyer.grant")]);
    until("the revocation", || {
        held.fetch("buyer", "buyer.grant", &from).is_err_and(|said| said.contains("has revoked this grant"))
    });
    let heard = list(from[0]);
    assert_eq!((heard["list"]["number"].as_u64(), heard["fits"].as_bool()), (Some(1), Some(true)), "{heard}");
    // Another that holds; then nobody hears of the owner any more.
    held.grant("colleague", "replicate");
    held.fetch("colleague", "colleague.grant", &from).unwrap();
    // A mirror that may hold it no more serves nobody.
    held.grant("south", "mirror");
    held.keep("south", &of_owner);
    let south = world.mirror("south", &["--with", &of_owner]);
    held.fetch("colleague", "colleague.grant", &[&south.address]).unwrap();
    world.ok("owner", &["revoke", &world.text("south.grant")]);
    until("the mirror's revocation", || {
        held.fetch("colleague", "colleague.grant", &[&south.address])
            .is_err_and(|said| said.contains("no dataset of this lineage"))
    });
    let report = world.audit(&of_owner);
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{report}");
    assert!(report["copies"].as_u64() >= Some(2), "{report}");
    drop(owner);
    until("the end of the list", || {
        held.fetch("colleague", "colleague.grant", &from)
            .is_err_and(|said| said.contains("the owner's revocation list here is stale"))
    });
}

/// What a mirror is sending is cut when the grant ends of whoever it is sent to, and when the mirror's own does.
#[test]
fn what_a_mirror_sends_ends_with_either_grant() {
    let held = Held::of(SECRET.repeat(8));
    let world = &held.world;
    held.seal(&[]);
    let owner = world.serve(None);
    held.keep("south", &owner.address);
    // Long enough to have it.
    held.grant_for("20s", "north", "mirror");
    held.grant_for("20s", "colleague", "replicate");
    held.keep("north", &owner.address);
    let [north, south] = ["north", "south"].map(|who| world.mirror(who, &[]));
    let slow = |who: &str, from: &str| {
        let place: serde_json::Value =
            serde_json::from_str(&world.ok(who, &["grant", "show", &world.text(&format!("{who}.grant")), "--json"])).unwrap();
        let population = place["population"].as_str().unwrap().parse().unwrap();
        let grant = std::fs::read_to_string(world.text(&format!("{who}.grant"))).unwrap();
        let permission = Request::Sealed { population, grant, known: None };
        slowly(world, who, from, &permission, |reply| {
            let Reply::Sealed(envelope) = reply else { panic!("{reply:?}") };
            let sealed = Signed::<Sealed>::open(*envelope).unwrap();
            sealed.body().files.iter().max_by_key(|file| file.bytes).unwrap().hash
        })
    };
    std::thread::scope(|scope| {
        let (own, others) = (scope.spawn(|| slow("buyer", &north.address)), scope.spawn(|| slow("colleague", &south.address)));
        for cut in [own.join().unwrap(), others.join().unwrap()] {
            assert!(matches!(cut, Err(NetError::Peer(_))), "{cut:?}");
        }
    });
    let said = held.fetch("buyer", "buyer.grant", &[&north.address]).unwrap_err();
    assert!(said.contains("no dataset of this lineage"), "{said}");
    let said = held.fetch("colleague", "colleague.grant", &[&south.address]).unwrap_err();
    assert!(said.contains("the grant expired at"), "{said}");
    held.fetch("buyer", "buyer.grant", &[&south.address]).unwrap();
    assert_eq!(world.audit(&owner.address)["findings"].as_array().map(Vec::len), Some(0));
}

#[test]
fn versions_share_what_did_not_change_and_a_new_key_shuts_out_who_had_the_old_one() {
    let held = Held::new();
    let world = &held.world;
    let first = held.seal(&[]);
    assert_eq!(held.seal(&[])["files"], first["files"], "encrypted again");
    let owner = world.serve(None);
    held.keep("north", &owner.address);
    drop(owner);
    held.write("two.csv", 40_000..40_030);
    held.publish(&["--version-of", first["dataset"].as_str().unwrap()]);
    let second = held.seal(&[]);
    assert_eq!(second["files"][0], first["files"][0], "what did not change");
    assert_ne!(second["files"][1], first["files"][1]);
    let owner = world.serve(None);
    // It is somewhere else now.
    held.keep("north", &owner.address);
    let north = world.mirror("north", &[]);
    let from = [north.address.as_str()];
    assert!(world.ok("north", &["mirror", "list", "--json"]).contains(second["sealed"].as_str().unwrap()));
    assert_eq!(held.fetch("buyer", "buyer.grant", &from).unwrap().len(), 2);
    drop((owner, north));
    let third = held.seal(&["--new-key"]);
    assert_ne!(third["files"][0], first["files"][0]);
    let owner = world.serve(None);
    let said = held.fetch("buyer", "buyer.grant", &[&owner.address]).unwrap_err();
    assert!(said.contains("ask for a new grant"), "{said}");
    held.grant("buyer", "replicate");
    held.fetch("buyer", "buyer.grant", &[&owner.address]).unwrap();
    // Nothing is sealed that nobody may mirror.
    let said = world.fails("owner", &["seal", "towns"]);
    assert!(said.contains("access.mirror"), "{said}");
}

/// A version that takes the place of one, or its retirement, reaches mirrors: they serve nothing of it any more, to those who had keys for it either.
#[test]
fn what_was_superseded_or_retired_is_served_by_no_mirror() {
    let held = Held::new();
    let world = &held.world;
    let first = held.seal(&[])["dataset"].as_str().unwrap().to_owned();
    let owner = world.serve(None);
    held.keep("north", &owner.address);
    let north = world.mirror("north", &[]);
    held.fetch("buyer", "buyer.grant", &[&north.address]).unwrap();
    let socket = owner.address.rsplit_once('@').unwrap().1.to_owned();
    drop(owner);
    // The same files, which nobody may mirror now; the owner's own node serves the encrypted ones to nobody either.
    let policy = std::fs::read_to_string(world.path("held.toml")).unwrap();
    std::fs::write(world.path("held.toml"), policy.replace("mirror = \"granted\"", "mirror = \"nobody\"")).unwrap();
    let second = held.publish(&["--version-of", &first]);
    let owner = world.serve_as(&["--listen", &socket]);
    let said = held.fetch("buyer", "buyer.grant", &[&owner.address]).unwrap_err();
    assert!(said.contains("is newer"), "{said}");
    drop(north);
    let north = world.mirror("north", &[]);
    let gone =
        |node: &str| held.fetch("buyer", "buyer.grant", &[node]).is_err_and(|said| said.contains("no dataset of this lineage"));
    until("the mirror's end", || gone(&north.address));
    drop((north, owner));
    // And again, by its retirement, of which the mirror hears with the revoked grants.
    std::fs::write(world.path("held.toml"), &policy).unwrap();
    let third = held.publish(&["--version-of", &second]);
    held.seal(&[]);
    let owner = world.serve_as(&["--listen", &socket]);
    held.keep("north", &owner.address);
    let north = world.mirror("north", &[]);
    held.fetch("buyer", "buyer.grant", &[&north.address]).unwrap();
    world.ok("owner", &["retire", &third]);
    until("the mirror's end", || gone(&north.address));
    let said =
        world.ok("buyer", &["revocations", "--to", &north.address, "--against", &owner.address, "--owner", &held.keys["owner"]]);
    assert!(!said.contains("the list lacks"), "{said}");
    assert_eq!(world.audit(&owner.address)["findings"].as_array().map(Vec::len), Some(0));
}
