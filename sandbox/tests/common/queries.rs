//! Queries made of bytes: every choice is a byte, so that a fuzzer can find its way and a seed is enough for a test.
#![allow(dead_code)]

/// Choices, from bytes; 0 once they have run out.
pub(crate) struct Choices<'a> {
    bytes: &'a [u8],
    names: &'static Names,
}

/// What queries name.
pub(crate) struct Names {
    pub(crate) numbers: &'static [&'static str],
    pub(crate) texts: &'static [&'static str],
    pub(crate) times: &'static [&'static str],
    pub(crate) keys: &'static [&'static str],
}

impl<'a> Choices<'a> {
    /// Of a query of the awkward people's columns.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self::of_names(bytes, &NAMES)
    }

    /// Of a query of other columns, which have these among them: `person`, `spend`, `visits`, `price`, `city`, `grade`, `flag`, `day`, `at`.
    pub(crate) fn of_names(bytes: &'a [u8], names: &'static Names) -> Self {
        Self { bytes, names }
    }
}

impl Choices<'_> {
    fn byte(&mut self) -> usize {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        usize::from(*first)
    }

    pub(crate) fn of<'b>(&mut self, choices: &[&'b str]) -> &'b str {
        choices[self.byte() % choices.len()]
    }
}

const NAMES: Names = Names {
    numbers: &NUMBERS,
    texts: &TEXTS,
    times: &TIMES,
    keys: &["city", "visits", "spend", "day", "at", "price", "grade", "flag", "tags"],
};

const NUMBERS: [&str; 16] = [
    "spend",
    "spend",
    "spend",
    "visits",
    "visits",
    "visits",
    "price",
    "price",
    "0",
    "1",
    "-7",
    "1e300",
    "9223372036854775807",
    "0.1",
    "NULL",
    "person",
];
const TEXTS: [&str; 9] = ["city", "city", "grade", "''", "'9'", "'unique'", "'%_('", "NULL", "CAST(bin AS TEXT)"];
const TIMES: [&str; 5] = ["day", "at", "CAST('2024-02-29' AS DATE)", "CAST(visits AS TIMESTAMP)", "CAST(city AS TIMESTAMP)"];

/// A number, nested at most `depth` deep.
fn number(c: &mut Choices<'_>, depth: usize) -> String {
    if depth == 0 {
        return c.of(c.names.numbers).to_owned();
    }
    let n = |c: &mut Choices<'_>| number(c, depth - 1);
    match c.byte() % 27 {
        24 => format!("date_diff('{}', {}, {})", c.of(&["day", "month"]), time(c, depth - 1), time(c, depth - 1)),
        25 => format!("{}({})", c.of(&["year", "month", "day", "dayofyear", "hour"]), time(c, depth - 1)),
        26 => format!("date_part('epoch', {} - TIMESTAMP '2024-02-29 00:00:00')", time(c, 0)),
        0..=3 => c.of(c.names.numbers).to_owned(),
        4..=8 => {
            let (a, op, b) = (n(c), c.of(&["+", "-", "*", "/", "%"]), n(c));
            format!("({a} {op} {b})")
        }
        9 => format!("-({})", n(c)),
        10..=12 => {
            let name =
                c.of(&["abs", "sqrt", "ln", "log10", "exp", "floor", "ceil", "round", "trunc", "acos", "signum", "cot", "isnan"]);
            format!("{name}({})", n(c))
        }
        13 => {
            let name = c.of(&["power", "atan2", "nanvl", "greatest", "least", "coalesce", "nullif"]);
            format!("{name}({}, {})", n(c), n(c))
        }
        14..=15 => format!("clamp({}, {})", n(c), c.of(&["0, 10", "-1, 1", "-1e9, 1e9", "3, 4", "0, 1e6", "5, 5"])),
        16 => format!("CASE WHEN {} THEN {} ELSE {} END", truth(c, depth - 1), n(c), n(c)),
        17 => format!("CASE {} WHEN {} THEN {} ELSE {} END", n(c), n(c), n(c), n(c)),
        18..=19 => {
            let kind = c.of(&["INT", "BIGINT", "TINYINT UNSIGNED", "DOUBLE", "REAL", "DECIMAL(5, 2)", "DECIMAL(38, 30)"]);
            format!("CAST({} AS {kind})", n(c))
        }
        20 => format!("{}({})", c.of(&["character_length", "ascii", "octet_length"]), text(c, depth - 1)),
        21 => format!("strpos({}, {})", text(c, depth - 1), text(c, depth - 1)),
        22 => format!("CAST({} AS {})", text(c, depth - 1), c.of(&["INT", "DOUBLE", "BOOLEAN", "DECIMAL(10, 3)"])),
        _ => format!("date_part('{}', {})", c.of(&["year", "hour", "dow", "epoch", "nonsense"]), time(c, depth - 1)),
    }
}

