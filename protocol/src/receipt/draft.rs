//! Both entries of a job as canonical JSON (RFC 8785), serialized once.
//!
//! Values known only at the job's turn in the ledger are set into a gap, and the receipt repeats the facts as they were written.
//! The bytes equal those of the typed statements; a test compares the two.
//!
//! Positions are found by fragments such as `"ledger":{`. A quotation mark within a JSON string is escaped, so no text of a
//! buyer's or an owner's can look like a fragment.

use std::ops::Range;

use super::{JobFacts, Kind, STATEMENT_TYPE, entry::Ending, sorted};
use crate::{Sha256Digest, dsse::BadDocument};

/// Tag of an INTENT's facts, absent from a receipt's.
const TAG: &str = "\"entry\":\"intent\",";
/// First fact after the tag.
const AFTER_TAG: &str = "\"grant\":";
/// Maximum number of digits of a sequence.
const DIGITS: usize = 20;

/// An INTENT whose position in the ledger is not known yet.
#[derive(Debug, Clone)]
pub struct Draft {
    text: String,
    /// Position of the link's digest and sequence.
    gap: Range<usize>,
}

/// An INTENT as it is signed.
#[derive(Debug, Clone)]
pub struct Intent {
    text: String,
    link: Range<usize>,
}

/// Facts of a job as written in its INTENT.
#[derive(Debug, Clone)]
pub struct Facts(String);

fn between(text: &str, from: &str, to: &str) -> Option<Range<usize>> {
    let begin = text.find(from)? + from.len();
    Some(begin..begin + text[begin..].find(to)?)
}

fn missing() -> BadDocument {
    BadDocument::Payload("the statement is not in its canonical form".into())
}

impl Draft {
    /// Drafts the INTENT of a job about `subject`. The sequence and previous digest of its link are ignored.
    ///
    /// # Errors
    /// Returns [`BadDocument::Payload`] for numbers that JSON cannot hold.
    pub fn of(facts: &JobFacts, subject: Sha256Digest) -> Result<Self, BadDocument> {
        let Facts(written) = Facts::of(facts)?;
        let (before, after) = written.split_at(written.find(AFTER_TAG).ok_or_else(missing)?);
        let (uri, job) = (Kind::Intent.uri(), facts.job);
        let text = format!(
            "{{\"_type\":\"{STATEMENT_TYPE}\",\"predicate\":{before}{TAG}{after},\"predicateType\":\"{uri}\",\
             \"subject\":[{{\"digest\":{{\"sha256\":\"{subject}\"}},\"name\":\"job {job}\"}}]}}"
        );
        // Last two keys of the link: `"previous":"…","sequence":…}`.
        let sequence = between(&text, "\"sequence\":", "}").ok_or_else(missing)?;
        let previous = "\"previous\":\"".len() + 64 + "\",".len();
        let begin = sequence.start.checked_sub("\"sequence\":".len() + previous).ok_or_else(missing)?;
        if !text[begin..].starts_with("\"previous\":\"") {
            return Err(missing());
        }
        Ok(Self { text, gap: begin..sequence.end })
    }

    /// Returns an upper bound of its final length in bytes.
    pub fn most(&self) -> usize {
        self.text.len() + DIGITS
    }

    /// Fills in the position in the ledger.
    ///
    /// # Errors
    /// Returns [`BadDocument::Payload`], but never for a draft of [`Draft::of`].
    pub fn placed(&self, sequence: u64, previous: Sha256Digest) -> Result<Intent, BadDocument> {
        let (before, after) = (&self.text[..self.gap.start], &self.text[self.gap.end..]);
        let text = format!("{before}\"previous\":\"{previous}\",\"sequence\":{sequence}{after}");
        let link = before.find("\"ledger\":").ok_or_else(missing)? + "\"ledger\":".len();
        // The link's last key was inserted; the next character closes the link.
        let end = text.len() - after.len() + 1;
        Ok(Intent { link: link..end, text })
    }
}

impl Intent {
    /// Returns the payload to sign.
    pub fn payload(&self) -> &str {
        &self.text
    }

