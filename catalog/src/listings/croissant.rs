//! Listings for other tools: MLCommons Croissant 1.0 (<https://docs.mlcommons.org/croissant/docs/croissant-spec.html>), JSON-LD.
//!
//! Facts for which Croissant has no terms use `tidegate:` terms, and the signed listing itself is included, so that an exported
//! file can be imported, and is checked then.

use serde_json::{Value, json};
use tidegate_protocol::{Envelope, listing::About};

use super::{CatalogueError, Kept};

/// Record set of a dataset with a single table.
const ROWS: &str = "dataset";

/// Returns Croissant's own context of version 1.0, plus ours.
fn context() -> Value {
    json!({
        "@language": "en",
        "@vocab": "https://schema.org/",
        "citeAs": "cr:citeAs",
        "column": "cr:column",
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "data": { "@id": "cr:data", "@type": "@json" },
        "dataType": { "@id": "cr:dataType", "@type": "@vocab" },
        "dct": "http://purl.org/dc/terms/",
        "equivalentProperty": "cr:equivalentProperty",
        "examples": { "@id": "cr:examples", "@type": "@json" },
        "extract": "cr:extract",
        "field": "cr:field",
        "fileObject": "cr:fileObject",
        "fileProperty": "cr:fileProperty",
        "fileSet": "cr:fileSet",
        "format": "cr:format",
        "includes": "cr:includes",
        "isLiveDataset": "cr:isLiveDataset",
        "jsonPath": "cr:jsonPath",
        "key": "cr:key",
        "md5": "cr:md5",
        "parentField": "cr:parentField",
        "path": "cr:path",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "recordSet": "cr:recordSet",
        "references": "cr:references",
        "regex": "cr:regex",
        "repeated": "cr:repeated",
        "replace": "cr:replace",
        "samplingRate": "cr:samplingRate",
        "sc": "https://schema.org/",
        "separator": "cr:separator",
        "source": "cr:source",
        "subField": "cr:subField",
        "tidegate": "https://tidegate.dev/ns#",
        "transform": "cr:transform",
    })
}

/// Returns Croissant's type for an Arrow type.
fn data_type(arrow: &str) -> &'static str {
    match arrow {
        "Boolean" => "sc:Boolean",
        t if t.starts_with("Int") || t.starts_with("UInt") => "sc:Integer",
        t if t.starts_with("Float") || t.starts_with("Decimal") => "sc:Float",
        t if t.starts_with("Date") || t.starts_with("Timestamp") => "sc:Date",
        _ => "sc:Text",
    }
}

