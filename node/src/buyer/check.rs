//! The owner's answer to a job before any row is read: by the owner's own code, from schema and policy alone.

use std::{sync::Arc, time::SystemTime};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use tidegate_audit::rules::price;
use tidegate_gate::{Plan, Split, Terms};
use tidegate_protocol::{
    Code, ContentHash, PeerId, Refusal,
    device::Place,
    grant::{self, Action, Ask},
    manifest::{ColumnType, Manifest},
    policy::Policy,
    receipt::Mechanism,
};

pub use tidegate_sandbox::sql::published;

use crate::{
    NodeError,
    buyer::job_file::JobFile,
    error::Unverified,
    home::Home,
    owner::{broken, jobs::code_cache::Codes},
    worker::{Checked, Work, Workers},
};

/// A job that would be admitted.
#[derive(Debug)]
pub struct Planned {
    /// Work order for the worker.
    pub work: Work,
    /// The worker's findings.
    pub checked: Checked,
    /// Plan of the release.
    pub plan: Plan,
    /// Terms of the release.
    pub terms: Terms,
}

impl Planned {
    /// Returns the noise as a receipt would state it.
    pub fn mechanism(&self) -> Mechanism {
        Mechanism { rows_read: self.checked.rows_read, ..self.terms.mechanism(&self.plan) }
    }

    /// Returns how the price is split over the columns.
    pub fn split(&self) -> Split {
        self.plan.split(self.work.job.cost)
    }
}

/// Plans `file` against a dataset's `schema` under `policy`, without data, network or charge. Compiled code is kept in `home`.
///
/// # Errors
/// [`NodeError::Refused`] with the owner's answer; [`NodeError::JobFile`] if the job file itself cannot be used.
pub async fn plan(home: &Home, file: &JobFile, policy: &Policy, schema: SchemaRef) -> Result<Planned, NodeError> {
    let workers = Workers::default();
    let (job, attachment) = file.job(ContentHash([0; 32]), policy, &schema, "0".repeat(32), 0)?;
    let attachment = Codes::at(home, &workers).attachment(&job.program, &attachment, policy).await?;
    // The policy's rules on devices apply here too. The owner's hardware is not known, and on this machine the job runs on the
    // processor.
    policy.models.device.place(job.program.on(), u32::MAX)?;
    let work = Work { job, policy: policy.clone(), schema, attachment, prf: [0; 32], place: Place::Cpu };
    let checked = workers.check(&work).await?;
    let gate = |e: tidegate_gate::GateError| Refusal::new(Code::Program, e.to_string()).at("cost");
    let plan = Plan::new(checked.shape.clone()).map_err(gate)?;
    let terms = Terms::of(&work.job, policy, &plan).map_err(gate)?;
    holds(&plan, &terms)?;
    Ok(Planned { work, checked, plan, terms })
}

/// Checks whether a grant allows `peer` a planned job over this dataset now, by the owner's own code.
///
/// Facts that only the owner knows are not checked: whether the grant was revoked, and how many jobs began under it within the
/// hour.
///
/// # Errors
/// A [`Refusal`] naming the field of the grant.
pub fn granted(grant: &str, peer: PeerId, manifest: &Manifest, planned: &Planned) -> Result<(), Refusal> {
    let job = &planned.work.job;
    let reducers = planned.mechanism().columns.into_iter().map(|column| column.reducer).collect();
    let of_job = Ask::of(Action::Compute, SystemTime::now());
    let ask = Ask { cost: job.cost, program: Some(job.bound()), reducers, ..of_job };
    grant::authorize(grant, &manifest.grant_key, peer, manifest.population, &ask).map(drop)
}

/// Checks by the audit's own rules that a receipt of this noise at this price would pass an audit.
///
/// # Errors
/// A [`Refusal`] naming the column.
pub(crate) fn holds(plan: &Plan, terms: &Terms) -> Result<(), Refusal> {
    price::check(&terms.mechanism(plan), terms.cost()).map_err(|(rule, detail)| broken(rule, &detail))
}

/// Converts a manifest's columns to an Arrow schema under the dataset's name in the manifest.
///
/// # Errors
/// [`NodeError::Unverified`] naming a type that this version does not know.
pub fn schema(manifest: &Manifest) -> Result<SchemaRef, NodeError> {
    let schema = Schema::new(manifest.schema.iter().map(field).collect::<Result<Vec<_>, NodeError>>()?);
    Ok(published(&Arc::new(schema), &manifest.name))
}

/// Converts a manifest's column, which may contain NULL.
fn field(column: &ColumnType) -> Result<Field, NodeError> {
    let kind: DataType = column.arrow.parse().map_err(|_| {
        NodeError::Unverified(Unverified::ColumnType { column: column.name.clone(), arrow: column.arrow.clone() })
    })?;
    Ok(Field::new(&column.name, kind, true))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};

    use super::*;

    /// Jobs are planned over the types that a manifest spells: each that can be published is read again as what it is.
    #[test]
    fn every_type_that_a_manifest_spells_is_read_again() {
        let mut kinds = vec![
            DataType::Null,
            DataType::Boolean,
            DataType::Int8,
            DataType::Int16,
            DataType::Int32,
            DataType::Int64,
            DataType::UInt8,
            DataType::UInt16,
            DataType::UInt32,
            DataType::UInt64,
            DataType::Float16,
            DataType::Float32,
            DataType::Float64,
            DataType::Date32,
            DataType::Date64,
            DataType::Time32(Second),
            DataType::Time32(Millisecond),
            DataType::Time64(Microsecond),
            DataType::Time64(Nanosecond),
            DataType::Binary,
            DataType::LargeBinary,
            DataType::BinaryView,
            DataType::FixedSizeBinary(16),
            DataType::Utf8,
            DataType::LargeUtf8,
            DataType::Utf8View,
            DataType::Decimal32(9, 2),
            DataType::Decimal64(18, -3),
            DataType::Decimal128(38, 0),
            DataType::Decimal256(76, 70),
        ];
        for unit in [Second, Millisecond, Microsecond, Nanosecond] {
            kinds.push(DataType::Duration(unit));
            for zone in [None, Some("UTC"), Some("+02:00"), Some("Europe/Berlin"), Some("America/Argentina/Buenos_Aires")] {
                kinds.push(DataType::Timestamp(unit, zone.map(Into::into)));
            }
        }
        for kind in kinds {
            let column = ColumnType { name: "x".into(), arrow: kind.to_string() };
            assert_eq!(field(&column).unwrap(), Field::new("x", kind, true), "{}", column.arrow);
        }
    }
}
