//! Tracing, row by row, of the released cells a computed column shows or divides by, in columns carried beside the query's own.
//!
//! A carried column has the number of a cell, or NULL. Operations that move rows, such as sorting, joining and LAG, move it too.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, ScalarValue,
        tree_node::{Transformed, TreeNode as _, TreeNodeRecursion},
    },
    error::{DataFusionError, Result},
    logical_expr::{
        BinaryExpr, Cast, Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, Projection, Subquery, TryCast, Union,
        Window, cast, lit,
    },
};

use super::{
    above::{is_released, subqueries},
    wrap::{bare, conditional, unalias},
};

/// Window functions showing another row's value unchanged.
const MOVES: [&str; 5] = ["lag", "lead", "first_value", "last_value", "nth_value"];

/// Whether a column is computed from released numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Made {
    #[default]
    Never,
    /// Computed where the carried column of this name is true.
    Sometimes(String),
    Always,
}

/// Origin of a column, with carried columns by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin {
    /// Cell shown unchanged.
    pub(super) cell: Option<String>,
    /// Columns of the result to which such a cell may belong.
    pub(super) places: BTreeSet<usize>,
    /// Cell from which the column is made, if only a single cell.
    base: Option<String>,
    pub(super) made: Made,
    /// Cells by which the column divides, each alone.
    pub(super) over: BTreeSet<String>,
}

impl Origin {
    /// Returns the origin of values made from several rows' numbers.
    fn pooled() -> Self {
        Self { made: Made::Always, ..Self::default() }
    }

    /// Returns the origin of values computed from columns of these origins.
    fn of(parts: &[Self]) -> Self {
        let made: Vec<_> = parts.iter().filter(|part| part.made != Made::Never).collect();
        let bases: BTreeSet<_> = made.iter().map(|part| &part.base).collect();
        let one = if bases.len() == 1 { bases.first().and_then(|base| (*base).clone()) } else { None };
        Self {
            base: one,
            made: match made.as_slice() {
                [] => Made::Never,
                [first, more @ ..] if more.iter().all(|part| part.made == first.made) => first.made.clone(),
                _ => Made::Always,
            },
            over: parts.iter().flat_map(|part| part.over.iter().cloned()).collect(),
            ..Self::default()
        }
    }
}

/// A plan with carried columns.
pub(super) struct Traced {
    pub(super) plan: LogicalPlan,
    /// The query's own columns: positions and origins.
    pub(super) columns: Vec<(usize, Origin)>,
    /// Names of the carried columns.
    carried: Vec<String>,
}

impl Traced {
    /// Returns a carried column.
    fn column(&self, name: &str) -> Expr {
        carried(&self.plan, name)
    }

    /// Projects the plan to the query's own columns.
    fn own(self) -> Result<LogicalPlan> {
        if self.carried.is_empty() {
            return Ok(self.plan);
        }
        let own: Vec<Expr> = self.columns.iter().map(|(place, _)| field(&self.plan, *place)).collect();
        LogicalPlanBuilder::from(self.plan).project(own)?.build()
    }
}

fn carried(plan: &LogicalPlan, name: &str) -> Expr {
    let found = plan.schema().iter().find(|(_, field)| field.name() == name);
    found.map_or_else(|| lit(ScalarValue::UInt64(None)), |field| Expr::Column(Column::from(field)))
}

fn field(plan: &LogicalPlan, place: usize) -> Expr {
    Expr::Column(Column::from(plan.schema().qualified_field(place)))
}

/// A subquery within an expression, its replacement, and the replacement's origin.
struct Scalar {
    subquery: Subquery,
    traced: Subquery,
    origin: Origin,
}

/// Tracer to put released numbers in their place and carry along their cells.
pub(super) struct Tracer<'a, F> {
    places: &'a [usize],
    keys: usize,
    released: F,
    named: usize,
}

impl<'a, F: Fn(&[String]) -> Result<LogicalPlan>> Tracer<'a, F> {
    /// Creates a tracer for an aggregate with `keys` columns, followed by number columns: the result's columns at `places`.
    ///
    /// `released` makes the table for the aggregate's place, with a carried column for each number column.
    pub(super) fn new(places: &'a [usize], keys: usize, released: F) -> Self {
        Self { places, keys, released, named: 0 }
    }

