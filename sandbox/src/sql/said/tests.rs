use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use tidegate_protocol::{
    Refusal,
    policy::{Policy, PolicyFile},
};

use crate::sql::{Asked, admit_query};

const POLICY: &str = r#"
    unit = { column = "person", max_units = 1000, max_rows = 3, max_groups = 2 }
    budget = { delta = 1e-9, rho = 100.0, per_buyer_rho = 100.0 }
    jobs = { kinds = ["sql"], min_units = 10, fuel = 1000000, memory_mib = 16, slot = "3s", tick = "1s" }
    access = { compute = "granted", replicate = "nobody" }
    columns = { spend = { lo = 0, hi = 1000 }, city = {}, Site = {}, day = {}, seen = {}, urgent = {}, tag = {}, tod = {} }
"#;

fn policy(text: &str) -> Policy {
    PolicyFile::parse(text).unwrap().check(|e, _| Some(e)).unwrap()
}

fn schema() -> SchemaRef {
    let column = |name: &str, kind| Field::new(name, kind, true);
    Arc::new(Schema::new(vec![
        column("person", DataType::Int64),
        column("spend", DataType::Float64),
        column("city", DataType::Utf8),
        column("Site", DataType::Utf8),
        column("day", DataType::Date32),
        column("seen", DataType::Timestamp(TimeUnit::Nanosecond, None)),
        column("urgent", DataType::Boolean),
        column("salary", DataType::Float64),
        column("tag", DataType::Binary),
        column("tod", DataType::Time64(TimeUnit::Microsecond)),
    ]))
}

fn admit(query: &str) -> Result<(), Refusal> {
    admit_query(&Asked::new(query), &schema(), &policy(POLICY)).map(drop)
}

