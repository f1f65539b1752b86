use super::*;

#[test]
fn keys_that_are_no_arrays_are_refused_by_name() {
    let said =
        |text: &str| toml::from_str::<SqlFile>(&format!("query = 'q'\n{text}")).map(|sql| sql.keys).map_err(|e| e.to_string());
    assert_eq!(said("keys = [['a'], [1]]").unwrap().unwrap().len(), 2);
    for text in ["keys = ['a']", "keys = [['a'], 7]"] {
        let said = said(text).unwrap_err();
        assert!(said.contains("`keys` has") && said.contains("is an array"), "{said}");
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
