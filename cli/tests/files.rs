//! Files as people have them, from publication to answers and copies.

use serde_json::Value;

use crate::common::World;

fn published(said: &str) -> Value {
    serde_json::from_str(said).unwrap()
}

/// What is said of how files were read.
fn notes(said: &str) -> String {
    published(said)["read"].as_array().unwrap().iter().map(|note| format!("{}\n", note.as_str().unwrap())).collect()
}

fn lines(from: u32, to: u32) -> String {
    (from..to).map(|person| format!("{person},{},north\n", person % 7)).collect()
}

const HEAD: &str = "person,spend,city\n";

/// Sum and number of people of a dataset, through a job.
fn asked(world: &World, address: &str, name: &str, query: &str) -> f64 {
    let buyer = world.ok("buyer", &["id"]);
    let grant = world.text(&format!("grant-{name}"));
    if !world.path(&format!("grant-{name}")).exists() {
        world.ok("owner", &["grant", name, "--to", buyer.trim(), "--rho", "1", "--out", &grant]);
    }
    let job = world.path("job.toml");
    std::fs::write(&job, format!("dataset = \"{name}\"\nrho = 0.9\n[sql]\nquery = \"{query}\"\n")).unwrap();
    let said = world.ok("buyer", &world.run_args(&job.display().to_string(), address, &grant));
    published(&said)["result"]["rows"][0]["cells"][0]["value"].as_f64().unwrap()
}

#[test]
fn people_of_any_type_and_columns_of_folders_are_counted() {
    let world = World::new();
    let fixture = |path: &str| tidegate_fixtures::path(&format!("files/{path}")).display().to_string();
    let policy = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    let (head, _) = policy.split_once("[columns]").unwrap();
    let write = |name: &str, columns: &str| {
        std::fs::write(world.path(name), format!("{head}[columns]\n{columns}")).unwrap();
        world.text(name)
    };
    let (numbers, folders) = (write("x.toml", "x = { lo = 0, hi = 100 }\n"), write("year.toml", "year = {}\n"));
    let given = [
        ("ids/uuid.parquet", &numbers),
        ("ids/number.parquet", &numbers),
        ("ids/category.parquet", &numbers),
        ("ids/float.parquet", &numbers),
        ("names/hive", &folders),
    ];
    for (i, (path, policy)) in given.iter().enumerate() {
        let name = format!("d{i}");
        world.ok("owner", &["publish", &fixture(path), "--name", &name, "--unit", "person", "--policy", policy, "--json"]);
        let buyer = world.ok("buyer", &["id"]);
        world.ok("owner", &["grant", &name, "--to", buyer.trim(), "--rho", "1", "--out", &world.text(&format!("grant-{name}"))]);
    }
    let node = world.serve(None);
    for (i, (path, _)) in given.iter().enumerate() {
        let query = if *path == "names/hive" {
            "SELECT COUNT(DISTINCT person) FROM dataset WHERE year = 2021"
        } else {
            "SELECT COUNT(DISTINCT person) FROM dataset"
        };
        // Δ = 1, σ = 1/√1.8 ≈ 0.75
        let people = asked(&world, &node.address, &format!("d{i}"), query);
        assert!((people - 50.0).abs() <= 8.0, "{path}: {people}");
    }
}

