//! A listing: an owner's public description of a dataset, for discovery. Listings are signed and expire.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::{
    ContentHash, Cost, PeerId, Signed,
    cost::FemtoDelta,
    dsse::Document,
    limits,
    manifest::{DataFile, Manifest},
    policy::{Access, JobKind, Policy},
};

mod fitted;

use crate::about::text;
pub use crate::about::{About, BadListing};

/// Lifetime of a listing. Its owner signs another long before.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A column in a listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedColumn {
    /// Column name, prefixed with the table's name if there are several tables.
    pub name: String,
    /// Arrow data type in arrow-rs's text form.
    pub arrow: String,
    /// Public lower bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lo: Option<f64>,
    /// Public upper bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hi: Option<f64>,
}

/// Addresses at which a dataset is available, as stated by its owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached {
    /// Sockets of the owner's node: `ip:port`.
    pub sockets: Vec<String>,
    /// Relay over which the node can be reached.
    pub relay: Option<String>,
    /// Addresses of mirrors, which hold the dataset encrypted.
    pub mirrors: Vec<String>,
    /// Addresses of delegates, which answer jobs over the dataset for its owner.
    pub holders: Vec<String>,
}

/// Owner's public description of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Version of this format.
    pub version: u32,
    /// Name of the dataset.
    pub name: String,
    /// Human-readable description.
    #[serde(default, skip_serializing_if = "About::is_empty")]
    pub about: About,
    /// Id of the manifest.
    pub manifest: ContentHash,
    /// Dataset lineage.
    pub population: ContentHash,
    /// Time of publication of this version, RFC 3339.
    pub published: String,
    /// Time of signing, RFC 3339. A listing replaces earlier listings of the same owner and lineage.
    pub issued: String,
    /// Time of expiry, RFC 3339.
    pub expires: String,
    /// Column of the privacy unit, whose privacy is protected.
    pub unit: String,
    /// Maximum number of units: public, whatever the rows are.
    pub max_units: u64,
    /// Maximum number of a unit's rows counted in a group.
    pub max_rows: u32,
    /// Columns visible to jobs, as many as there is room for.
    pub columns: Vec<ListedColumn>,
    /// Kinds of jobs.
    pub kinds: Vec<JobKind>,
    /// Privacy budget of the lineage.
    pub budget: Cost,
    /// Maximum part of the budget for each buyer.
    pub per_buyer: Cost,
    /// δ at which ε is shown to people.
    pub delta_femto: FemtoDelta,
    /// Access rule for sending jobs.
    pub compute: Access,
    /// Access rule for copying the files.
    pub replicate: Access,
    /// Bytes of the files; if nobody may copy them, the owner's bound ([`crate::policy::FileRules`]), if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// File of mock rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mock: Option<DataFile>,
    /// Sockets of the owner's node: `ip:port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<String>,
    /// Relay over which the node can be reached: `https://…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
    /// Addresses of mirrors, which hold the dataset encrypted, as commands take them: `did:key:…@ip:port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// Addresses of delegates, which answer jobs over the dataset by leases of its budget; written as in `mirrors`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<String>,
}

impl Document for Listing {
    const PAYLOAD_TYPE: &'static str = "application/vnd.tidegate.listing.v1+json";
}

fn time(field: &'static str, text: &str) -> Result<SystemTime, BadListing> {
    let time: jiff::Timestamp = text.parse().map_err(|_| BadListing { field, why: "is not an RFC 3339 time" })?;
    Ok(time.into())
}

