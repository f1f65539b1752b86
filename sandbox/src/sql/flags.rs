//! Sums, means and variances of booleans, as in DuckDB: TRUE is 1, FALSE is 0, and NULL is NULL.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::{
    common::ScalarValue,
    error::Result,
    functions_aggregate::all_default_aggregate_functions,
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Expr, GroupsAccumulator, Operator, ReversedUDAF,
        SetMonotonicity, Signature, StatisticsArgs, Volatility,
        expr::AggregateFunction,
        function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs},
        type_coercion::functions::fields_with_udf,
        utils::AggregateOrderSensitivity,
    },
};

/// Aggregates that also take booleans.
const NAMES: [&str; 9] = ["sum", "avg", "var", "var_pop", "stddev", "stddev_pop", "covar_samp", "covar_pop", "corr"];

/// Returns the engine's aggregates of numbers, each of which takes booleans as integers.
pub(super) fn aggregates() -> &'static [AggregateUDF] {
    static ALL: LazyLock<Vec<AggregateUDF>> = LazyLock::new(|| {
        let ours = all_default_aggregate_functions().into_iter().filter(|of| NAMES.contains(&of.name()));
        ours.map(|of| AggregateUDF::new_from_impl(OfTruths { of, signature: Signature::user_defined(Volatility::Immutable) }))
            .collect()
    });
    &ALL
}

/// An aggregate of numbers: the engine's in everything but the argument types.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OfTruths {
    of: Arc<AggregateUDF>,
    signature: Signature,
}

impl AggregateUDFImpl for OfTruths {
    fn name(&self) -> &str {
        self.of.name()
    }

    fn aliases(&self) -> &[String] {
        self.of.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Coerces types like the engine, with integers in the place of booleans.
    fn coerce_types(&self, kinds: &[DataType]) -> Result<Vec<DataType>> {
        let number = |kind: &DataType| if *kind == DataType::Boolean { DataType::Int64 } else { kind.clone() };
        let fields: Vec<FieldRef> = kinds.iter().map(|kind| Arc::new(Field::new("", number(kind), true))).collect();
        Ok(fields_with_udf(&fields, &*self.of)?.iter().map(|field| field.data_type().clone()).collect())
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        self.of.return_type(kinds)
    }

    fn return_field(&self, fields: &[FieldRef]) -> Result<FieldRef> {
        self.of.return_field(fields)
    }

    fn is_nullable(&self) -> bool {
        self.of.is_nullable()
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.of.accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.of.state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.of.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.of.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.of.create_sliding_accumulator(args)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.of.order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.of.reverse_udf()
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        self.of.simplify()
    }

    fn simplify_expr_op_literal(
        &self,
        call: &AggregateFunction,
        arg: &Expr,
        op: Operator,
        literal: &Expr,
        left: bool,
    ) -> Result<Option<Expr>> {
        self.of.inner().simplify_expr_op_literal(call, arg, op, literal, left)
    }

    fn is_descending(&self) -> Option<bool> {
        self.of.is_descending()
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        self.of.value_from_stats(args)
    }

    fn default_value(&self, kind: &DataType) -> Result<ScalarValue> {
        self.of.default_value(kind)
    }

    fn supports_null_handling_clause(&self) -> bool {
        self.of.supports_null_handling_clause()
    }

    fn set_monotonicity(&self, kind: &DataType) -> SetMonotonicity {
        self.of.inner().set_monotonicity(kind)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.of.documentation()
    }
}
