//! `clamp(x, lo, hi)`, by which a buyer gives public bounds to values unbounded by the policy.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, Float64Array},
        compute::cast,
        datatypes::{DataType, Float64Type},
    },
    common::exec_err,
    error::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};

/// Name of the function.
pub(super) const CLAMP: &str = "clamp";

/// Creates the function.
pub(super) fn clamp() -> ScalarUDF {
    ScalarUDF::new_from_impl(Clamp { signature: Signature::any(3, Volatility::Immutable) })
}

/// Nearest value to x in [lo, hi]; NULL and NaN stay.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Clamp {
    signature: Signature,
}

impl ScalarUDFImpl for Clamp {
    fn name(&self) -> &str {
        CLAMP
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = args
            .args
            .iter()
            .map(|a| Ok(cast(&a.to_array(args.number_rows)?, &DataType::Float64)?))
            .collect::<Result<Vec<ArrayRef>>>()?;
        let [x, lo, hi] = columns.as_slice() else { return exec_err!("clamp takes three arguments") };
        let [x, lo, hi] = [x, lo, hi].map(|c| c.as_primitive::<Float64Type>());
        let clamped: Float64Array =
            x.iter().zip(lo).zip(hi).map(|((x, lo), hi)| Some(x?.max_if_number(lo?).min_if_number(hi?))).collect();
        Ok(ColumnarValue::Array(Arc::new(clamped)))
    }
}

/// Variants of `max` and `min` with NaN passed on.
trait Bound {
    fn max_if_number(self, lo: f64) -> f64;
    fn min_if_number(self, hi: f64) -> f64;
}

impl Bound for f64 {
    fn max_if_number(self, lo: f64) -> f64 {
        if self < lo { lo } else { self }
    }
    fn min_if_number(self, hi: f64) -> f64 {
        if self > hi { hi } else { self }
    }
}