/// Files of one name in two folders stay two, and a folder that says a column's value keeps its name.
#[test]
fn files_of_one_name_are_fetched_as_many() {
    let world = World::new();
    for (folder, from) in [("2021", 100), ("2022", 200), ("h/city=a", 300), ("h/city=b", 400)] {
        std::fs::create_dir_all(world.path(folder)).unwrap();
        std::fs::write(world.path(folder).join("part-0.csv"), format!("person,spend,city\n{}", lines(from, from + 50))).unwrap();
    }
    let policy = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    let policy = policy.replace("replicate = \"nobody\"", "replicate = \"granted\"");
    std::fs::write(world.path("policy.toml"), policy).unwrap();
    let buyer = world.ok("buyer", &["id"]);
    let (one, other, policy) = (world.text("2021/part-0.csv"), world.text("2022/part-0.csv"), world.text("policy.toml"));
    world.ok("owner", &["publish", &one, &other, "--unit", "person", "--policy", &policy, "--name", "years"]);
    let twice = world.fails("owner", &["publish", &one, &one, "--unit", "person", "--policy", &policy, "--name", "twice"]);
    assert!(twice.contains("listed twice"), "{twice}");
    world.publish("h", &["--name", "cities"]);
    for name in ["years", "cities"] {
        let grant = world.text(name);
        world.ok("owner", &["grant", name, "--to", buyer.trim(), "--rho", "1", "--action", "replicate", "--out", &grant]);
    }
    let node = world.serve(None);
    for (name, files) in
        [("years", ["2021_part-0.csv", "2022_part-0.csv"]), ("cities", ["city=a/part-0.csv", "city=b/part-0.csv"])]
    {
        let got = world.path(&format!("got-{name}"));
        world.ok("buyer", &["fetch", name, "--to", &node.address, "--grant", &world.text(name), "--out", got.to_str().unwrap()]);
        let rows: usize = files.iter().map(|file| std::fs::read_to_string(got.join(file)).unwrap().lines().count() - 1).sum();
        assert_eq!(rows, 100, "{name}");
    }
}

#[test]
fn mock_rows_are_of_the_data_s_types_or_refused() {
    let world = World::new();
    std::fs::write(world.path("a.csv"), format!("{HEAD}99,2.5,north\n100,1.5,north\n{}", lines(101, 150))).unwrap();
    std::fs::write(world.path("whole.csv"), format!("{HEAD}{}", lines(1, 20))).unwrap();
    std::fs::write(world.path("other.csv"), format!("{HEAD}1,1,5\n2,2,6\n")).unwrap();
    let (file, other, policy) = (world.text("a.csv"), world.text("other.csv"), world.text("policy.toml"));
    let args = ["publish", &file, "--unit", "person", "--policy", &policy, "--name", "mocked", "--mock", &other];
    let said = world.fails("owner", &args);
    assert!(said.contains("`city`") && said.contains("BIGINT") && said.contains("TEXT") && said.contains("--mock"), "{said}");
    // Whole numbers are floats too.
    let mock = world.text("whole.csv");
    let args = ["publish", &file, "--unit", "person", "--policy", &policy, "--name", "mocked", "--mock", &mock];
    world.ok("owner", &args);
}

#[test]
fn words_of_other_catalogues_are_made_to_fit() {
    let world = World::new();
    std::fs::write(world.path("a.csv"), format!("{HEAD}{}", lines(100, 150))).unwrap();
    let keywords: Vec<String> = (0..18).map(|i| format!("k{i}")).collect();
    let words = "long words ".repeat(1000);
    let croissant = serde_json::json!({ "name": "x", "description": format!("Two lines\nof 👩\u{200d}🚀 words.\n{words}"), "keywords": keywords });
    std::fs::write(world.path("c.json"), croissant.to_string()).unwrap();
    let (file, about, policy) = (world.text("a.csv"), world.text("c.json"), world.text("policy.toml"));
    let args = ["publish", &file, "--unit", "person", "--policy", &policy, "--name", "told", "--croissant", &about];
    let said = world.command("owner").args(args).output().unwrap();
    assert!(said.status.success(), "{}", crate::common::text(&said));
    let said = crate::common::text(&said);
    assert!(said.contains("description has") && said.contains("18 keywords, of which"), "{said}");
    let text = format!("{:?}", world.ok("owner", &["catalog", "history", "told", "--json"]));
    assert!(!text.contains("\u{200d}"));
    // With a mark before it, as some editors save it; and one that says nothing of what a listing takes.
    std::fs::write(world.path("bare.json"), "\u{feff}{\"@type\": \"sc:Dataset\", \"recordSet\": []}").unwrap();
    let bare = world.text("bare.json");
    let args = [
        "publish",
        &file,
        "--unit",
        "person",
        "--policy",
        &policy,
        "--name",
        "bare",
        "--croissant",
        &bare,
        "--version-of",
        "told",
    ];
    let said = crate::common::text(&world.command("owner").args(args).output().unwrap());
    assert!(said.contains("has no description") && said.contains("published bare"), "{said}");
    // A name is not made to fit: it is refused, and shown as what does nothing.
    let args = ["publish", &file, "--unit", "person", "--policy", &policy, "--name", "x\u{1b}[31mred\u{7}"];
    let said = world.fails("owner", &args);
    assert!(said.contains("--name") && !said.contains('\u{1b}') && !said.contains('\u{7}'), "{said:?}");
}

