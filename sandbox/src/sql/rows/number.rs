//! Number of a row within its unit.

use tidegate_protocol::Refusal;

use crate::sql::refuse;

/// Name of the column with a row's number within its unit, until a condition says which numbers are wanted.
pub(in crate::sql) const NUMBER: &str = "row number";

/// Explains why a row's number is not a value.
pub(in crate::sql) fn numbered_otherwise(unit: &str) -> Refusal {
    refuse("a row's number is not read, it says which rows of a unit are meant").fix(format!(
        "Write SELECT … FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY {unit} ORDER BY day DESC) AS rn FROM …) WHERE rn = 1, or rn <= 3"
    ))
}