fn text(c: &mut Choices<'_>, depth: usize) -> String {
    if depth == 0 {
        return c.of(c.names.texts).to_owned();
    }
    match c.byte() % 13 {
        12 => format!("to_char({}, '{}')", time(c, depth - 1), c.of(&["%Y-%m", "%d %b %y", "%j", "%A"])),
        0..=2 => c.of(c.names.texts).to_owned(),
        3 => format!("{}({})", c.of(&["lower", "upper", "reverse", "initcap", "btrim", "repeat", "md5"]), text(c, depth - 1)),
        4 => format!("({} || {})", text(c, depth - 1), text(c, depth - 1)),
        5 => format!("substr({}, {}, {})", text(c, depth - 1), number(c, depth - 1), number(c, depth - 1)),
        6 => format!("{}({}, {})", c.of(&["left", "right"]), text(c, depth - 1), number(c, depth - 1)),
        7 => format!("split_part({}, {}, {})", text(c, depth - 1), text(c, 0), number(c, depth - 1)),
        8 => format!("replace({}, {}, {})", text(c, depth - 1), c.of(&["'9'", "'un'", "'e'"]), c.of(&["''", "'xyz'", "'aaaa'"])),
        9 => format!("concat({}, {})", text(c, depth - 1), number(c, depth - 1)),
        10 => format!("CAST({} AS TEXT)", number(c, depth - 1)),
        _ => format!("CASE WHEN {} THEN {} END", truth(c, depth - 1), text(c, depth - 1)),
    }
}

fn time(c: &mut Choices<'_>, depth: usize) -> String {
    if depth == 0 || !c.byte().is_multiple_of(3) {
        return c.of(c.names.times).to_owned();
    }
    if c.byte().is_multiple_of(3) {
        let (op, by) = (c.of(&["+", "-"]), c.of(&["1 month", "36 hours", "30 days", "1 year 2 days"]));
        return format!("(at {op} INTERVAL '{by}')");
    }
    format!("date_trunc('{}', {})", c.of(&["year", "month", "week", "day", "second"]), time(c, depth - 1))
}

fn truth(c: &mut Choices<'_>, depth: usize) -> String {
    let op = |c: &mut Choices<'_>| c.of(&["=", "<>", "<", ">=", "IS DISTINCT FROM"]).to_owned();
    if depth == 0 {
        return c.of(&["flag", "true", "NULL", "spend > 1", "city = 'unique'"]).to_owned();
    }
    match c.byte() % 12 {
        0..=2 => format!("{} {} {}", number(c, depth - 1), op(c), number(c, depth - 1)),
        10 => format!("{} BETWEEN {} AND {}", number(c, depth - 1), number(c, 0), number(c, 0)),
        11 => format!("{} BETWEEN {} AND {}", time(c, depth - 1), time(c, 0), time(c, 0)),
        3 => format!("{} {} {}", text(c, depth - 1), op(c), text(c, depth - 1)),
        4 => format!("{} {} {}", time(c, depth - 1), op(c), time(c, depth - 1)),
        5 => format!("({} {} {})", truth(c, depth - 1), c.of(&["AND", "OR"]), truth(c, depth - 1)),
        6 => format!("NOT ({})", truth(c, depth - 1)),
        7 => format!("({}) IS {}", truth(c, depth - 1), c.of(&["NULL", "NOT NULL", "TRUE", "NOT FALSE"])),
        8 => format!(
            "{} {} '{}'",
            text(c, depth - 1),
            c.of(&["LIKE", "ILIKE", "~", "!~*"]),
            c.of(&["%9%", "a_b", "^u", "(", "[a-z]+$"])
        ),
        _ => format!("{} IN ({}, 3)", number(c, depth - 1), number(c, 0)),
    }
}

