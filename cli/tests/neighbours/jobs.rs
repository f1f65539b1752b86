//! The jobs, as data: a name and the text of a `job.toml` without its dataset. Append what shows a fault; take nothing away.
//!
//! Person 1234 alone has diag 'rare' and age 42. Where a failure's fallback would give everybody away, ask for a COUNT beside it, at a ρ whose deviation is far
//! below 300 and far above 1 (0.01: σ = 7 for one column).

/// One job.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) job: String,
    /// What the job file calls PROGRAM.
    pub(super) program: Option<Vec<u8>>,
    /// Whether both nodes are to answer, or to refuse: a job that one thinks runs, and that is refused, shows nothing.
    pub(super) answers: Option<bool>,
}

/// A query at a price, as `rho = 1e-4` and other fields of the file's head.
pub(super) fn sql(name: &str, head: &str, query: &str) -> Case {
    keyed(name, head, query, "")
}

/// A query with more in its section.
fn keyed(name: &str, head: &str, query: &str, more: &str) -> Case {
    let job = format!("{head}\n[sql]\nquery = '''{query}'''\n{more}\n");
    Case { name: name.into(), job, program: None, answers: Some(true) }
}

const PRICE: &str = "rho = 0.01";
const RARE: &str = "CASE WHEN diag = 'rare' AND age = 42 THEN";

/// What is refused, by names that begin so: that it is, in the same words, is what is held.
const REFUSED: [&str; 9] = [
    "refused",
    "saturated-noise",
    "unit-aggregate-without-bounds",
    "clip-",
    "classes-for-one",
    "padding-for-one",
    "costly-regex-for-one",
    "growth-by-repeat-for-one",
    "key-beyond-its-type",
];

pub(super) fn all() -> Vec<Case> {
    let mut cases = [plain(), noise(), shapes(), clips(), costs(), keys()].concat();
    for case in &mut cases {
        case.answers = Some(!REFUSED.iter().any(|begins| case.name.starts_with(begins)));
    }
    cases
}

/// What works: the harness asserts nothing if these are not answered.
fn plain() -> Vec<Case> {
    vec![
        sql(
            "counts",
            PRICE,
            "SELECT COUNT(*) AS n, COUNT(DISTINCT person) AS p, COUNT(*) FILTER (WHERE diag = 'rare') AS r FROM dataset",
        ),
        sql("sums", PRICE, "SELECT SUM(income) AS s, AVG(age) AS a, VAR(age) AS v FROM dataset WHERE diag = 'rare'"),
        sql("median", PRICE, "SELECT MEDIAN(income) AS m FROM dataset WHERE diag = 'rare' OR age > 70"),
        keyed(
            "declared",
            PRICE,
            "SELECT diag, COUNT(*) AS n FROM dataset GROUP BY diag",
            "keys = [['rare'], ['flu'], ['nobody has it']]",
        ),
        sql("thresholded", "rho = 1.0", "SELECT diag, COUNT(*) AS n FROM dataset GROUP BY diag"),
        sql("only-one-there", PRICE, "SELECT COUNT(*) AS n, AVG(income) AS a FROM dataset WHERE diag = 'rare' AND age = 42"),
        sql("refused", PRICE, "SELECT income FROM dataset WHERE diag = 'rare'"),
    ]
}

/// Noise that saturates is no noise.
fn noise() -> Vec<Case> {
    let query = "SELECT COUNT(*) AS n, SUM(CASE WHEN diag = 'rare' THEN 1.0 ELSE 0.0 END) AS s FROM dataset";
    vec![
        sql("saturated-noise", "rho = 1e-6\nweights = { s = 1e-40 }", query),
        sql("saturated-noise-laplace", "epsilon = 1e-6\nnoise = \"laplace\"\nweights = { s = 1e-40 }", query),
        sql("saturated-noise-at-the-edge", "rho = 2e-6\nweights = { s = 3e-27 }", query),
        sql("weights-at-their-ends", "rho = 1e-6\nweights = { n = 1000, s = 0.001 }", query),
        sql("weights-at-their-ends-laplace", "epsilon = 1e-6\nnoise = \"laplace\"\nweights = { n = 1000, s = 0.001 }", query),
        sql("threshold-at-a-thin-price", "rho = 1e-6", "SELECT diag, COUNT(*) AS n FROM dataset GROUP BY diag"),
        sql(
            "threshold-at-a-thin-price-laplace",
            "epsilon = 1e-6\nnoise = \"laplace\"\nweights = { n = 1000 }",
            "SELECT diag, COUNT(*) AS n FROM dataset GROUP BY diag",
        ),
    ]
}

/// Shapes that follow from rows.
fn shapes() -> Vec<Case> {
    let rare = "FROM dataset WHERE diag = 'rare' AND age = 42";
    let declared = "keys = [['rare'], ['flu']]";
    vec![
        sql("empty-grouping-set", PRICE, &format!("SELECT COUNT(*) AS n {rare} GROUP BY GROUPING SETS (())")),
        sql("having-over-nobody", PRICE, &format!("SELECT COUNT(*) AS n {rare} HAVING COUNT(*) > 0 ORDER BY n LIMIT 1")),
        keyed("rollup-over-nobody", PRICE, &format!("SELECT diag, COUNT(*) AS n {rare} GROUP BY ROLLUP (diag)"), declared),
        keyed("cube-over-nobody", PRICE, &format!("SELECT diag, COUNT(*) AS n {rare} GROUP BY CUBE (diag)"), declared),
        keyed(
            "sets-over-nobody",
            PRICE,
            &format!("SELECT diag, COUNT(*) AS n {rare} GROUP BY GROUPING SETS ((diag), ())"),
            declared,
        ),
        sql(
            "unit-aggregate-over-nobody",
            PRICE,
            &format!("SELECT SUM(clamp(n, 0, 2)) AS s FROM (SELECT person, COUNT(*) AS n {rare} GROUP BY person)"),
        ),
        sql(
            "unit-aggregate-without-bounds",
            PRICE,
            &format!("SELECT SUM(n) AS s FROM (SELECT person, COUNT(*) AS n {rare} GROUP BY person)"),
        ),
    ]
}

