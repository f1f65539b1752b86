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