    /// Returns an unused column name.
    fn name(&mut self) -> String {
        self.named += 1;
        format!("which released cell {}", self.named)
    }

    pub(super) fn trace(&mut self, plan: &LogicalPlan) -> Result<Traced> {
        if is_released(plan) {
            return self.scan();
        }
        match plan {
            LogicalPlan::Projection(projection) => self.projection(projection),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Join(join) => self.join(plan, join),
            LogicalPlan::Aggregate(aggregate) => {
                let input = self.trace(&aggregate.input)?;
                let of = |expr: &Expr| Origin::of(&[origin(expr, &aggregate.input, &input.columns, &[])]);
                let mut columns: Vec<_> = vec![Origin::default(); plan.schema().fields().len()];
                let calls = columns.len() - aggregate.aggr_expr.len();
                columns[calls..].fill(Origin::pooled());
                for (column, key) in columns[..calls].iter_mut().zip(&aggregate.group_expr) {
                    column.made = if of(key).made == Made::Never { Made::Never } else { Made::Always };
                }
                let columns = columns.into_iter().enumerate().collect();
                Ok(Traced { plan: self.rebuilt(plan, vec![input.plan])?, columns, carried: vec![] })
            }
            _ => {
                let [input] = plan.inputs()[..] else {
                    return Err(DataFusionError::Internal(format!("{} is not traced", plan.display())));
                };
                let Traced { plan: input, columns, carried } = self.trace(input)?;
                Ok(Traced { plan: self.rebuilt(plan, vec![input])?, columns, carried })
            }
        }
    }

    /// Rebuilds `plan` over other inputs.
    fn rebuilt(&mut self, plan: &LogicalPlan, inputs: Vec<LogicalPlan>) -> Result<LogicalPlan> {
        let within = |expr: Expr| Ok(expr.transform_down(|e| subqueries(e, &mut |s| self.trace(&s.subquery)?.own()))?.data);
        let exprs = plan.expressions().into_iter().map(within).collect::<Result<Vec<_>>>()?;
        plan.with_new_exprs(exprs, inputs)
    }

    fn scan(&mut self) -> Result<Traced> {
        let carried: Vec<String> = self.places.iter().map(|_| self.name()).collect();
        let plan = (self.released)(&carried)?;
        let number = |(place, name): (&usize, &String)| Origin {
            cell: Some(name.clone()),
            places: [*place].into(),
            base: Some(name.clone()),
            made: Made::Always,
            over: BTreeSet::new(),
        };
        let numbers = self.places.iter().zip(&carried).map(number);
        let columns = vec![Origin::default(); self.keys].into_iter().chain(numbers).enumerate().collect();
        Ok(Traced { plan, columns, carried })
    }