    /// Returns the payload to sign, by value.
    pub fn into_payload(self) -> String {
        self.text
    }

    /// Returns the link in canonical JSON, which the next link's digest is computed from.
    pub fn link(&self) -> &str {
        &self.text[self.link.clone()]
    }

    /// Returns the facts in canonical JSON.
    ///
    /// # Errors
    /// Returns [`BadDocument::Payload`], but never for a draft of [`Draft::of`].
    pub fn facts(&self) -> Result<Facts, BadDocument> {
        Facts::of_intent(&self.text)
    }
}

/// An OUTCOME as it is signed.
#[derive(Debug, Clone)]
pub struct Outcome {
    text: String,
    facts: Range<usize>,
}

impl Outcome {
    /// Returns the payload to sign.
    pub fn payload(&self) -> &str {
        &self.text
    }

    /// Returns the text before and after the facts.
    pub fn around(&self) -> (&str, &str) {
        (&self.text[..self.facts.start], &self.text[self.facts.end..])
    }
}

impl Facts {
    /// Writes the facts as in a draft.
    ///
    /// # Errors
    /// Returns [`BadDocument::Payload`] for numbers that JSON cannot hold.
    fn of(facts: &JobFacts) -> Result<Self, BadDocument> {
        Ok(Self(sorted::to_string(facts).map_err(|e| BadDocument::Payload(e.to_string()))?))
    }

    /// Extracts the facts from the payload of an INTENT, which is canonical JSON.
    ///
    /// # Errors
    /// Returns [`BadDocument::Payload`] if the payload is not an INTENT's.
    pub fn of_intent(payload: &str) -> Result<Self, BadDocument> {
        let predicate = payload.find("\"predicate\":").ok_or_else(missing)? + "\"predicate\":".len();
        let end = payload.rfind(",\"predicateType\":").filter(|end| *end > predicate).ok_or_else(missing)?;
        let (before, after) = payload[predicate..end].split_once(TAG).ok_or_else(missing)?;
        Ok(Self(format!("{before}{after}")))
    }

    /// Returns the facts as canonical JSON.
    pub fn json(&self) -> &str {
        &self.0
    }

