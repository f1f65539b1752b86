use crate::buyer::job_file::*;

#[test]
fn keys_that_are_no_arrays_are_refused_by_name() {
    let said =
        |text: &str| toml::from_str::<SqlFile>(&format!("query = 'q'\n{text}")).map(|sql| sql.keys).map_err(|e| e.to_string());
    assert_eq!(said("keys = [['a'], [1]]").unwrap().unwrap().len(), 2);
    for text in ["keys = ['a']", "keys = [['a'], 7]"] {
        let said = said(text).unwrap_err();
        assert!(said.contains("`keys` has") && said.contains("must be an array"), "{said}");
    }
}

#[test]
fn a_query_is_signed_with_the_day_that_it_was_asked_on() {
    let mut file =
        JobFile::of_sql("visits", "SELECT COUNT(*) AS n FROM dataset WHERE day < CURRENT_DATE AND at < now()", Some(0.5), None)
            .unwrap();
    let bound = file.bound().unwrap_err().to_string();
    assert!(bound.contains("CURRENT_DATE") && bound.contains("DATE '2024-01-31'"), "{bound}");
    let replaced = file.date(1_706_697_000);
    assert_eq!(replaced.len(), 2, "{replaced:?}");
    let query = file.sql.as_ref().unwrap().query.as_str();
    assert!(query.ends_with("day < DATE '2024-01-31' AND at < TIMESTAMPTZ '2024-01-31T10:30:00Z'"), "{query}");
    assert!(file.date(0).is_empty() && file.bound().is_ok());
}

#[test]
fn programs_are_signed_with_the_day_in_their_selects() {
    let select = "SELECT date_diff('day', day, CURRENT_DATE) AS age FROM dataset WHERE at < now()";
    for section in [
        format!("[wasm]\nmodule = 'm.wasm'\nselect = \"{select}\"\noutputs = []\n"),
        format!("[onnx]\nmodel = 'm.onnx'\nselect = \"{select}\"\noutput = 'score'\nreduce = 'max'\noutputs = []\n"),
    ] {
        let text = format!("dataset = 'visits'\nrho = 0.1\n{section}");
        let mut file = JobFile::parse(&text, Path::new("job.toml")).unwrap();
        let bound = file.bound().unwrap_err().to_string();
        assert!(bound.contains("CURRENT_DATE") && bound.contains("DATE '2024-01-31'"), "{bound}");
        assert_eq!(file.date(1_706_697_000).len(), 2);
        let select = file.wasm.as_ref().map(|wasm| &wasm.select).or(file.onnx.as_ref().map(|onnx| &onnx.select)).unwrap();
        assert_eq!(
            select,
            "SELECT date_diff('day', day, DATE '2024-01-31') AS age FROM dataset WHERE at < TIMESTAMPTZ '2024-01-31T10:30:00Z'"
        );
        assert!(file.date(0).is_empty());
    }
}