    fn projection(&mut self, projection: &Projection) -> Result<Traced> {
        let input = self.trace(&projection.input)?;
        let (mut scalars, mut more) = (Vec::<Scalar>::new(), Vec::new());
        let mut exprs = Vec::with_capacity(projection.expr.len());
        for expr in &projection.expr {
            let traced = expr.clone().transform_down(|expr| match expr {
                Expr::ScalarSubquery(subquery) => {
                    if !scalars.iter().any(|scalar| scalar.subquery == subquery) {
                        scalars.push(self.scalar(subquery.clone(), &mut more)?);
                    }
                    let found = scalars.iter().find(|scalar| scalar.subquery == subquery);
                    Ok(Transformed::yes(Expr::ScalarSubquery(found.map_or(subquery, |scalar| scalar.traced.clone()))))
                }
                expr => subqueries(expr, &mut |s| self.trace(&s.subquery)?.own()),
            })?;
            exprs.push(traced.data);
        }
        let origins = projection.expr.iter().map(|expr| origin(expr, &projection.input, &input.columns, &scalars));
        let mut columns: Vec<(usize, Origin)> = origins.enumerate().collect();
        for ((_, of), expr) in columns.iter_mut().zip(&projection.expr) {
            let from = narrowed(expr, &projection.input).filter(|_| of.cell.is_none());
            let Some(from) = from else { continue };
            let Origin { cell: Some(cell), places, .. } = origin(from, &projection.input, &input.columns, &[]) else { continue };
            let same = cast(unalias(expr).clone(), DataType::Float64).eq(cast(from.clone(), DataType::Float64));
            let name = self.name();
            more.push((name.clone(), conditional(input.column(&cell), Some(&same))));
            (of.cell, of.places) = (Some(name), places);
        }
        exprs.extend(input.carried.iter().map(|name| input.column(name)));
        let mut carried = input.carried;
        for (name, expr) in more {
            exprs.push(expr.alias(&name));
            carried.push(name);
        }
        let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input.plan))?);
        Ok(Traced { plan, columns, carried })
    }

    /// Traces a scalar subquery, and adds the columns to be carried to `more`.
    fn scalar(&mut self, subquery: Subquery, more: &mut Vec<(String, Expr)>) -> Result<Scalar> {
        let Traced { plan, columns, .. } = self.trace(&subquery.subquery)?;
        let (place, of) = columns.into_iter().next().unwrap_or_default();
        let only = |expr: Expr| -> Result<Subquery> {
            Ok(subquery.with_plan(Arc::new(LogicalPlanBuilder::from(plan.clone()).project([expr])?.build()?)))
        };
        let traced = only(field(&plan, place))?;
        let mut carry = |name: &String| -> Result<String> {
            let new = self.name();
            more.push((new.clone(), Expr::ScalarSubquery(only(carried(&plan, name))?)));
            Ok(new)
        };
        let origin = Origin {
            cell: of.cell.as_ref().map(&mut carry).transpose()?,
            base: of.base.as_ref().map(&mut carry).transpose()?,
            over: of.over.iter().map(&mut carry).collect::<Result<_>>()?,
            places: of.places,
            made: if of.made == Made::Never { Made::Never } else { Made::Always },
        };
        Ok(Scalar { subquery, traced, origin })
    }

    fn window(&mut self, window: &Window) -> Result<Traced> {
        let Traced { plan: input, mut columns, mut carried } = self.trace(&window.input)?;
        let mut moves = Vec::new();
        let first = input.schema().fields().len();
        for (i, expr) in window.window_expr.iter().enumerate() {
            let of = origin(expr, &window.input, &columns, &[]);
            let mut found = Origin { over: of.over, ..Origin::pooled() };
            if let Expr::WindowFunction(call) = unalias(expr)
                && MOVES.contains(&call.fun.name())
                && let Some(argument) = call.params.args.first()
            {
                let moved = origin(argument, &window.input, &columns, &[]);
                let mut carry = |name: &String| {
                    let mut call = call.clone();
                    call.params.args[0] = self::carried(&input, name);
                    // The default in place of a missing row is no cell.
                    call.params.args.iter_mut().skip(2).for_each(|default| *default = lit(ScalarValue::UInt64(None)));
                    let new = self.name();
                    moves.push(Expr::WindowFunction(call).alias(&new));
                    carried.push(new.clone());
                    new
                };
                found.cell = moved.cell.as_ref().map(&mut carry);
                found.base = if moved.base == moved.cell { found.cell.clone() } else { moved.base.as_ref().map(&mut carry) };
                found.over = moved.over.iter().map(&mut carry).collect();
                found.places = moved.places;
            }
            columns.push((first + i, found));
        }
        // Each gets a node of its own: in a shared node, the common part of their orders would be removed from only some of them.
        let mut plan = input;
        for exprs in std::iter::once(window.window_expr.clone()).chain(moves.into_iter().map(|one| vec![one])) {
            plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(plan))?);
        }
        Ok(Traced { plan, columns, carried })
    }

    fn join(&mut self, plan: &LogicalPlan, join: &Join) -> Result<Traced> {
        let (left, right) = (self.trace(&join.left)?, self.trace(&join.right)?);
        let offset = left.plan.schema().fields().len();
        let moved = |(place, origin)| (place + offset, origin);
        let (columns, carried) = match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => (left.columns, left.carried),
            JoinType::RightSemi | JoinType::RightAnti => (right.columns, right.carried),
            _ => (
                left.columns.into_iter().chain(right.columns.into_iter().map(moved)).collect(),
                [left.carried, right.carried].concat(),
            ),
        };
        Ok(Traced { plan: self.rebuilt(plan, vec![left.plan, right.plan])?, columns, carried })
    }

    /// Traces a union, in whose parts a column has different origins.
    fn union(&mut self, union: &Union) -> Result<Traced> {
        let parts = union.inputs.iter().map(|input| self.trace(input)).collect::<Result<Vec<_>>>()?;
        let mut exprs: Vec<Vec<Expr>> = vec![vec![]; parts.len()];
        let (mut columns, mut names) = (vec![], vec![]);
        let width = union.schema.fields().len();
        for place in 0..width {
            let of: Vec<&Origin> = parts.iter().map(|part| &part.columns[place].1).collect();
            let mut carry = |each: &dyn Fn(&Origin) -> Option<&String>| {
                let mine: Vec<_> = of.iter().map(|origin| each(origin)).collect();
                mine.iter().any(Option::is_some).then(|| {
                    let name = self.name();
                    for ((exprs, part), mine) in exprs.iter_mut().zip(&parts).zip(mine) {
                        let none = || lit(ScalarValue::UInt64(None));
                        exprs.push(mine.map_or_else(none, |mine| part.column(mine)).alias(&name));
                    }
                    names.push(name.clone());
                    name
                })
            };
            let cell = carry(&|origin| origin.cell.as_ref());
            let base = carry(&|origin| origin.base.as_ref());
            let most = of.iter().map(|origin| origin.over.len()).max().unwrap_or_default();
            let over = (0..most).filter_map(|i| carry(&|origin| origin.over.iter().nth(i))).collect();
            let made = if of.iter().all(|origin| origin.made == of[0].made && !matches!(origin.made, Made::Sometimes(_))) {
                of[0].made.clone()
            } else {
                let name = self.name();
                for ((exprs, part), origin) in exprs.iter_mut().zip(&parts).zip(&of) {
                    let made = match &origin.made {
                        Made::Sometimes(made) => part.column(made),
                        made => lit(*made == Made::Always),
                    };
                    exprs.push(made.alias(&name));
                }
                names.push(name.clone());
                Made::Sometimes(name)
            };
            let places = of.iter().flat_map(|origin| origin.places.iter().copied()).collect();
            columns.push((place, Origin { cell, places, base, made, over }));
        }
        let part = |(part, more): (Traced, Vec<Expr>)| {
            let own = part
                .columns
                .iter()
                .enumerate()
                .map(|(i, (place, _))| field(&part.plan, *place).alias(union.schema.field(i).name()));
            let exprs: Vec<Expr> = own.chain(more).collect();
            Ok(Arc::new(LogicalPlanBuilder::from(part.plan).project(exprs)?.build()?))
        };
        let inputs = parts.into_iter().zip(exprs).map(part).collect::<Result<Vec<_>>>()?;
        let plan = LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?);
        Ok(Traced { plan, columns, carried: names })
    }
}