impl Listing {
    /// Builds a listing of a dataset, valid from `now`.
    pub fn of(manifest: &Signed<Manifest>, policy: &Policy, reached: Reached, now: SystemTime) -> Self {
        let (id, manifest) = (manifest.id(), manifest.body());
        let columns = manifest.schema.iter().map(|column| {
            let rule = policy.columns.get(&column.name);
            let (lo, hi) = (rule.and_then(|rule| rule.lo), rule.and_then(|rule| rule.hi));
            ListedColumn { name: column.name.clone(), arrow: column.arrow.clone(), lo, hi }
        });
        let text = |time: SystemTime| jiff::Timestamp::try_from(time).map(|t| t.to_string()).unwrap_or_default();
        let mut listing = Self {
            version: 1,
            name: manifest.name.clone(),
            about: manifest.about.clone(),
            manifest: id,
            population: manifest.population,
            published: manifest.published.clone(),
            issued: text(now),
            expires: text(now + LIFETIME),
            unit: policy.unit.column.clone(),
            max_units: policy.unit.max_units,
            max_rows: policy.unit.max_rows,
            columns: columns.collect(),
            kinds: policy.kinds.clone(),
            budget: policy.budget,
            per_buyer: policy.per_buyer,
            delta_femto: policy.delta_femto,
            compute: policy.compute,
            replicate: policy.replicate,
            bytes: manifest.files.bytes().or_else(|| policy.files.total(manifest.files.count())),
            mock: manifest.mock.clone(),
            sockets: reached.sockets,
            relay: reached.relay,
            mirrors: reached.mirrors,
            holders: reached.holders,
        };
        // A wide table is cut to the columns that fit.
        while serde_json::to_vec(&listing).is_ok_and(|bytes| bytes.len() > limits::LISTING_BYTES) && !listing.columns.is_empty() {
            listing.columns.truncate(listing.columns.len() / 2);
        }
        listing
    }

    /// Checks whether the listing can be shown and is valid at `now`.
    ///
    /// # Errors
    /// Returns [`BadListing`] with the name of the bad field.
    pub fn check(&self, now: SystemTime) -> Result<(), BadListing> {
        if self.version != 1 {
            return Err(BadListing { field: "version", why: "is not supported by this version" });
        }
        if self.name.is_empty() {
            return Err(BadListing { field: "name", why: "is empty" });
        }
        text("name", &self.name, limits::NAME_BYTES)?;
        text("unit", &self.unit, limits::NAME_BYTES)?;
        self.about.check()?;
        for column in &self.columns {
            text("columns", &column.name, 2 * limits::NAME_BYTES)?;
            text("columns", &column.arrow, limits::DESCRIPTION_BYTES)?;
        }
        if let Some(mock) = &self.mock {
            text("mock", &mock.name, limits::NAME_BYTES)?;
        }
        if self.sockets.len() > limits::SOCKETS || self.sockets.iter().any(|s| s.parse::<std::net::SocketAddr>().is_err()) {
            return Err(BadListing { field: "sockets", why: "has too many entries, or one that is not ip:port" });
        }
        if let Some(relay) = &self.relay {
            text("relay", relay, limits::NAME_BYTES)?;
            let plain = relay.bytes().all(|b| b.is_ascii_graphic() && b != b',' && b != b'@');
            if !plain || !(relay.starts_with("https://") || relay.starts_with("http://")) {
                return Err(BadListing { field: "relay", why: "does not start with https://" });
            }
        }
        let addresses = |mirror: &String| {
            mirror.len() <= 2 * limits::NAME_BYTES
                && mirror.starts_with("did:key:")
                && mirror.bytes().all(|b| b.is_ascii_graphic())
        };
        for (field, all) in [("mirrors", &self.mirrors), ("holders", &self.holders)] {
            if all.len() > limits::SOCKETS || !all.iter().all(addresses) {
                return Err(BadListing { field, why: "has too many entries, or one that is not an address" });
            }
        }
        time("published", &self.published)?;
        let (issued, expires) = (time("issued", &self.issued)?, time("expires", &self.expires)?);
        if issued > now + Duration::from_secs(limits::CLOCK_SKEW_SECONDS as u64) {
            return Err(BadListing { field: "issued", why: "is in the future" });
        }
        if expires <= now {
            return Err(BadListing { field: "expires", why: "is in the past" });
        }
        if expires > issued + LIFETIME {
            return Err(BadListing { field: "expires", why: "is too long after it was issued" });
        }
        Ok(())
    }

    /// Returns the time of signing, in nanoseconds since 1970, to order listings by.
    pub fn order(&self) -> i64 {
        nanoseconds(&self.issued)
    }

    /// Returns the time of expiry, in nanoseconds since 1970.
    pub fn ends(&self) -> i64 {
        nanoseconds(&self.expires)
    }

    /// Returns the owner's address as used in commands, or the owner's key alone if no address is listed.
    pub fn address(&self, owner: &PeerId) -> String {
        let places: Vec<_> = self.sockets.iter().chain(&self.relay).map(String::as_str).collect();
        format!("{owner}{}{}", if places.is_empty() { "" } else { "@" }, places.join(","))
    }
}

