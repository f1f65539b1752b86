//! Columns → the tensors of a model's inputs, and labels.

use std::ops::Range;

use tidegate_guest::{
    Column, Rows, Values,
    nn::{Tensor, TensorType},
    number,
};

use crate::plan::{Input, Kind, Plan};

/// For each input its columns: one of bytes, that holds a row's values as they lie in memory, or one for each value.
pub(crate) fn columns<'a>(plan: &Plan, rows: &'a Rows) -> Result<Vec<Vec<&'a Column>>, String> {
    let mut features = rows.columns.iter().filter(|column| Some(&column.name) != plan.label.as_ref()).peekable();
    let mut all = vec![];
    for input in &plan.inputs {
        let bytes = features.peek().is_some_and(|column| matches!(column.values, Values::Bytes(_)));
        let wanted = if bytes { 1 } else { input.width() };
        let mine: Vec<_> = features.by_ref().take(wanted).collect();
        if mine.len() < wanted {
            return Err(format!("input {:?} takes {wanted} columns more than there are", input.name));
        }
        all.push(mine);
    }
    Ok(all)
}

/// Tensors of some rows; nothing where a value is missing that has no place in one.
pub(crate) fn inputs(plan: &Plan, columns: &[Vec<&Column>], rows: Range<usize>) -> Result<Option<Vec<(String, Tensor)>>, String> {
    let mut all = vec![];
    for (input, columns) in plan.inputs.iter().zip(columns) {
        let Some(bytes) = bytes(input, columns, rows.clone()) else { return Ok(None) };
        let dimensions: Vec<u32> = std::iter::once(rows.len() as u32).chain(input.row.iter().copied()).collect();
        let kind = match input.kind {
            Kind::F32 => TensorType::Fp32,
            Kind::F64 => TensorType::Fp64,
            Kind::I32 => TensorType::I32,
            Kind::I64 => TensorType::I64,
            Kind::U8 | Kind::Bool => TensorType::U8,
        };
        all.push((input.name.clone(), Tensor::new(&dimensions, kind, &bytes)));
    }
    Ok(Some(all))
}

fn bytes(input: &Input, columns: &[&Column], rows: Range<usize>) -> Option<Vec<u8>> {
    let size = input.width() * input.kind.bytes();
    let mut all = Vec::with_capacity(size * rows.len());
    for row in rows {
        match columns {
            [Column { values: Values::Bytes(values), valid, .. }] => {
                let whole = valid.get(row).copied().unwrap_or(valid.is_empty());
                all.extend(values.get(row).filter(|v| whole && v.len() == size)?);
            }
            _ => columns.iter().try_for_each(|column| value(input.kind, column, row, &mut all))?,
        }
    }
    Some(all)
}

/// A column's value as an input's type. A missing float is NaN; what does not fit another type is missing.
fn value(kind: Kind, column: &Column, row: usize, into: &mut Vec<u8>) -> Option<()> {
    let valid = column.valid.is_empty() || column.valid.get(row).copied().unwrap_or_default();
    match (kind, &column.values) {
        (Kind::F32, Values::S64s(v)) if valid => into.extend((*v.get(row)? as f32).to_le_bytes()),
        (Kind::F32, _) => into.extend((number(column, row).unwrap_or(f64::NAN) as f32).to_le_bytes()),
        (Kind::F64, _) => into.extend(number(column, row).unwrap_or(f64::NAN).to_le_bytes()),
        (Kind::I64, _) => into.extend(whole(column, row)?.to_le_bytes()),
        (Kind::I32, _) => into.extend(i32::try_from(whole(column, row)?).ok()?.to_le_bytes()),
        (Kind::U8, _) => into.extend(u8::try_from(whole(column, row)?).ok()?.to_le_bytes()),
        (Kind::Bool, _) => into.push(u8::from(number(column, row)? != 0.0)),
    }
    Some(())
}

/// A whole number, the rest of a float cut off.
fn whole(column: &Column, row: usize) -> Option<i64> {
    if let (Values::S64s(v), true) = (&column.values, column.valid.get(row).copied().unwrap_or(column.valid.is_empty())) {
        return v.get(row).copied();
    }
    // Floats reach to 2^63, which is no i64.
    number(column, row).map(f64::trunc).filter(|v| (-(2f64.powi(63))..2f64.powi(63)).contains(v)).map(|v| v as i64)
}

/// The rows' labels, where the plan names a column of them.
pub(crate) fn labels(plan: &Plan, rows: &Rows) -> Result<Vec<f64>, String> {
    let Some(name) = &plan.label else { return Ok(vec![]) };
    let column = rows.columns.iter().find(|column| column.name == *name).ok_or_else(|| format!("no column {name:?}"))?;
    Ok((0..rows.len as usize).map(|row| number(column, row).unwrap_or(f64::NAN)).collect())
}
