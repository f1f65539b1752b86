//! Joins of the owner's rows on the privacy unit.

use datafusion::{
    arrow::datatypes::DataType,
    common::{DFSchema, JoinType},
    logical_expr::{Expr, ExprSchemable as _, Join, cast, try_cast, utils::conjunction, when},
};
use tidegate_protocol::{Refusal, limits, policy::Policy};

use super::{
    join::{Pair, check_looked_up, conditions},
    part::{Part, PartOf, Rows},
};
use crate::sql::{
    exact::number,
    expr::total,
    input::{Input, Kind, Source, UnitJoin},
    kinds,
    planner::Planned,
    refuse,
    said::engine,
    select::Select,
    unit_join::THERE,
    wrap::{named_where, unalias},
};

impl Rows {
    /// Folds a join of rows of the same unit.
    pub(super) fn joined_on_unit(join: &Join, planned: &Planned, policy: &Policy) -> Result<Self, Refusal> {
        let (kind, left_is_first) = match join.join_type {
            JoinType::Inner => (Kind::Inner, true),
            JoinType::Left => (Kind::Outer, true),
            JoinType::Right => (Kind::Outer, false),
            JoinType::Full => (Kind::Full, true),
            JoinType::LeftSemi => (Kind::Semi, true),
            JoinType::RightSemi => (Kind::Semi, false),
            JoinType::LeftAnti => (Kind::Anti, true),
            JoinType::RightAnti => (Kind::Anti, false),
            other => return Err(refuse(format!("a {other} join is not supported"))),
        };
        let (mut left, mut right) = (Self::fold(&join.left, planned, policy)?, Self::fold(&join.right, planned, policy)?);
        let (pairs, mut rest) = conditions(join)?;
        // On a side whose rows never appear alone, conditions in ON may apply before the join.
        if kind == Kind::Inner || left_is_first && kind != Kind::Full {
            right = right.first_where(&mut rest, planned, policy)?;
        }
        if kind == Kind::Inner || !left_is_first && kind != Kind::Full {
            left = left.first_where(&mut rest, planned, policy)?;
        }
        if left.source.unit_joins() > 0 && right.source.unit_joins() > 0 {
            return Err(refuse("a join of two joins is not supported").fix("Join tables one after the other: (a JOIN b) JOIN c"));
        }
        if left.source.unit_joins() + right.source.unit_joins() >= limits::UNIT_JOINS {
            return Err(refuse(format!("more than {} joins on the unit", limits::UNIT_JOINS)));
        }
        let looked_up = left.looked_up + right.looked_up;
        check_looked_up(looked_up)?;
        let on_unit = |(mine, theirs): &Pair| Ok::<_, Refusal>(left.is_unit(mine, policy)? && right.is_unit(theirs, policy)?);
        let (mut keys, mut joined_by_unit) = (Vec::new(), false);
        for pair in pairs {
            if on_unit(&pair)? { joined_by_unit = true } else { keys.push(pair) }
        }
        let unit = &policy.unit.column;
        if !joined_by_unit {
            return Err(refuse("a join that is not on the unit is not supported: it would put people's rows together").fix(format!(
                "Join ON a.{unit} = b.{unit}, and more if you like; a join to a public table that comes with the job needs no unit"
            )));
        }
        let (of_left, of_right): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
        let prefixes = if left_is_first { ["first", "second"] } else { ["second", "first"] };
        let resolved = |rows: &Self, keys: &[Expr]| keys.iter().map(|key| rows.resolve(key)).collect::<Result<Vec<_>, _>>();
        let (mine, theirs) = (resolved(&left, &of_left)?, resolved(&right, &of_right)?);
        let mut left = Side::new(left, prefixes[0], &mine, planned, policy)?;
        let mut right = Side::new(right, prefixes[1], &theirs, planned, policy)?;
        agree(&mut left.select, &mut right.select, of_left.len())?;
        // Whether a row of the join may lack a row of this side.
        let lacks = |is_first: bool| kind == Kind::Full || kind == Kind::Outer && !is_first;
        for (side, is_first) in [(&mut left, left_is_first), (&mut right, !left_is_first)] {
            if lacks(is_first) {
                side.sometimes(unit, THERE[usize::from(!is_first)])?;
            }
        }
        let columns = [left.columns, right.columns];
        let (left, right) = (Input::new(left.select, left.source)?, Input::new(right.select, right.source)?);
        let named = |input: &Input| {
            let names = input.select.names.iter().enumerate();
            names.map(|(i, name)| (name.clone(), input.column_bounds(i, policy))).collect::<Vec<_>>()
        };
        let bounds = [named(&left), named(&right)].concat().into_iter().collect();
        let mut made = UnitJoin::new(kind, if left_is_first { [left, right] } else { [right, left] }, of_left.len())?;
        made.bounds = bounds;
        let [left, right] = columns;
        let schemas = [join.left.schema(), join.right.schema()];
        let [left, right] = [typed(left, schemas[0], &made.schema), typed(right, schemas[1], &made.schema)];
        // Over pairs, in which both rows are present.
        let schema = schemas[0].join(schemas[1]).map_err(refuse)?;
        let pair = Part { filter: None, columns: [left.clone(), right.clone()].concat() };
        let of = PartOf { part: &pair, schema: &schema };
        let rest = rest.iter().map(|e| total(of.resolve(e)?, unit)).collect::<Result<Vec<_>, _>>()?;
        if let Some(condition) = conjunction(rest) {
            made.only(condition)?;
        }
        let columns = match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => left,
            JoinType::RightSemi | JoinType::RightAnti => right,
            _ => pair.columns,
        };
        let parts = vec![Part { filter: None, columns }];
        Ok(Self { parts, schema: join.schema.clone(), source: Source::Join(Box::new(made)), looked_up, numbers: None })
    }

    /// Returns whether `expr` names the unit in every part.
    pub(super) fn is_unit(&self, expr: &Expr, policy: &Policy) -> Result<bool, Refusal> {
        Ok(self.resolve(expr)?.iter().all(|e| is_unit(e, &policy.unit.column)))
    }
}