/// Returns the column that an expression casts to another type of number: some of its values may stay as they are.
fn narrowed<'e>(expr: &'e Expr, input: &LogicalPlan) -> Option<&'e Expr> {
    match unalias(expr) {
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) if field.data_type().is_numeric() => {
            Some(bare(expr, input.schema())).filter(|from| matches!(from, Expr::Column(_)))
        }
        _ => None,
    }
}

/// Returns the origin of an expression over the columns of `input`.
fn origin(expr: &Expr, input: &LogicalPlan, columns: &[(usize, Origin)], scalars: &[Scalar]) -> Origin {
    let column = |column: &Column| {
        let place = input.schema().index_of_column(column).ok()?;
        columns.get(place).map(|(_, origin)| origin.clone())
    };
    let scalar = |subquery: &Subquery| scalars.iter().find(|scalar| scalar.subquery == *subquery).map(|s| s.origin.clone());
    let of = |expr: &Expr| match bare(expr, input.schema()) {
        Expr::Column(name) => column(name),
        Expr::ScalarSubquery(subquery) => Some(scalar(subquery).unwrap_or_else(Origin::pooled)),
        Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_) => Some(Origin::pooled()),
        _ => None,
    };
    if let Some(origin) = of(expr) {
        return origin;
    }
    let within = |expr: &Expr| {
        let mut parts = Vec::new();
        let _ = expr.apply(|part| {
            parts.extend(of(part));
            Ok(TreeNodeRecursion::Continue)
        });
        parts
    };
    let mut all = Origin::of(&within(expr));
    let _ = expr.apply(|part| {
        if let Expr::BinaryExpr(BinaryExpr { op: Operator::Divide, right, .. }) = part {
            all.over.extend(Origin::of(&within(right)).base);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    all
}