fn nanoseconds(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().ok().and_then(|t| i64::try_from(t.as_nanosecond()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        let (id, cost) = (ContentHash::of(b"m"), Cost::default());
        Listing {
            version: 1,
            name: "towns".into(),
            about: About {
                description: "Zürich, 東京 and others".into(),
                keywords: vec!["spend".into()],
                license: "CC0-1.0".into(),
            },
            manifest: id,
            population: id,
            published: "2026-01-01T00:00:00Z".into(),
            issued: "2026-01-02T00:00:00Z".into(),
            expires: "2026-01-03T00:00:00Z".into(),
            unit: "person".into(),
            max_units: 100,
            max_rows: 2,
            columns: vec![ListedColumn { name: "spend".into(), arrow: "Int64".into(), lo: Some(0.0), hi: Some(1.0) }],
            kinds: vec![JobKind::Sql],
            budget: cost,
            per_buyer: cost,
            delta_femto: FemtoDelta(0),
            compute: Access::Granted,
            replicate: Access::Nobody,
            bytes: Some(10),
            mock: None,
            sockets: vec!["192.0.2.7:4433".into()],
            relay: Some("https://relay.example/".into()),
            mirrors: vec!["did:key:z6Mk@192.0.2.7:4433".into()],
            holders: vec!["did:key:z6Mk@192.0.2.7:4434".into()],
        }
    }

    fn at(text: &str) -> SystemTime {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    #[test]
    fn a_listing_is_good_in_its_time() {
        let good = |now: &str| listing().check(at(now)).map_err(|e| e.field);
        assert_eq!(good("2026-01-02T00:00:00Z"), Ok(()));
        assert_eq!(good("2026-01-01T23:55:00Z"), Ok(()));
        assert_eq!(good("2026-01-01T23:54:59Z"), Err("issued"));
        assert_eq!(good("2026-01-02T23:59:59Z"), Ok(()));
        assert_eq!(good("2026-01-03T00:00:00Z"), Err("expires"));
    }

    #[test]
    fn each_field_has_its_bounds() {
        type Change = fn(&mut Listing);
        let bad: [(&str, Change); 21] = [
            ("version", |l| l.version = 2),
            ("name", |l| l.name.clear()),
            ("name", |l| l.name = "n".repeat(limits::NAME_BYTES + 1)),
            ("name", |l| l.name = "\u{202e}snwot".into()),
            ("description", |l| l.about.description = "x".repeat(1 << 20)),
            ("description", |l| l.about.description = "a\u{200b}b".into()),
            ("description", |l| l.about.description = "a\u{1b}[2J".into()),
            ("license", |l| l.about.license = "\u{feff}MIT".into()),
            ("keywords", |l| l.about.keywords = vec!["k".into(); limits::KEYWORDS + 1]),
            ("columns", |l| l.columns[0].name = "sp\u{ad}end".into()),
            ("sockets", |l| l.sockets = vec!["example.org:1".into()]),
            ("relay", |l| l.relay = Some("relay.example".into())),
            ("relay", |l| l.relay = Some("https://relay.example/,127.0.0.1:1".into())),
            ("relay", |l| l.relay = Some(format!("https://{}/", "r".repeat(limits::NAME_BYTES)))),
            ("holders", |l| l.holders = vec!["192.0.2.7:4433".into()]),
            ("mirrors", |l| l.mirrors = vec!["192.0.2.7:4433".into()]),
            ("mirrors", |l| l.mirrors = vec!["did:key:z6Mk @192.0.2.7:4433".into()]),
            ("mirrors", |l| l.mirrors = vec![l.mirrors[0].clone(); limits::SOCKETS + 1]),
            ("published", |l| l.published = "yesterday".into()),
            ("expires", |l| l.expires = "2026-01-03T00:00:00.001Z".into()),
            ("issued", |l| l.issued.clear()),
        ];
        for (field, change) in bad {
            let mut listing = listing();
            change(&mut listing);
            assert_eq!(listing.check(at("2026-01-02T00:00:00Z")).unwrap_err().field, field);
        }
    }
}