/// Builds the unit where `there` holds, and NULL elsewhere.
fn unit_where(there: Expr, unit: &str) -> Result<Expr, Refusal> {
    when(there, Rows::column(unit.to_owned())).end().map_err(refuse)
}

/// Input of a join, or of a selection of first rows.
pub(super) struct Side {
    /// The input's columns, followed by the keys.
    pub(super) select: Select,
    pub(super) source: Source,
    /// Columns as seen in rows of the join: the unit, or a column of the join.
    pub(super) columns: Vec<Expr>,
}

impl Side {
    /// Builds a side from rows, with keys resolved in each part.
    pub(super) fn new(rows: Rows, prefix: &str, keys: &[Vec<Expr>], planned: &Planned, policy: &Policy) -> Result<Self, Refusal> {
        let unit = &policy.unit.column;
        let (mut names, mut columns) = (Vec::new(), Vec::new());
        let mut of_parts: Vec<Vec<Expr>> = rows.parts().map(|_| vec![]).collect();
        for i in 0..rows.schema.fields().len() {
            if rows.parts().all(|part| is_unit(&part.columns()[i], unit)) {
                columns.push(Self::column(unit));
                continue;
            }
            let name = format!("{prefix} {i}");
            // From an outer join below: the column says where the unit is present, not which unit it is.
            let named = rows.parts().all(|part| named_where(&part.columns()[i], unit).is_some());
            columns.push(if named { unit_where(Self::column(&name), unit)? } else { Self::column(&name) });
            names.push(name);
            for (all, part) in of_parts.iter_mut().zip(rows.parts()) {
                let column = &part.columns()[i];
                all.push(total(named_where(column, unit).filter(|_| named).unwrap_or(column).clone(), unit)?);
            }
        }
        for (i, key) in keys.iter().enumerate() {
            names.push(format!("key {i}"));
            for (all, key) in of_parts.iter_mut().zip(key) {
                all.push(number(total(key.clone(), unit)?, &rows.source.schema(planned)));
            }
        }
        let branches = rows.filters().zip(of_parts).collect();
        let select = Select::new(names, branches, rows.source.schema(planned), unit)?;
        Ok(Self { select, source: rows.source, columns })
    }

    fn column(name: &str) -> Expr {
        Rows::column(name.to_owned())
    }

    /// Makes the side's rows optional: the unit is named only where `there` says that they are present.
    fn sometimes(&mut self, unit: &str, there: &str) -> Result<(), Refusal> {
        for column in &mut self.columns {
            if is_unit(column, unit) {
                *column = unit_where(Self::column(there), unit)?;
            }
        }
        Ok(())
    }
}

/// Casts the last `keys` columns of both sides to common types.
fn agree(a: &mut Select, b: &mut Select, keys: usize) -> Result<(), Refusal> {
    let from = [a.names.len() - keys, b.names.len() - keys];
    for i in 0..keys {
        let kind = |select: &Select, from: usize| {
            let kind = select.branches[0].columns[from + i].get_type(&*select.schema).map_err(|e| engine(&e))?;
            Ok::<_, Refusal>(match kind {
                DataType::Dictionary(_, value) => *value,
                kind => kind,
            })
        };
        let (x, y) = (kind(a, from[0])?, kind(b, from[1])?);
        let narrow =
            |kind: &DataType| kind.is_signed_integer() || matches!(kind, DataType::UInt8 | DataType::UInt16 | DataType::UInt32);
        let one = if x == y || y.is_null() {
            x
        } else if x.is_null() {
            y
        } else if narrow(&x) && narrow(&y) {
            DataType::Int64
        } else if x.is_integer() && y.is_integer() {
            DataType::Decimal128(20, 0)
        } else if x.is_numeric() && y.is_numeric() {
            DataType::Float64
        } else if x.is_temporal() || y.is_temporal() {
            return Err(refuse(format!(
                "a join on a column of type {} and one of type {} is not supported",
                kinds::kind(&x),
                kinds::kind(&y)
            ))
            .fix("Join on columns of one type, as CAST(x AS DATE) makes them"));
        } else {
            x
        };
        for (select, from) in [(&mut *a, from[0]), (&mut *b, from[1])] {
            for branch in &mut select.branches {
                branch.columns[from + i] = try_cast(branch.columns[from + i].clone(), one.clone());
            }
        }
    }
    Ok(())
}

/// Casts `columns` to the planner's types, which may have changed when expressions were made total.
pub(super) fn typed(columns: Vec<Expr>, planned: &DFSchema, made: &DFSchema) -> Vec<Expr> {
    let one = |(i, column): (usize, Expr)| {
        let wanted = planned.field(i).data_type();
        let named = match &column {
            Expr::Column(column) => made.index_of_column_by_name(None, &column.name),
            _ => None,
        };
        match named {
            // Numbers and times compare by value, whatever their types.
            Some(at) if made.field(at).data_type() != wanted => match made.field(at).data_type() {
                kind if kind.is_numeric() || kind.is_temporal() => column,
                _ => cast(column, wanted.clone()),
            },
            _ => column,
        }
    };
    columns.into_iter().enumerate().map(one).collect()
}

fn is_unit(expr: &Expr, unit: &str) -> bool {
    matches!(unalias(expr), Expr::Column(column) if column.name == unit)
}
