//! Public tables sent with a query: files of the buyer's own.

use std::path::Path;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use tidegate_catalog::dataset::{DataError, open_by};
use tidegate_protocol::policy::ReadRules;

use crate::{NodeError, corrupt};

/// Reads a public table; text by the rules of the job file's `[sql.read]`.
pub(crate) fn public_rows(path: &Path, rules: &ReadRules) -> Result<(SchemaRef, Vec<RecordBatch>), NodeError> {
    let failed = |e: DataError| corrupt(path, e.said_of("to the job file: [sql.read]"));
    let reader = open_by(path, rules).map_err(failed)?;
    let schema = reader.schema();
    Ok((schema, reader.collect::<Result<Vec<_>, _>>().map_err(failed)?))
}

#[cfg(test)]
mod tests {
    use crate::buyer::job_file::JobFile;

    /// The job file says how its own tables are read, and errors name it and no policy.
    #[test]
    fn public_tables_are_read_as_the_job_file_says() {
        let dir = tempfile::tempdir().unwrap();
        let read = |table: &[u8], rules: &str| {
            std::fs::write(dir.path().join("rates.csv"), table).unwrap();
            let text = format!(
                "dataset = \"d\"\nepsilon = 1.0\n[sql]\nquery = \"SELECT COUNT(*) FROM dataset\"\n[sql.tables]\nrates = \"rates.csv\"\n{rules}"
            );
            std::fs::write(dir.path().join("job.toml"), text).unwrap();
            JobFile::read(&dir.path().join("job.toml")).map(|_| ()).map_err(|e| e.to_string())
        };
        for (table, rules) in [
            ("town;rate\nnorth;1,5\nsouth;2\n".as_bytes(), "decimal = \",\""),
            (b"town,rate\ns\xfcd,1.5\n", "encoding = \"windows-1252\""),
            (b"town,rate\n\"north,2\n", "quote = \"'\""),
        ] {
            let said = read(table, "").unwrap_err();
            let field = rules.split(' ').next().unwrap();
            assert!(said.contains("rates.csv") && said.contains(&format!("add to the job file: [sql.read] {field}")), "{said}");
            assert!(!said.contains("policy"), "{said}");
            read(table, &format!("[sql.read]\n{rules}\n")).unwrap();
        }
        // One row decides nothing of anybody's: the table is public.
        read(b"town,rate\nnorth,1\nsouth,1.5\n", "").unwrap();
        let said = read(b"town,rate\nnorth,1\n", "[sql.read]\ndecimal = \"x\"\n").unwrap_err();
        assert!(said.contains("job.toml") && said.contains("sql.read.decimal"), "{said}");
    }
}