fn aggregate(c: &mut Choices<'_>, argument: &mut dyn FnMut(&mut Choices<'_>) -> String) -> String {
    let bounded = |c: &mut Choices<'_>, argument: &mut dyn FnMut(&mut Choices<'_>) -> String| {
        format!("clamp({}, {})", argument(c), c.of(&["0, 10", "-1e6, 1e6", "-0.001, 0.001"]))
    };
    match c.byte() % 12 {
        0 => "COUNT(*)".into(),
        1 => "COUNT(DISTINCT person)".into(),
        2 => format!("COUNT({})", argument(c)),
        3 => format!("SUM({})", argument(c)),
        4..=5 => format!("{}({})", c.of(&["SUM", "AVG", "VAR", "STDDEV_POP", "MEDIAN"]), bounded(c, argument)),
        6 if c.byte().is_multiple_of(2) => format!("APPROX_PERCENTILE_CONT({}, 0.9)", bounded(c, argument)),
        6 => {
            let order = c.of(&["ASC", "DESC"]);
            format!("APPROX_PERCENTILE_CONT(0.8) WITHIN GROUP (ORDER BY {} {order})", bounded(c, argument))
        }
        7..=8 => format!("{}({}, {})", c.of(&["CORR", "COVAR_POP"]), bounded(c, argument), bounded(c, argument)),
        9 => format!("SUM({}) FILTER (WHERE {})", bounded(c, argument), truth(c, 1)),
        10 => format!("COUNT(DISTINCT CASE WHEN {} THEN person END)", truth(c, 2)),
        11 if c.byte().is_multiple_of(2) => format!("{}({})", c.of(&["SUM", "AVG", "VAR_POP", "STDDEV"]), truth(c, 2)),
        _ => format!("{}({})", c.of(&["MIN", "array_agg", "bool_or", "count", "first_value"]), argument(c)),
    }
}

/// What a unit's own rows come to: a number.
fn own(c: &mut Choices<'_>) -> String {
    match c.byte() % 12 {
        0..=5 => format!("{}({})", c.of(&["SUM", "AVG", "MIN", "MAX", "COUNT", "STDDEV"]), number(c, 2)),
        6 => format!("COUNT(DISTINCT {})", expression(c)),
        7 => format!("COUNT(DISTINCT {}) FILTER (WHERE {})", number(c, 1), truth(c, 1)),
        8 => format!("MEDIAN({})", number(c, 2)),
        9 => {
            let (at, order) = (c.of(&["0.25", "0.5", "0.75", "1"]), c.of(&["ASC", "DESC"]));
            format!("PERCENTILE_CONT({at}) WITHIN GROUP (ORDER BY {} {order})", number(c, 2))
        }
        10 => format!("APPROX_PERCENTILE_CONT({}, 0.75)", number(c, 2)),
        _ => format!("{}({})", c.of(&["SUM", "AVG", "VAR_POP", "MIN", "MAX"]), truth(c, 2)),
    }
}

/// A number, a text, a time or a truth.
pub(crate) fn expression(c: &mut Choices<'_>) -> String {
    match c.byte() % 6 {
        0 => number(c, 3),
        1 => time(c, 2),
        2 => truth(c, 3),
        _ => text(c, 3),
    }
}

