//! What is made of a released table, at random: windows, subqueries, joins with itself and parts put together.

use crate::common::queries::Choices;

/// A number of a released row.
fn number(c: &mut Choices<'_>, depth: usize) -> String {
    if depth == 0 {
        return c.of(&["n", "s", "n", "s", "2", "1.5"]).to_owned();
    }
    let over = |c: &mut Choices<'_>| {
        let by = c.of(&["", "PARTITION BY city ", "PARTITION BY city, grade ", "PARTITION BY grade "]);
        // No two numbers are alike: the order is one.
        let order = c.of(&["ORDER BY n", "ORDER BY s DESC", "ORDER BY s / n, n"]);
        let frame =
            c.of(&["", "", " ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING", " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"]);
        (by, order, frame)
    };
    match c.of(&["a", "b", "c", "d", "e", "f", "g", "h"]) {
        "a" => format!("({} {} {})", number(c, depth - 1), c.of(&["+", "-", "*", "/"]), number(c, depth - 1)),
        "b" => {
            let (by, order, frame) = over(c);
            format!("{}({}) OVER ({by}{order}{frame})", c.of(&["SUM", "AVG", "MAX", "FIRST_VALUE", "LAST_VALUE"]), number(c, 0))
        }
        "c" => {
            let (by, order, _) = over(c);
            let call =
                c.of(&["RANK()", "DENSE_RANK()", "ROW_NUMBER()", "NTILE(3)", "LAG(n)", "LEAD(s)", "LAG(s, 2, 0)", "LEAD(n, 1)"]);
            format!("{call} OVER ({by}{order})")
        }
        "d" => format!("SUM({}) OVER ({})", number(c, 0), c.of(&["", "PARTITION BY city", "PARTITION BY grade"])),
        "e" => format!("(SELECT {}({}) FROM t)", c.of(&["SUM", "AVG", "MAX"]), number(c, 0)),
        "f" => format!("CASE WHEN {} > 2 THEN {} ELSE {} END", number(c, 0), number(c, depth - 1), number(c, 0)),
        "g" => format!("nullif({}, 0)", number(c, depth - 1)),
        _ => c.of(&["n", "s"]).to_owned(),
    }
}

/// A query of `t`.
pub(super) fn of(c: &mut Choices<'_>) -> String {
    let from = match c.of(&["a", "b", "c", "d", "e", "f"]) {
        "a" => "(SELECT city, grade, n, s FROM t WHERE n > 0) v".to_owned(),
        "b" => format!("(SELECT city, grade, n, {} AS s FROM t) v", number(c, 1)),
        "c" => "(SELECT a.city, a.grade, a.n, b.s FROM t a JOIN t b ON a.city = b.city AND a.grade = b.grade) v".to_owned(),
        "d" => "(SELECT city, grade, n, s FROM t UNION ALL SELECT 'all', grade, s - n, n FROM t) v".to_owned(),
        _ => "t".to_owned(),
    };
    let x = number(c, 2);
    let y = number(c, 2);
    match c.of(&["a", "b", "c", "d"]) {
        "a" => format!("SELECT city, {x} AS x, n, {y} AS y FROM {from}"),
        "b" => format!("SELECT city, {x} AS x FROM {from} UNION ALL SELECT 'all', {}(s) FROM t", c.of(&["SUM", "AVG"])),
        "c" => format!("SELECT city, SUM(x) AS x, MAX(y) AS y FROM (SELECT city, {x} AS x, {y} AS y FROM {from}) GROUP BY city"),
        _ => format!("SELECT grade, s, {x} AS x FROM {from} WHERE n > {}", c.of(&["2", "(SELECT AVG(n) FROM t)"])),
    }
}