/// Clips that do not clip: bounds one ulp apart, at several sizes. A sum beyond its clip gives everybody's default, which the count beside it shows.
fn clips() -> Vec<Case> {
    let mut cases = vec![];
    for (lo, hi, names) in [
        ("0.0078125", "0.0078125000000000017", ["clip-of-one-ulp-mean", "clip-of-one-ulp-variance", "clip-of-one-ulp-sum"]),
        ("1.0", "1.0000000000000002", ["clip-at-one-mean", "clip-at-one-variance", "clip-at-one-sum"]),
        ("0.0", "5e-324", ["clip-subnormal-mean", "clip-subnormal-variance", "clip-subnormal-sum"]),
        ("1e300", "1.0000000000000001e300", ["clip-huge-mean", "clip-huge-variance", "clip-huge-sum"]),
    ] {
        let clamped = format!("clamp(CASE WHEN diag = 'rare' THEN {hi} ELSE {lo} END, {lo}, {hi})");
        for (name, call) in names.into_iter().zip(["AVG", "VAR", "SUM"]) {
            cases.push(sql(name, PRICE, &format!("SELECT COUNT(*) AS n, {call}({clamped}) AS x FROM dataset")));
        }
    }
    cases
}

/// One row that takes long, or breaks what runs it; every text beside the first is one of its kind.
fn costs() -> Vec<Case> {
    let count = |name: &str, filter: &str| sql(name, PRICE, &format!("SELECT COUNT(*) AS n FROM dataset WHERE {filter}"));
    let long = "a".repeat(1000);
    let regex = |pattern: &str| format!("{RARE} concat('{long}', note) ~ '{pattern}' ELSE true END");
    let deep = (0..40).fold("age".to_owned(), |inner, i| format!("CASE WHEN {inner} > {i} THEN age ELSE {i} END"));
    let grown = (0..3).fold("note".to_owned(), |inner, _| format!("replace({inner}, 'n', 'nnnn')"));
    let listed = (0..2000).map(|i| format!("'{i}'")).collect::<Vec<_>>().join(", ");
    vec![
        count("stars-for-one", &regex("(a*)*$")),
        count("alternatives-for-one", &regex("(a|a|aa)*b")),
        count("classes-for-one", &regex("([a-z]{1,50}){1,50}[0-9]")),
        count("remainder-for-one", &format!("{RARE} (income * 1e300) % 1e-300 >= 0 ELSE true END")),
        count(
            "decimals-for-one",
            &format!("{RARE} CAST(income AS DECIMAL(38, 10)) * CAST(income AS DECIMAL(38, 10)) > 0 ELSE true END"),
        ),
        count("padding-for-one", &format!("{RARE} lpad(note, 100000, 'ab') LIKE '%b%a%b%' ELSE true END")),
        count("deep-for-one", &format!("{RARE} {deep} > 0 ELSE true END")),
        count("list-for-one", &format!("{RARE} concat(note, '{long}') IN ({listed}) ELSE true END")),
        count("digits-for-one", &regex(r"\d+n$")),
        count("edges-for-one", &regex(r"\bn\b")),
        count("either-case-for-one", &regex("A+B").replace(" ~ ", " ~* ")),
        count("costly-regex-for-one", &regex("(?:[a-c]{0,200}){0,400}[0-9]$")),
        count("wildcards-for-one", &format!("{RARE} concat('{long}', note) LIKE '{}b' ELSE true END", "%a_".repeat(16))),
        count(
            "growth-by-repeat-for-one",
            &format!("{RARE} length(replace(replace(repeat(note, 1000), 'n', '{long}'), 'a', '{long}')) > 3 ELSE true END"),
        ),
        count("growth-for-one", &format!("{RARE} length({grown}) > 3 ELSE true END")),
        count("division-for-one", &format!("{RARE} 1 / (age - 42) > 0 ELSE true END")),
        count("overflow-for-one", &format!("{RARE} CAST(income * 1e300 * 1e300 AS BIGINT) > 0 ELSE true END")),
        count("cast-for-one", &format!("{RARE} CAST(diag AS INT) = 1 ELSE true END")),
    ]
}

/// Keys of every type, declared.
fn keys() -> Vec<Case> {
    let by = |name: &str, expr: &str, keys: &str| {
        keyed(name, PRICE, &format!("SELECT {expr} AS k, COUNT(*) AS n FROM dataset GROUP BY {expr}"), &format!("keys = {keys}"))
    };
    vec![
        by("key-of-real", &format!("CAST({RARE} 0.1 ELSE 0.2 END AS REAL)"), "[[0.1]]"),
        by("key-beyond-its-type", &format!("CAST({RARE} 3 ELSE 4 END AS TINYINT)"), "[[300]]"),
        by(
            "key-beyond-doubles",
            &format!("{RARE} 9007199254740993 ELSE 9007199254740992 END"),
            "[['9007199254740993'], ['9007199254740992']]",
        ),
        by("key-of-a-date", &format!("CAST({RARE} '2024-02-29' ELSE '2023-01-01' END AS DATE)"), "[['2024-02-29']]"),
        by("key-that-is-nan", &format!("{RARE} 0.0 / 0.0 ELSE 1.5 END"), "[[1.5]]"),
    ]
}