/// A query.
pub(crate) fn query(c: &mut Choices<'_>) -> String {
    let filter = |c: &mut Choices<'_>| if c.byte().is_multiple_of(2) { String::new() } else { format!(" WHERE {}", truth(c, 3)) };
    let key = |c: &mut Choices<'_>| match c.byte() % 4 {
        0 => c.of(c.names.keys).to_owned(),
        1 => text(c, 2),
        2 => time(c, 1),
        _ => number(c, 3),
    };
    if c.byte().is_multiple_of(5) {
        // One row a unit first.
        let inner = if c.byte().is_multiple_of(8) {
            format!("{}({})", c.of(&["bool_or", "bool_and", "MIN"]), truth(c, 2))
        } else {
            own(c)
        };
        let from = format!("(SELECT person, {inner} AS x, COUNT(*) AS n FROM dataset{} GROUP BY person)", filter(c));
        let outer = aggregate(c, &mut |c| c.of(&["x", "n", "x * n", "x / n", "person"]).to_owned());
        return match c.byte() % 2 {
            0 => format!("SELECT {outer} FROM {from}{}", c.of(&["", " WHERE n > 1", " WHERE x = 42"])),
            _ => format!("SELECT n % 5 AS k, {outer} FROM {from} GROUP BY n % 5"),
        };
    }
    let source = match c.byte() % 8 {
        4 => {
            let join = c.of(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
            let on = c.of(&[
                "",
                " AND a.city = b.city",
                " AND a.visits < b.visits",
                " AND a.grade = b.grade AND a.flag",
                " AND a.spend = -b.spend",
                " AND a.visits = b.price",
                " AND a.day = b.at",
            ]);
            let other = format!("(SELECT *, {} AS y FROM dataset{})", number(c, 2), filter(c));
            format!("(SELECT a.*, b.y FROM dataset a {join} {other} b ON a.person = b.person{on}) AS v")
        }
        3 => {
            let own = own(c);
            let join = c.of(&["JOIN", "LEFT JOIN", "LEFT SEMI JOIN", "LEFT ANTI JOIN"]);
            // Of what rows are only looked for in, no column is there.
            let y = if join.len() > 10 { "spend" } else { "b.y" };
            let other = format!("(SELECT person, {own} AS y FROM dataset{} GROUP BY person)", filter(c));
            format!("(SELECT a.*, {y} AS y FROM dataset a {join} {other} b ON a.person = b.person) AS v")
        }
        6 => {
            // Of all columns, so that no two rows are alike in it.
            let first = c.of(&["day", "spend", "city"]).to_owned();
            let others =
                ["spend", "visits", "price", "city", "grade", "flag", "day", "at"].into_iter().filter(|name| *name != first);
            let order = format!("{first}{}, {}", c.of(&["", " DESC", " DESC NULLS LAST"]), others.collect::<Vec<_>>().join(", "));
            let y = number(c, 2);
            match c.byte() % 5 {
                0 => format!("(SELECT DISTINCT ON (person) *, {y} AS y FROM dataset{} ORDER BY person, {order}) AS v", filter(c)),
                1 => {
                    let value = c.of(&["FIRST_VALUE", "LAST_VALUE"]);
                    let of =
                        format!("(SELECT person, {value}({y} ORDER BY {order}) AS y FROM dataset{} GROUP BY person)", filter(c));
                    format!("(SELECT a.*, b.y FROM dataset a JOIN {of} b ON a.person = b.person) AS v")
                }
                n => {
                    let numbers = if n > 3 {
                        "rn = 1"
                    } else {
                        c.of(&["rn <= 2", "rn < 4", "rn BETWEEN 2 AND 3", "rn = 2", "rn <= 3 AND rn <> 2"])
                    };
                    let rows = format!(
                        "SELECT *, {y} AS y, ROW_NUMBER() OVER (PARTITION BY person ORDER BY {order}) AS rn FROM dataset{}",
                        filter(c)
                    );
                    format!("(SELECT * FROM ({rows}) AS w WHERE {numbers}) AS v")
                }
            }
        }
        5 => {
            let on = c.of(&["", " AND a.city = b.city", " AND a.visits < b.visits", " AND a.flag", " AND b.day = a.at"]);
            let other = format!("(SELECT *, {} AS y FROM dataset{})", number(c, 2), filter(c));
            format!("(SELECT a.*, b.y FROM dataset a, {other} b WHERE a.person = b.person{on}) AS v")
        }
        2 => {
            let key = c.of(&["city = town", "visits = code", "grade = town", "city = town AND visits = code"]);
            let join = c.of(&["JOIN", "JOIN", "LEFT JOIN"]);
            let more = if join == "JOIN" { c.of(&["", " AND weight > 0", " AND spend > weight"]) } else { "" };
            format!("(SELECT *, {} AS y FROM dataset {join} place ON {key}{more}) AS v", number(c, 2))
        }
        1 => {
            let part = |c: &mut Choices<'_>| format!("SELECT *, {} AS y FROM dataset{}", number(c, 2), filter(c));
            format!("({} UNION ALL {}) AS v", part(c), part(c))
        }
        0 => format!("(SELECT *, {} AS y FROM dataset{}) AS v", number(c, 2), filter(c)),
        _ => "dataset".to_owned(),
    };
    // What the source adds to the dataset's columns.
    let own = source.contains("JOIN place").then_some("weight").or(source.contains(" AS y").then_some("y"));
    let mut argument = |c: &mut Choices<'_>| match own {
        Some(own) if c.byte().is_multiple_of(2) => own.to_owned(),
        _ => number(c, 3),
    };
    let mut items: Vec<String> = (0..=c.byte() % 3).map(|_| aggregate(c, &mut argument)).collect();
    let keys: Vec<String> = (0..c.byte() % 3).map(|_| key(c)).collect();
    items.extend(keys.iter().cloned());
    if c.byte().is_multiple_of(2) {
        let names = c.of(&["column", "Some Name", "count", "sum_"]).to_owned();
        items.iter_mut().enumerate().for_each(|(i, item)| *item = format!("{item} AS \"{names}{i}\""));
    }
    let all = keys.join(", ");
    let group = match c.byte() % 6 {
        _ if keys.is_empty() => String::new(),
        0 => format!(" GROUP BY ROLLUP({all})"),
        1 => format!(" GROUP BY GROUPING SETS (({all}), ())"),
        _ => format!(" GROUP BY {all}"),
    };
    let having = if c.byte().is_multiple_of(4) { " HAVING COUNT(*) > 3 ORDER BY 1 LIMIT 3" } else { "" };
    format!("SELECT {} FROM {source}{}{group}{having}", items.join(", "), filter(c))
}