/// No word of the engine's own, a field and a fix in every refusal.
#[test]
fn refusals_are_in_the_projects_words() {
    let mut wrong = Vec::new();
    for (query, said, fix) in [
        ("SELECT COUNT(note) FROM dataset", "there is no column note", "There are: \"Site\", city, day, person, seen, spend"),
        ("SELECT COUNT(d.note) FROM dataset d", "there is no column d.note", "d.spend"),
        ("SELECT COUNT(*) FROM dataset WHERE note = 'x'", "there is no column note", "city"),
        ("SELECT COUNT(site) FROM dataset", "there is no column site", "Write \"Site\""),
        (
            "SELECT COUNT(sit) FROM dataset",
            "that the policy lets queries read",
            "Perhaps it is \"Site\". There are: \"Site\", city",
        ),
        ("SELECT AVG(spent) FROM dataset", "there is no column spent", "Perhaps it is spend. There are:"),
        ("SELECT COUNT(*) FROM dataset WHERE seen = 1", "seen is a TIMESTAMP, and 1 is a number", "Write seen = TIMESTAMP '2024"),
        ("SELECT COUNT(*) FROM dataset WHERE urgent = 1", "urgent is a BOOLEAN", "Write urgent, or urgent = true"),
        ("SELECT COUNT(*) FROM dataset WHERE urgent <> 0", "urgent is a BOOLEAN", "Write NOT urgent, or urgent = false"),
        ("SELECT COUNT(*) FILTER (WHERE urgent = 1) FROM dataset", "urgent is a BOOLEAN", "Write urgent, or urgent = true"),
        ("SELECT COUNT(*) FROM dataset WHERE day >= 'x'", "day is a DATE", "Write day >= DATE '2024-01-31'"),
        ("SELECT COUNT(*) FROM dataset WHERE 'x' < day", "day is a DATE", "Write DATE '2024-01-31' < day"),
        (
            "SELECT COUNT(*) FROM dataset WHERE day BETWEEN 'x' AND '2024-01-01'",
            "day is a DATE",
            "Write day BETWEEN DATE '2024-01-31' AND DATE '2024-01-31'",
        ),
        ("SELECT COUNT(*) FROM dataset WHERE day NOT IN ('x')", "day is a DATE", "Write day NOT IN (DATE '2024-01-31')"),
        ("SELECT COUNT(*) FROM dataset WHERE spend < 'x'", "spend is a DOUBLE", "Write spend < 12.5, without quotes"),
        ("SELECT COUNT(*) FROM dataset WHERE city < 5", "city is text", "Write it in quotes, as in city < '5'"),
        ("SELECT COUNT(*) FROM dataset WHERE day < CURRENT_DATE", "current_date is not supported", "DATE '2024-01-31'"),
        ("SELECT COUNT(*) FROM dataset WHERE seen > now()", "now is not supported", "TIMESTAMP '2024-01-31"),
        ("SELECT MIN(day) FROM dataset", "min shows one person's value", "date_part('epoch', day) / 86400"),
        ("SELECT MAX(seen) AS m FROM dataset", "max shows one person's value", "date_trunc('month', seen)"),
        ("SELECT AVG(day) FROM dataset", "avg does not take", "date_trunc('month', x)"),
        ("SELECT SUM(seen) FROM dataset", "sum does not take", "date_trunc('month', x)"),
        ("SELECT MEDIAN(day) FROM dataset", "median does not take", "date_trunc('month', x)"),
        (
            "SELECT APPROX_PERCENTILE_CONT(day, 0.5) FROM dataset",
            "approx_percentile_cont does not take",
            "date_trunc('month', x)",
        ),
        ("SELECT COUNT(*) FROM visits", "there is no table visits", "There are: dataset"),
        ("SELECT COUNT(*) FROM dataset WHERE soundex(city) = 'x'", "there is no function soundex", "Total functions"),
        ("SELECT city, COUNT(*) FROM dataset", "column city is neither grouped by nor aggregated", "GROUP BY"),
        ("SELECT SUM(city) FROM dataset", "sum does not take values of type text", "CAST"),
        ("SELECT COUNT(*) FROM other.visits", "there is no table other.visits", "There are: dataset"),
        ("SELECT SUM(spend) AS a, COUNT(*) AS a FROM dataset", "the same name", "AS"),
        ("SELECT COUNT(*) FROM dataset WHERE left(city) = 'x'", "left does not take (text)", "Total functions"),
        ("SELECT COUNT(*) FROM dataset WHERE city + 1 > 2", "text + BIGINT", "CAST"),
        ("SELECT SUM(AVG(spend)) FROM dataset", "cannot be nested", "subquery that groups by the unit"),
        ("SELECT COUNT(* FROM dataset", "is not read as SQL", "docs/reference/sql.md"),
        ("SELECT COUNT(*) FROM dataset a JOIN dataset b ON a.person = b.person WHERE spend > 1", "several tables", "a.spend"),
        ("SELECT COUNT(*) FROM dataset WHERE day * 2 > 3", "", ""),
        ("SELECT SUM(seen - day) FROM dataset", "sum does not take", "date_diff('hour', b, a)"),
        ("SELECT COUNT(*) FROM dataset WHERE lowr(city) = 'x'", "there is no function lowr", "Perhaps it is lower."),
        ("SELECT COUNT(*) FROM dataset WHERE sha255(city) = 'x'", "there is no function sha255", "docs/reference/sql.md"),
        // What the policy withholds is as if it were not there.
        (
            "SELECT COUNT(*) FROM dataset WHERE salary > 3",
            "there is no column salary that the policy lets",
            "There are: \"Site\", city",
        ),
        ("SELECT COUNT(*) FROM dataset WHERE seen - INTERVAL '1 hour' > now()", "", ""),
        (
            "SELECT SUM(clamp(spend, 0, 0)) FROM dataset",
            "clamp(x, 0, 0): the first bound must be below the second",
            "lower bound first",
        ),
        ("SELECT SUM(clamp(spend, 0, city)) FROM dataset", "two literal numbers", "clamp(x, 0, 100)"),
        ("SELECT SUM(round(spend, city)) FROM dataset", "", ""),
        ("SELECT SUM(round(spend, 16)) FROM dataset", "literal number of decimal places, from -15 to 15", "round(x, 2)"),
        ("SELECT COUNT(*) FROM dataset WHERE uuid() = city", "function uuid is there, and is not allowed", "Total functions"),
        ("SELECT COUNT(*) FROM dataset WHERE md5(city) = 'x'", "md5", "Total functions"),
        (
            "SELECT COUNT(concat(city,city,city,city,city,city,city,city,city,city,city,city,city,city,city,city,city)) FROM dataset",
            "function concat takes",
            "16",
        ),
    ] {
        let Err(refusal) = admit(query) else { panic!("{query} was admitted") };
        let text = refusal.to_string();
        for word in [
            "rror",
            "Arrow",
            "caused by",
            "Did you mean",
            "DataFusion",
            "TRY_CAST",
            "ParserError",
            "Utf8",
            "Int64",
            "Float64",
            "Schema",
            "Date32",
        ] {
            if text.contains(word) {
                wrong.push(format!("{query}: {text} has {word}"));
            }
        }
        let fixed = refusal.fix.as_deref().is_some_and(|words| words.contains(fix));
        if !refusal.message.contains(said) || !fixed || !refusal.field.as_deref().is_some_and(|f| f.starts_with("program.query"))
        {
            wrong.push(format!("{query}: {text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whatever is odd in a query, its refusal has no word of the engine's own, and says what to do.
#[test]
fn no_refusal_has_a_word_of_the_engines() {
    let mut wrong = Vec::new();
    for (rest, said) in [
        ("[1, 2] = 1", "lists of values"),
        ("city = ANY(ARRAY['a'])", "lists of values"),
        ("city = ANY('a')", "lists of values"),
        ("tod > TIME '08:00:00'", "TIME > TIME is not compared. Write a time of day in quotes alone"),
        ("tod = 5", "tod is a TIME, and 5 is a number. Write tod = '08:00:00', or compare date_part('hour', tod)"),
        ("lower(seen) = 'x'", "lower does not take values of type TIMESTAMP. Write to_char(x, 'YYYY-MM-DD')"),
        ("date_trunc('foo', seen) > seen", ""),
        ("seen - tod > 3", ""),
        ("urgent IS TRUE && urgent", ""),
        ("spend IS TRUE", "IS DISTINCT FROM BOOLEAN is not compared"),
        ("urgent = city", "CAST(city AS BOOLEAN)"),
        ("day = city", "CAST(city AS DATE)"),
        ("city COLLATE \"C\" = 'x'", "COLLATE is not supported"),
        ("city RLIKE 'x'", "x ~ 'pattern'"),
        ("city SIMILAR TO 'x'", "SIMILAR TO is not supported"),
        ("CONVERT(city USING utf8) = 'x'", "CONVERT is not supported"),
        ("SUBSTRING(city SIMILAR 'x' ESCAPE '#') = 'x'", "is not read as SQL"),
        ("INTERVAL '1 day'", "given a value of type INTERVAL"),
        ("spend", "given a value of type DOUBLE. Compare it, as in x > 0"),
        ("NOT spend", "NOT takes a condition, and is given a value of type DOUBLE"),
        ("spend DIV 2 = 1", "DIV is not expected there. Write trunc(a / b)"),
        ("(city, spend) = ('a', spend + 1)", "one by one"),
        ("(city, spend) IN (('a', lower('b')))", ""),
        ("city[1] = 'x'", "parts of values"),
        ("city::json->>'a' = 'x'", ""),
        ("octet_length(tag) = 1", "octet_length does not take bytes. Compare bytes"),
        ("regexp_like(city, 'a', 'i')", "Write x ~* 'pattern'"),
        ("round(spend, 'a') = 1", "round takes a number, and a literal number of decimal places. Write round(x, 2)"),
        ("lpad(city, 300, '0') = 'x'", "a literal length from 1 to 256"),
        ("greatest(day, CAST(seen AS DATE)) > DATE '2024-01-01'", "greatest takes numbers, and day is a DATE. Write CASE WHEN"),
        ("least(seen, TIMESTAMP '2024-01-01') > seen", "least takes numbers, and seen is a TIMESTAMP"),
        ("year(tod) = 1", "year takes dates and times"),
        ("spend & city > 1", "operators on bits"),
        ("city ~ 1", "CAST(x AS TEXT)"),
        ("-city > 1", "a minus is of a number"),
        ("urgent + 1 > 2", "CASE WHEN x THEN 1 ELSE 0 END"),
        ("COUNT(*) > 1", "Write it in HAVING"),
        ("spend = (SELECT spend, city FROM dataset)", "Select one column"),
        ("date_part('fortnight', day) = 1", "no part fortnight"),
        ("CAST(city AS FOO) = 1", "a cast names a type that is not there"),
        ("CAST(city AS DECIMAL(99, 2)) = 1", "from 1 to 76 digits"),
        ("$1 = city", "a placeholder"),
        ("@x = city", "variables"),
        ("INTERVAL 'foo' = INTERVAL '1 day'", "INTERVAL '30 days'"),
        ("city LIKE 'a' ESCAPE 'xx'", "ESCAPE takes a single character"),
        ("true; SELECT 1", "several statements"),
        ("true LIMIT 'a'", ""),
        ("true ORDER BY 5", "a place that SELECT does not have"),
        ("true FETCH FIRST 3 ROWS ONLY", "Write LIMIT 10"),
        ("true HAVING 1", "given a value of type BIGINT"),
        ("tag + 1 > 2", ""),
        ("city = city.a.b.c.d", ""),
    ] {
        let query = format!("SELECT COUNT(*) FROM dataset WHERE {rest}");
        let Err(refusal) = admit(&query) else {
            wrong.push(format!("{query} was admitted"));
            continue;
        };
        let text = refusal.to_string();
        let inner = [
            "DataFusion",
            "sqltorel",
            "Ident",
            "Span",
            "Location",
            "Time64",
            "Utf8",
            "Int64(",
            "ScalarValue",
            "LogicalPlan",
            "Expr",
            "RLike",
            "IntervalMonthDayNano",
        ];
        let inner = inner.into_iter().find(|word| text.contains(word));
        if !text.contains(said) || inner.is_some() || refusal.fix.is_none() {
            wrong.push(format!("{query}: {text} {inner:?}"));
        }
    }
    for (call, said) in [
        ("MEDIAN(spend, 2)", "median takes one number, and is given 2 arguments. Write MEDIAN(x)"),
        ("APPROX_PERCENTILE_CONT(spend)", "a literal percentile from 0 to 1"),
        ("AVG(spend) OVER w", "a window that is not there"),
        ("SUM(tod)", "sum does not take values of type TIME. Take a number of it"),
        ("GROUPING(spend)", "GROUPING(…) takes a column"),
        ("nothing FROM (SELECT SUM(spend + 1), COUNT(*) AS n", "There are: n"),
    ] {
        let end = if call.contains("FROM (") { ")" } else { "" };
        let said_so = admit(&format!("SELECT {call} FROM dataset{end}")).unwrap_err().to_string();
        if !said_so.contains(said) {
            wrong.push(format!("{call}: {said_so}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    admit("SELECT COUNT(*) FROM dataset WHERE urgent IS UNKNOWN OR (spend > 3) IS NOT UNKNOWN").unwrap();
}

/// Names have the letters of their languages: whoever writes one in another case is told how it is written.
#[test]
fn names_with_letters_of_any_language_are_shown_as_they_are_written() {
    let names = ["Größe_cm", "Ärzte", "ÉTAT", "Рост", "naïve", "Temp_°C", "größe_kg"];
    let columns = std::iter::once("person").chain(names).map(|name| Field::new(name, DataType::Float64, true));
    let schema = Arc::new(Schema::new(columns.collect::<Vec<_>>()));
    let rules = names.map(|name| format!("{name:?} = {{ lo = 0, hi = 9 }}")).join("\n");
    let (head, _) = POLICY.split_once("columns").unwrap();
    let policy = policy(&format!("{head}\n[columns]\n{rules}"));
    let ask = |query: &str| admit_query(&Asked::new(query), &schema, &policy).map(drop).map_err(|e| e.to_string());
    let mut wrong = Vec::new();
    for (asked, name, fix) in [
        ("Größe_cm", "Größe_cm", "Write \"Größe_cm\": names have upper-case"),
        ("größe_cm", "Größe_cm", "Write \"Größe_cm\": names have upper-case"),
        ("d.Größe_cm", "Größe_cm", "Write d.\"Größe_cm\": names have upper-case"),
        ("GRÖßE_CM", "Größe_cm", "Write \"Größe_cm\": in names without"),
        ("GRÖSSE_CM", "Größe_cm", "Perhaps it is \"Größe_cm\""),
        ("Ärzte", "Ärzte", ""),
        ("ärzte", "Ärzte", "Write \"Ärzte\": in names without"),
        ("état", "ÉTAT", "Write \"ÉTAT\": in names without"),
        ("État", "ÉTAT", "Write \"ÉTAT\": names have upper-case"),
        ("рост", "Рост", "Write \"Рост\": in names without"),
        ("Рост", "Рост", ""),
        ("Naïve", "naïve", ""),
        ("NAÏVE", "naïve", "Write \"naïve\": in names without"),
        ("GRÖßE_KG", "größe_kg", "Write \"größe_kg\": in names without"),
        // What is no letter is in double quotes.
        ("Temp_°C", "Temp_°C", "in double quotes"),
        ("Gro\u{308}ße_cm", "Größe_cm", "in double quotes"),
    ] {
        let table = if asked.starts_with("d.") { "dataset d" } else { "dataset" };
        let query = format!("SELECT AVG({asked}) FROM {table}");
        match ask(&query) {
            Ok(()) if fix.is_empty() => {}
            Err(said) if !fix.is_empty() && said.contains(fix) => {}
            other => wrong.push(format!("{asked}: {other:?}")),
        }
        ask(&format!("SELECT AVG(\"{name}\") FROM dataset")).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whoever may not see the listing is told of no column.
#[test]
fn columns_are_listed_to_those_who_may_see_them() {
    let hidden = policy(&POLICY.replace("replicate = \"nobody\"", "replicate = \"nobody\", list = \"nobody\""));
    for name in ["note", "site", "salary"] {
        let query = format!("SELECT COUNT({name}) FROM dataset");
        let said = admit_query(&Asked::new(&query), &schema(), &hidden).unwrap_err().to_string();
        assert!(said.contains(&format!("no column {name}")) && !said.contains("city") && !said.contains("Site"), "{said}");
    }
}

/// Refusals say where in the text it is, by line and column: what the parser or the planner points at, or the name that is meant.
#[test]
fn refusals_say_where() {
    for (query, place) in [
        ("SELECT COUNT(note) FROM dataset", "1:14"),
        ("SELECT COUNT(*)\nFROM dataset\nWHERE city = 'x' AND  note = 'y'", "3:23"),
        ("SELECT COUNT(d.note) FROM dataset d", "1:16"),
        ("SELECT COUNT(*)\nFROM visits", "2:6"),
        ("SELECT COUNT(* FROM dataset", "1:16"),
        ("SELECT COUNT(*) FROM dataset WHERE city = 'é' AND soundex(city) = 'x'", "1:51"),
        ("SELECT COUNT(*) FROM dataset WHERE\n  md5( city ) = 'x'", "2:3"),
        ("SELECT MIN(spend) FROM dataset", "1:8"),
        ("SELECT COUNT(*) FROM dataset WHERE urgent AND day >= 'x'", "1:47"),
        ("SELECT city, COUNT(*) FROM dataset", "1:8"),
        ("SELECT COUNT(*) FROM dataset WHERE salary > 3", "1:36"),
        ("SELECT COUNT(*) FROM dataset WHERE day < CURRENT_DATE", "1:42"),
        ("SELECT COUNT(*) FROM dataset WHERE left(city) = 'x'", "1:36"),
        ("SELECT COUNT(*) FROM dataset WHERE city COLLATE \"C\" = 'x'", "1:36"),
    ] {
        let refusal = admit(query).unwrap_err();
        assert_eq!(refusal.field.as_deref(), Some(format!("program.query:{place}").as_str()), "{query}: {refusal}");
        let shown = format!("{refusal} {:?}", refusal.field);
        assert!(tidegate_protocol::shown::is_plain(&shown), "{shown:?}");
    }
}

#[test]
fn what_has_a_bounded_form_is_admitted() {
    for query in [
        "SELECT APPROX_PERCENTILE_CONT(clamp(date_part('epoch', day) / 86400, 18262, 21915), 0.05) FROM dataset",
        "SELECT date_trunc('month', day), COUNT(*) FROM dataset GROUP BY date_trunc('month', day)",
        "SELECT COUNT(*) FROM dataset WHERE urgent AND urgent = true",
        "SELECT SUM(round(spend, 2)), AVG(trunc(spend, -1)), SUM(round(spend, 0)) FROM dataset",
        "SELECT COUNT(*) FROM dataset WHERE concat(city, '-', city, '-', city, '-', \"Site\") = 'x'",
        "SELECT COUNT(*) FROM dataset WHERE day >= DATE '2024-03-31' - INTERVAL '1 month'",
        "SELECT hour(tod), COUNT(*) FROM dataset WHERE tod > '08:00:00' GROUP BY hour(tod)",
        "SELECT COUNT(*) FROM dataset WHERE seen < TIMESTAMP '2024-03-31T00:00:00' + INTERVAL '90 minutes'",
        "SELECT COUNT(*) FROM dataset WHERE day BETWEEN DATE '2024-01-01' AND DATE '2024-01-01' + INTERVAL '1 year'",
    ] {
        admit(query).unwrap_or_else(|e| panic!("{query}: {e}"));
    }
    let far =
        admit("SELECT COUNT(*) FROM dataset WHERE day > DATE '2024-03-31' + INTERVAL '9999999 years'").unwrap_err().to_string();
    assert!(!far.contains("Arrow"), "{far}");
}

/// The costliest part is the buyer's own expression, cut after a whole word, beside what it costs, what is allowed and what to change.
#[test]
fn a_query_that_costs_too_much_is_refused_with_its_own_expression() {
    let part = "upper(replace(lower(city), 'a', 'bbbb'))";
    let query = format!("SELECT COUNT(*) FROM dataset WHERE {} = 'x'", vec![part; 40].join(" || "));
    let policy = policy(
        &POLICY.replace("[columns]", "").replace("slot = \"3s\"", "slot = \"1s\"").replace("1000, max_rows", "1000000, max_rows"),
    );
    let said = admit_query(&Asked::new(&query), &schema(), &policy).unwrap_err().to_string();
    assert!(
        said.contains("lower(city)") && said.contains("the policy's slot allows") && said.contains("operations a row"),
        "{said}"
    );
    for inner in ["shortened", "within calendar", "length of a part", "TRY_CAST", "Utf8", "dataset."] {
        assert!(!said.contains(inner), "{said}");
    }
    assert!(said.contains("left(x, 32)") && said.contains("jobs.slot"), "{said}");
}
