//! `tidegate new job`: something to begin with in each language.

use crate::common::World;

#[test]
fn a_job_is_begun_in_each_language() {
    let world = World::new();
    for (language, source) in [("rust", "src/lib.rs"), ("c", "job.c"), ("python", "app.py"), ("js", "app.js")] {
        let folder = world.text(language);
        let said = world.ok("buyer", &["new", "job", &folder, "--lang", language]);
        assert!(said.contains("To build it") && said.contains(&folder), "{said}");
        let read = |file: &str| std::fs::read_to_string(world.path(language).join(file)).unwrap();
        assert!(read(source).contains("contribute"), "{language}");
        assert_eq!(read("wit/job.wit"), tidegate_guest::WIT);
        let readme = read("README.md");
        assert!(said.lines().filter(|line| line.starts_with("  ")).skip(1).all(|line| readme.contains(line.trim())), "{readme}");
        // The job file is one, once it names a dataset and a program is there: here one that was built elsewhere.
        let job = read("job.toml");
        let module = job.lines().find_map(|line| line.strip_prefix("module = ")).unwrap().trim_matches('"').to_owned();
        let module = world.path(language).join(module);
        std::fs::create_dir_all(module.parent().unwrap()).unwrap();
        std::fs::write(module, tidegate_fixtures::guest("heavy").unwrap()).unwrap();
        let job = job.replace("DATASET", "towns").replace("SELECT a, b", "SELECT spend, city");
        std::fs::write(world.path(language).join("job.toml"), job).unwrap();
        let said = world.ok("owner", &["check", &world.path(language).join("job.toml").display().to_string()]);
        assert!(said.starts_with("accept"), "{said}");
        assert!(world.fails("buyer", &["new", "job", &folder, "--lang", language]).contains("give the name of a new"));
    }
    assert!(world.fails("buyer", &["new", "job", &world.text("x"), "--lang", "cobol"]).contains("rust, c, python, js, sql"));
}

#[test]
fn a_query_is_begun_without_anything_to_build() {
    let world = World::new();
    let said = world.ok("buyer", &["new", "job", &world.text("query"), "--lang", "sql"]);
    assert!(!said.contains("build") && said.contains("the query into job.toml"), "{said}");
    let read = |file: &str| std::fs::read_to_string(world.path("query").join(file)).unwrap();
    assert!(read("README.md").contains("tidegate run --sql"));
    assert_eq!(std::fs::read_dir(world.path("query")).unwrap().count(), 2);
    let job = world.path("query/job.toml");
    let check = |text: String| {
        std::fs::write(&job, text).unwrap();
        world.ok("owner", &["check", &job.display().to_string()])
    };
    let text = read("job.toml").replace("DATASET", "towns");
    assert!(check(text.clone()).starts_with("accept"));
    // What it has as comments is understood too.
    let more = text
        .replace("# keys", "keys")
        .replace("COUNT(*) AS people FROM dataset", "city, COUNT(*) AS n FROM dataset GROUP BY city");
    let (declared, undeclared) =
        (check(more), check(text.replace("COUNT(*) AS people FROM dataset", "city, COUNT(*) AS n FROM dataset GROUP BY city")));
    assert!(!declared.contains("a group appears") && undeclared.contains("a group appears"), "{declared}{undeclared}");
}