#[test]
fn a_copy_is_told_of_and_can_be_erased() {
    let world = World::new();
    std::fs::write(world.path("a.csv"), format!("{HEAD}{}", lines(100, 150))).unwrap();
    let said = published(&world.publish("a.csv", &["--name", "gone"]));
    let copy = said["copy"]["path"].as_str().unwrap().to_owned();
    assert_eq!(said["copy"]["bytes"].as_u64().unwrap(), std::fs::metadata(&copy).unwrap().len());
    let kept = world.ok("owner", &["retire", "gone", "--all"]);
    assert!(kept.contains(&copy) && std::path::Path::new(&copy).exists(), "{kept}");
    world.ok("owner", &["retire", "gone", "--all", "--erase"]);
    assert!(!std::path::Path::new(&copy).exists() && world.path("a.csv").exists());
    // What another version reads is not erased with the first.
    let first = published(&world.publish("data.csv", &["--name", "towns", "--version-of", &id(&world)]));
    let (first, copy) = (first["dataset"].as_str().unwrap().to_owned(), first["copy"]["path"].as_str().unwrap().to_owned());
    world.ok("owner", &["retire", &first, "--erase"]);
    assert!(std::path::Path::new(&copy).exists(), "the version before has the same rows");
}

fn id(world: &World) -> String {
    let lines = world.ok("owner", &["catalog", "history", "towns", "--json"]);
    serde_json::from_str::<Value>(lines.lines().next().unwrap()).unwrap()["id"].as_str().unwrap().to_owned()
}

#[test]
fn the_same_people_in_another_format_are_noticed() {
    let world = World::new();
    let json: String = (0..60).map(|p| format!("{{\"person\":\"{p}\",\"spend\":{p},\"city\":\"x\"}}\n")).collect();
    std::fs::write(world.path("same.jsonl"), json).unwrap();
    std::fs::write(world.path("others.csv"), format!("{HEAD}{}", lines(1000, 1060))).unwrap();
    let said = notes(&world.publish("same.jsonl", &["--name", "same"]));
    assert!(said.contains("100 %") && said.contains("towns"), "{said}");
    let said = notes(&world.publish("others.csv", &["--name", "others"]));
    assert!(!said.contains('%'), "{said}");
}

/// More files than a manifest names are one file, which can be copied, and is held to be the same.
#[test]
fn thousands_of_files_are_published_as_one() {
    let world = World::new();
    std::fs::create_dir(world.path("many")).unwrap();
    for i in 0..1000 {
        std::fs::write(world.path("many").join(format!("{i}.csv")), format!("{HEAD}{},1,north\n", 100 + i % 90)).unwrap();
    }
    let policy = std::fs::read_to_string(world.path("policy.toml")).unwrap();
    std::fs::write(world.path("policy.toml"), policy.replace("replicate = \"nobody\"", "replicate = \"granted\"")).unwrap();
    let said = world.publish("many", &["--name", "many"]);
    assert!(notes(&said).contains("1000 files"), "{said}");
    let again = ["publish", &world.text("many"), "--unit", "person", "--policy", &world.text("policy.toml"), "--name", "again"];
    let said = world.fails("owner", &again);
    assert!(said.contains("--version-of"), "{said}");
    let (buyer, grant) = (world.ok("buyer", &["id"]), world.text("copied"));
    let args = ["grant", "many", "--to", buyer.trim(), "--rho", "1", "--action", "replicate", "--out", &grant];
    world.ok("owner", &args);
    world.ok("owner", &["grant", "many", "--to", buyer.trim(), "--rho", "1", "--out", &world.text("grant-many")]);
    let node = world.serve(None);
    let people = asked(&world, &node.address, "many", "SELECT COUNT(DISTINCT person) FROM dataset");
    assert!((people - 90.0).abs() <= 8.0, "{people}");
    let got = world.text("got");
    world.ok("buyer", &["fetch", "many", "--to", &node.address, "--grant", &grant, "--out", &got]);
    assert!(world.path("got/rows.parquet").exists());
}
