//! JSON that commands print fits `docs/reference/json.schema.json`, which knows no other fields. All tests' commands are checked: see
//! [`fits_schema`], which `World` calls.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use serde_json::Value;

use crate::{
    common::{POLICY, World},
    pipes::commands,
};

/// A price, in JSON.
const COST: &str = "{\"rho_micro\":1,\"delta_femto\":0}";

/// Commands that print JSON without being asked to.
const ALWAYS: [&str; 2] = ["receipts-parties", "receipts-show"];

fn documents() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs")
}

fn read(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(documents().join(path)).unwrap()).unwrap()
}

fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| read("reference/json.schema.json"))
}

/// The schema's names of commands: the words of each, with a dash between them. Parts of others begin with a capital.
fn names() -> BTreeSet<String> {
    let names = schema()["$defs"].as_object().unwrap().keys();
    names.filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase())).cloned().collect()
}

/// Schemas that were asked for: to compile one takes longer than most commands.
struct Checker {
    schemas: boon::Schemas,
    compiler: boon::Compiler,
    compiled: BTreeMap<String, boon::SchemaIndex>,
}

/// Address of the schema.
const OWN: &str = "https://tidegate.dev/json.schema.json";

thread_local! {
    static CHECKER: RefCell<Checker> = {
        let mut compiler = boon::Compiler::new();
        compiler.add_resource("https://tidegate.dev/receipts.schema.json", read("receipts.schema.json")).unwrap();
        compiler.add_resource(OWN, schema().clone()).unwrap();
        RefCell::new(Checker { schemas: boon::Schemas::new(), compiler, compiled: BTreeMap::new() })
    };
}

impl Checker {
    fn check(&mut self, name: &str, texts: &[&str]) -> Result<(), String> {
        let compiled = match self.compiled.get(name) {
            Some(compiled) => *compiled,
            None => {
                let compiled = self.compiler.compile(&format!("{OWN}#/$defs/{name}"), &mut self.schemas);
                let compiled = compiled.map_err(|e| e.to_string())?;
                self.compiled.insert(name.to_owned(), compiled);
                compiled
            }
        };
        for text in texts {
            let value: Value = serde_json::from_str(text).map_err(|e| format!("{name}: {e}: {text}"))?;
            self.schemas.validate(&value, compiled).map_err(|e| format!("{name}: {e:#}: {text}"))?;
        }
        Ok(())
    }
}

/// Checks texts of JSON against a command's schema.
fn check(name: &str, texts: &[&str]) -> Result<(), String> {
    CHECKER.with_borrow_mut(|checker| checker.check(name, texts))
}

/// Checks each line that a command printed for `--json`; other commands are not looked at.
pub(crate) fn fits_schema(args: &[&str], printed: &[u8]) {
    if !args.contains(&"--json") {
        return;
    }
    let known = |words: &[&str]| Some(words.join("-")).filter(|name| names().contains(name));
    let name = args.get(..2).and_then(known).or_else(|| args.get(..1).and_then(known));
    let name = name.unwrap_or_else(|| panic!("{args:?} has no schema"));
    let printed = std::str::from_utf8(printed).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    if !lines.is_empty() {
        check(&name, &lines).unwrap();
    }
}

/// Every command with `--json` has a schema, and each schema is a command's.
#[test]
fn every_command_that_prints_json_has_a_schema() {
    let world = World::new();
    let mut said = BTreeSet::from(ALWAYS.map(str::to_owned));
    for command in commands(&world, &[]) {
        let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        if world.ok("buyer", &words).lines().any(|line| line.trim_start().starts_with("--json")) {
            said.insert(command.join("-"));
        }
    }
    assert_eq!(said, names());
}

/// What a schema does not name is refused, at the top and within.
#[test]
fn a_schema_takes_nothing_that_it_does_not_name() {
    let key = "did:key:z6MkwSLsxEv833k8W7Jfj5QxmwF7ofxgdNUGNngtQiN7F7vS";
    let id = |more: &str| format!("{{\"id\":\"{key}\"{more}}}");
    assert_eq!(check("id", &[&id("")]), Ok(()));
    assert!(
        check("id", &[&id(",\"more\":1")]).is_err() && check("id", &["{}"]).is_err() && check("id", &["{\"id\":1}"]).is_err()
    );
    let warned = |warning: &str| {
        format!("{{\"verdict\":\"valid\",\"warnings\":[{warning}],\"budget\":{COST},\"per_buyer\":{COST},\"buys\":[]}}")
    };
    assert_eq!(check("policy-check", &[&warned("{\"key\":\"a\",\"problem\":\"b\",\"fix\":\"c\"}")]), Ok(()));
    assert!(check("policy-check", &[&warned("{\"key\":\"a\",\"problem\":\"b\",\"fix\":\"c\",\"more\":1}")]).is_err());
}

