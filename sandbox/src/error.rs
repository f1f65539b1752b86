//! Output sink and error of a run.

/// Receiver of the sums of groups, of which none comes twice. Its error ends the run.
pub type Sink<'a> = dyn FnMut(Vec<tidegate_gate::GroupSums>) -> Result<(), RunError> + 'a;

/// Error of a run after admission. Its details are for the owner's log only.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The data could not be read, or differs from the published data.
    #[error("data: {0}")]
    Data(String),
    /// The engine failed, because of a bug of ours or a broken file.
    #[error("engine: {0}")]
    Engine(String),
    /// The rows of a unit were not contiguous, so counting would be unbounded.
    #[error("the rows are not ordered by privacy unit")]
    Unordered,
}

impl From<arrow::error::ArrowError> for RunError {
    fn from(e: arrow::error::ArrowError) -> Self {
        Self::Data(e.to_string())
    }
}
impl From<parquet::errors::ParquetError> for RunError {
    fn from(e: parquet::errors::ParquetError) -> Self {
        Self::Data(e.to_string())
    }
}
impl From<datafusion::error::DataFusionError> for RunError {
    fn from(e: datafusion::error::DataFusionError) -> Self {
        Self::Engine(e.to_string())
    }
}
impl From<tidegate_gate::GateError> for RunError {
    fn from(e: tidegate_gate::GateError) -> Self {
        Self::Engine(e.to_string())
    }
}