/// Describes a dataset in Croissant. Nothing can be downloaded without a grant: its files belong to a live dataset, without
/// checksums.
///
/// # Errors
/// Returns [`CatalogueError`] if the signed listing cannot be written.
pub fn export(one: &Kept) -> Result<Value, CatalogueError> {
    let listing = &one.listing;
    let mut fields = Vec::new();
    for column in &listing.columns {
        let bounds =
            column.lo.zip(column.hi).map(|(lo, hi)| format!("in [{lo}, {hi}]; values outside count as the nearest bound"));
        let mut field = json!({
            "@type": "cr:Field",
            "@id": format!("{ROWS}/{}", column.name),
            "name": column.name,
            "description": bounds.unwrap_or_else(|| "no public bounds".into()),
            "dataType": data_type(&column.arrow),
            "source": { "fileObject": { "@id": "rows" }, "extract": { "column": column.name } },
            "tidegate:arrow": column.arrow,
        });
        if let Some((lo, hi)) = column.lo.zip(column.hi) {
            (field["tidegate:lo"], field["tidegate:hi"]) = (json!(lo), json!(hi));
        }
        fields.push(field);
    }
    let description = match listing.about.description.as_str() {
        "" => format!("{}, protected by {}: answers are aggregates with differential privacy.", listing.name, listing.unit),
        text => text.to_owned(),
    };
    let mut exported = json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": listing.name,
        "description": description,
        "url": format!("tidegate:{}", listing.population),
        "identifier": listing.manifest,
        "version": "1.0.0",
        "datePublished": listing.published,
        "dateModified": listing.issued,
        "expires": listing.expires,
        "isLiveDataset": true,
        "creator": { "@type": "sc:Organization", "name": one.owner, "identifier": one.owner },
        "distribution": [{
            "@type": "cr:FileObject",
            "@id": "rows",
            "name": "rows",
            "description": "Where the owner's node runs jobs; nobody downloads it without a grant",
            "contentUrl": format!("tidegate:{}", listing.manifest),
            "encodingFormat": "application/x-parquet",
        }],
        "recordSet": [{ "@type": "cr:RecordSet", "@id": ROWS, "name": ROWS, "field": fields }],
        "tidegate:unit": listing.unit,
        "tidegate:maxUnits": listing.max_units,
        "tidegate:kinds": listing.kinds,
        "tidegate:rho": listing.budget.rho_micro.0 as f64 / 1e6,
        "tidegate:rhoPerBuyer": listing.per_buyer.rho_micro.0 as f64 / 1e6,
        "tidegate:sockets": listing.sockets,
        "tidegate:listing": serde_json::to_string(&one.envelope).map_err(CatalogueError::Encode)?,
    });
    if let Some(bytes) = listing.bytes {
        exported["distribution"][0]["contentSize"] = json!(format!("{bytes} B"));
    }
    if !listing.about.keywords.is_empty() {
        exported["keywords"] = json!(listing.about.keywords);
    }
    if !listing.about.license.is_empty() {
        exported["license"] = json!(listing.about.license);
    }
    Ok(exported)
}

/// Extracts the signed listing from an exported file, unchecked.
///
/// # Errors
/// Returns [`CatalogueError::NoListing`] if there is none.
pub fn import(croissant: &Value) -> Result<Envelope, CatalogueError> {
    let text = croissant["tidegate:listing"].as_str().ok_or(CatalogueError::NoListing)?;
    serde_json::from_str(text).map_err(CatalogueError::Croissant)
}

/// Reads the descriptive texts of any Croissant file, for a dataset to be published.
///
/// Terms may be written in any JSON-LD form: with a prefix or in full, in a graph, as a value of a language.
pub fn about(croissant: &Value) -> About {
    let graph = croissant["@graph"].as_array().and_then(|nodes| nodes.iter().find(|node| is_dataset(node)));
    let dataset = graph.unwrap_or(croissant);
    let keywords = match term(dataset, "keywords") {
        Value::Array(words) => words.iter().map(text).filter(|word| !word.is_empty()).collect(),
        words => text(words).split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect(),
    };
    About { description: text(term(dataset, "description")), keywords, license: text(term(dataset, "license")) }
}

/// Returns whether a node of a graph is the dataset.
fn is_dataset(node: &Value) -> bool {
    let named = |kind: &Value| kind.as_str().is_some_and(|kind| kind.rsplit([':', '/']).next() == Some("Dataset"));
    match &node["@type"] {
        Value::Array(kinds) => kinds.iter().any(named),
        kind => named(kind),
    }
}

/// Returns the value of a schema.org term, in any spelling.
fn term<'a>(node: &'a Value, name: &str) -> &'a Value {
    ["", "sc:", "schema:", "https://schema.org/", "http://schema.org/"]
        .iter()
        .map(|prefix| &node[format!("{prefix}{name}")])
        .find(|value| !value.is_null())
        .unwrap_or(&Value::Null)
}

/// Returns a text, or the first of several; for an object its name, or its location; for a value in several languages the English
/// text.
fn text(value: &Value) -> String {
    let known = |thing: &Value| {
        let words = ["@value", "en", "@id", "url", "name"].iter().find_map(|key| thing[*key].as_str());
        words.or_else(|| thing.as_object()?.iter().find(|(key, _)| *key != "@type")?.1.as_str()).unwrap_or_default().to_owned()
    };
    match value {
        Value::String(text) => text.clone(),
        Value::Array(several) => several.first().map(text).unwrap_or_default(),
        thing => known(thing),
    }
}