    /// Builds the OUTCOME with these facts, about `subject`, called `name`. Neither `name` nor `mode` has anything to be escaped
    /// in JSON.
    pub fn outcome(
        &self,
        (name, subject): (&str, Sha256Digest),
        intent: u64,
        mode: &str,
        outcome: Ending,
        commitment: Option<Sha256Digest>,
    ) -> Outcome {
        let commitment = commitment.map(|digest| format!("\"commitment\":\"{digest}\",")).unwrap_or_default();
        let ending = match outcome {
            Ending::Released => "released",
            Ending::SpentNotReleased => "spent-not-released",
        };
        let (facts, uri) = (&self.0, Kind::Receipt.uri());
        let mut text = format!("{{\"_type\":\"{STATEMENT_TYPE}\",\"predicate\":{{{commitment}\"entry\":\"outcome\",\"facts\":");
        let begin = text.len();
        text += facts;
        let facts = begin..text.len();
        text += &format!(
            ",\"intent\":{intent},\"mode\":\"{mode}\",\"outcome\":\"{ending}\"}},\"predicateType\":\"{uri}\",\
             \"subject\":[{{\"digest\":{{\"sha256\":\"{subject}\"}},\"name\":\"{name}\"}}]}}"
        );
        Outcome { text, facts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ContentHash, Cost, Identity, MicroRho,
        cost::FemtoDelta,
        receipt::{ColumnNote, InferenceNote, LedgerLink, Mechanism, Predicate, Statement},
    };

    /// Facts with every optional field or none, and texts that look like the pieces that places are found by.
    fn facts(whole: bool, text: &str, sequence: u64, previous: Sha256Digest) -> JobFacts {
        let (hash, buyer) = (ContentHash::of(text.as_bytes()), Identity::from_seed([9; 32]).id().into());
        let cost = |micro| Cost::dp(MicroRho(micro), FemtoDelta(7));
        let column = ColumnNote {
            name: text.into(),
            reducer: text.into(),
            lo: -1.5e-7,
            hi: 1e21,
            deviation: vec![0.1, 1e6],
            steps: vec![0.5, 1e-9],
            noise_scale: vec![0.1, 1e6],
            moves: vec![100.0],
        };
        JobFacts {
            job: hash,
            buyer_signature: text.into(),
            columns: if whole { vec![text.into(); 2] } else { vec![] },
            buyer,
            holder: whole.then_some(buyer),
            dataset: hash,
            dataset_sha256: Sha256Digest([3; 32]),
            previous: whole.then_some(hash),
            policy: hash,
            policy_newest: whole.then_some(hash),
            kind: text.into(),
            program: hash,
            grant: hash,
            grant_ids: vec![text.into(); 2],
            approval: whole.then_some(hash),
            lease: whole.then_some(hash),
            ledger: LedgerLink { sequence, previous, population: hash, buyer, job: hash, cost: cost(5), cap: cost(1 << 50) },
            mechanism: Mechanism {
                noise: text.into(),
                adjacency: text.into(),
                max_groups: 3,
                max_rows: 4,
                blocks: whole.then_some(8),
                resample: None,
                rows_read: None,
                least_units: whole.then_some(20),
                threshold: None,
                threshold_noise: whole.then_some(2.5),
                columns: vec![column.clone(), column],
            },
            engine: text.into(),
            build: hash,
            inference: whole.then(|| InferenceNote {
                provider: text.into(),
                device: text.into(),
                runtime: text.into(),
                tf32: true,
            }),
            slot_start: text.into(),
            slot_end: text.into(),
        }
    }

    #[test]
    fn what_is_put_together_is_what_the_library_writes() {
        let nasty = [
            "",
            "plain",
            "\"sequence\":7}",
            "\",\"previous\":\"00\",\"sequence\":1}",
            "\"ledger\":{\"entry\":\"intent\",\"grant\":",
            ",\"predicateType\":\"x\",\"predicate\":{}",
            "\u{e9}\u{1f600}\n\t\\",
        ];
        let canonical = |statement: &Statement| serde_json_canonicalizer::to_string(statement).unwrap();
        for (number, text) in nasty.into_iter().enumerate() {
            for whole in [false, true] {
                for sequence in [0, 9, 1 << 40] {
                    let (subject, previous) = (Sha256Digest([number as u8; 32]), Sha256Digest([0xab; 32]));
                    let typed = facts(whole, text, sequence, previous);
                    let draft = Draft::of(&facts(whole, text, 12345, Sha256Digest([1; 32])), subject).unwrap();
                    let most = draft.most();
                    let intent = draft.placed(sequence, previous).unwrap();
                    assert!(intent.payload().len() <= most);
                    let name = format!("job {}", typed.job);
                    let statement = Statement::about(&name, subject, Predicate::Intent(Box::new(typed.clone())));
                    assert_eq!(intent.payload(), canonical(&statement), "{text:?} {whole}");
                    assert_eq!(Sha256Digest::of(intent.link().as_bytes()), typed.ledger.digest().unwrap());
                    let written = intent.facts().unwrap();
                    assert_eq!(written.json(), serde_json_canonicalizer::to_string(&typed).unwrap());
                    for (outcome, commitment) in
                        [(Ending::Released, Some(Sha256Digest([8; 32]))), (Ending::SpentNotReleased, None)]
                    {
                        let facts = Box::new(typed.clone());
                        let predicate = Predicate::Outcome { facts, intent: 77, mode: "dp".into(), outcome, commitment };
                        let outcome = written.outcome((&name, subject), 77, "dp", outcome, commitment);
                        assert_eq!(outcome.payload(), canonical(&Statement::about(&name, subject, predicate)));
                        let (before, after) = outcome.around();
                        assert_eq!(format!("{before}{}{after}", written.json()), outcome.payload());
                    }
                }
            }
        }
    }
}