/// The reference has an example of each command's JSON, which fits its schema.
#[test]
fn the_reference_has_an_example_of_each() {
    let text = std::fs::read_to_string(documents().join("reference/json.md")).unwrap();
    let mut examples: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for section in text.split("\n## `tidegate ").skip(1) {
        let (heading, rest) = section.split_once('`').unwrap();
        let words: Vec<&str> = heading.split(' ').filter(|word| *word != "--json").collect();
        let blocks = rest.split("```json\n").skip(1).map(|block| block.split("\n```").next().unwrap().to_owned());
        examples.insert(words.join("-"), blocks.collect());
    }
    assert_eq!(examples.keys().cloned().collect::<BTreeSet<_>>(), names());
    for (name, blocks) in &examples {
        assert!(!blocks.is_empty(), "{name} has no example");
        check(name, &blocks.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    }
}

/// Commands that say what they did. What other tests ask for is checked there.
#[test]
fn commands_say_what_they_did() {
    let world = World::new();
    let parsed =
        |who: &str, args: &[&str]| -> Value { serde_json::from_str(&world.ok(who, &[args, &["--json"]].concat())).unwrap() };
    let new = parsed("colleague", &["init"]);
    assert_eq!(new, parsed("colleague", &["id"]));
    let colleague = new["id"].as_str().unwrap();
    assert_eq!(world.ok("colleague", &["id"]).trim(), colleague);

    let buyer = world.ok("buyer", &["id"]).trim().to_owned();
    let made = parsed("owner", &["grant", "towns", "--to", &buyer]);
    let token = made["token"].as_str().unwrap();
    let file = world.text("kept.grant");
    std::fs::write(&file, token).unwrap();
    let out = world.text("narrowed.grant");
    let narrowed = parsed("buyer", &["grant", "narrow", &file, "--rho", "0.01", "--out", &out]);
    assert_eq!((&narrowed["token"], narrowed["out"].as_str().unwrap()), (&Value::Null, out.as_str()));
    let shown = parsed("buyer", &["grant", "show", &out]);
    assert_eq!(shown["blocks"].as_array().unwrap().len(), 2, "{shown}");
    assert_eq!(parsed("owner", &["revoke", &file])["id"], made["id"]);
    assert!(
        parsed_lines(&world.ok("owner", &["grants", "--json"]))
            .iter()
            .any(|one| one["id"] == made["id"] && one["revoked"] == true)
    );

    let key = parsed("owner", &["log", "key"]);
    assert_eq!(key["key"].as_str().unwrap(), world.ok("owner", &["log", "key"]).trim());
    let bundle = world.text("log.tar");
    assert_eq!(parsed("owner", &["log", "bundle", &bundle])["file"].as_str().unwrap(), bundle);
    assert!(world.path("log.tar").exists());

    // Numbers of a query are as they are, and NULLs are left out.
    let listed = parsed_lines(&world.ok(
        "owner",
        &["receipts", "sql", "SELECT 1.5 AS x, 701.0 AS y, CAST(NULL AS BIGINT) AS z FROM receipts LIMIT 1", "--json"],
    ));
    assert_eq!(listed, [serde_json::json!({ "x": 1.5, "y": 701.0 })]);
    let said = world.fails("owner", &["receipts", "sql", "--json", "--out", &world.text("x.csv")]);
    assert!(said.contains("cannot be used with"), "{said}");
    check("receipts-show", &[&world.ok("owner", &["receipts", "show", "0"])]).unwrap();
    parsed("owner", &["budget"]);
    parsed("owner", &["survey", "towns"]);
    parsed("owner", &["log", "fsck"]);
}

fn parsed_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A mirror, a replica and a catalogue say what they did.
#[test]
fn nodes_that_hold_for_others_say_what_they_did() {
    let world = World::new();
    let open = POLICY.replace("replicate = \"nobody\"", "replicate = \"granted\"\nmirror = \"granted\"\nhold = \"granted\"");
    std::fs::write(world.path("policy.toml"), open.replace("\"BUYER\"", "")).unwrap();
    std::fs::write(world.path("more.csv"), std::fs::read_to_string(world.path("data.csv")).unwrap() + "70,3,north\n").unwrap();
    world.publish("more.csv", &["--name", "open"]);
    world.ok("owner", &["seal", "open", "--json"]);
    let holder = world.ok("north", &["init"]).trim().to_owned();
    let grant = world.text("open.grant");
    world.ok("owner", &["grant", "open", "--to", &holder, "--action", "mirror,hold,replicate", "--rho", "1", "--out", &grant]);
    let node = world.serve(None);
    let at = node.address.as_str();
    let parsed = |args: &[&str]| -> Value { serde_json::from_str(&world.ok("north", &[args, &["--json"]].concat())).unwrap() };
    let kept = parsed(&["mirror", "keep", "--to", at, "--grant", &grant]);
    let listed = parsed(&["mirror", "list"]);
    assert_eq!(kept["population"], listed["population"]);
    let population = kept["population"].as_str().unwrap();
    assert_eq!(parsed(&["mirror", "drop", population])["population"], kept["population"]);
    let begun = parsed(&["hold", "begin", "open", "--to", at, "--grant", &grant]);
    assert_eq!((&begun["population"], begun["name"].as_str()), (&kept["population"], Some("open")));
    parsed(&["hold", "list"]);
    assert_eq!(parsed(&["hold", "drop", population])["population"], kept["population"]);
    parsed(&["catalog", "sync", "--from", at]);
    let found = parsed(&["catalog", "show", "open"]);
    let file = world.text("listing.json");
    world.ok("north", &["catalog", "export", "open", "--out", &file]);
    let taken = parsed(&["catalog", "import", &file]);
    assert_eq!((&taken["id"], &taken["new"]), (&found["id"], &Value::Bool(false)));
    let columns = world.ok("north", &["catalog", "sql", "SELECT DISTINCT name FROM listings WHERE name = 'open'", "--json"]);
    assert_eq!(parsed_lines(&columns), [serde_json::json!({ "name": "open" })]);
}