#[test]
fn a_policy_is_begun_and_all_that_it_offers_is_understood() {
    let world = World::new();
    let (file, data) = (world.text("begun.toml"), world.text("begun.csv"));
    std::fs::write(&data, "person,spend,city\na,1,north\nb,2,south\n").unwrap();
    world.ok("owner", &["new", "policy", &file]);
    assert!(world.fails("owner", &["new", "policy", &file]).contains("give the name of a new"));
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("\"UNIT\"", "\"person\"").replace("NUMBER =", "spend =").replace("TEXT =", "city =");
    std::fs::write(&file, &text).unwrap();
    world.ok("owner", &["publish", &data, "--name", "begun", "--unit", "person", "--policy", &file]);
    let optional = |line: &str| match line.strip_prefix('#') {
        Some(field) if !field.starts_with(' ') => field.to_owned(),
        _ => line.to_owned(),
    };
    let all = text.lines().map(optional).collect::<Vec<_>>().join("\n");
    let mut lacking = Vec::new();
    // Each field that a section has is named: a field that there is none of is refused with those that there are.
    for section in
        ["unit", "budget", "jobs", "sql", "models", "access", "files", "receipts", "versions", "read", "reviewed", "witnesses"]
    {
        let wrong = all.replacen(&format!("[{section}]"), &format!("[{section}]\nunheard_of = 1"), 1);
        let said = tidegate_protocol::policy::PolicyFile::parse(&wrong).unwrap_err().to_string();
        let fields = said.split_once("expected ").map_or("", |(_, fields)| fields.lines().next().unwrap_or_default());
        let fields: Vec<_> = fields.split('`').skip(1).step_by(2).filter(|field| !field.contains(' ')).collect();
        assert!(!fields.is_empty(), "{said}");
        let named = |field: &&str| {
            let is = |line: &str| line.trim_start_matches('#').split_once('=').is_some_and(|(name, _)| name.trim() == *field);
            text.lines().any(is) || text.contains(&format!("or {field}"))
        };
        lacking.extend(fields.into_iter().filter(|field| !named(field)).map(|field| format!("{section}.{field}")));
    }
    assert!(lacking.is_empty(), "{lacking:?}");
    let all = tidegate_protocol::policy::PolicyFile::parse(&all).unwrap();
    assert!(all.reviewed.is_some() && all.witnesses.is_some() && all.sql.rows.is_some() && all.models.threads.is_some());
    // An error names it.
    std::fs::write(&file, text.replace("min_units", "least_units")).unwrap();
    let said = world.fails("owner", &["publish", &data, "--name", "wrong", "--unit", "person", "--policy", &file]);
    assert!(said.contains("least_units") && said.contains("tidegate new policy"), "{said}");
}

/// A core module that some compiler left is made a component; what it lacks is said.
#[test]
fn a_core_module_is_made_a_component() {
    let world = World::new();
    let text = std::fs::read_to_string(tidegate_fixtures::path("guests/hostile/count.wat")).unwrap();
    std::fs::write(world.path("job.wasm"), wat::parse_str(&text).unwrap()).unwrap();
    let body = |module: &str| {
        format!(
            "rho = 0.01\n[wasm]\nmodule = \"{module}\"\nselect = \"SELECT spend FROM dataset\"\noutputs = [\n  \
                 {{ name = \"a\", lo = 0, hi = 1, reducer = \"mean\", default = 0 }},\n  {{ name = \"b\", lo = 0, hi = 1, reducer = \"mean\", default = 0 }},\n]"
        )
    };
    let job = world.job("job.toml", &body("job.wasm"));
    let rehearse = ["rehearse", &job, "--mock", &world.text("data.csv"), "--policy", &world.text("policy.toml"), "--json"];
    let shown: serde_json::Value = serde_json::from_str(&world.ok("buyer", &rehearse)).unwrap();
    let fuel = &shown["fuel"];
    assert_eq!(fuel["calls"], 60, "{shown}");
    assert!(
        fuel["least"].as_u64().unwrap() > 0
            && fuel["most"].as_u64() >= fuel["mean"].as_u64()
            && fuel["most"].as_u64() < fuel["limit"].as_u64()
    );
    std::fs::write(world.path("no.wasm"), wat::parse_str("(module (memory (export \"memory\") 1))").unwrap()).unwrap();
    let said = world.fails("owner", &["check", &world.job("no.toml", &body("no.wasm"))]);
    assert!(said.contains("contribute"), "{said}");
}
