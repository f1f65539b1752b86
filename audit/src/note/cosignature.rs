//! Cosignatures of witnesses (<https://c2sp.org/tlog-cosignature>), and the quorum needed for a checkpoint.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidegate_protocol::{Identity, limits};

use super::{BadNote, Kind, Note, NoteSignature, Verifier, bad};

/// Length of a cosignature after its key id: seconds since 1970, big-endian, and the ed25519 signature.
const BYTES: usize = 8 + 64;

/// Builds the message to sign: the header, the time, and the whole text of the checkpoint.
fn message(time: u64, text: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Cosigns a checkpoint's text as `witness`, whose secret key is `key`, at `time`.
pub fn cosign(witness: &Verifier, key: &Identity, text: &str, time: SystemTime) -> NoteSignature {
    let time = unix(time);
    let mut bytes = time.to_be_bytes().to_vec();
    bytes.extend_from_slice(&key.sign(&message(time, text)));
    NoteSignature { name: witness.name.clone(), id: witness.id(), bytes }
}

/// Checks a signature line as `witness`'s cosignature of `text`, and returns its time.
///
/// # Errors
/// Returns [`BadNote`] if the line is somebody else's or of another kind, or does not hold.
pub fn check(witness: &Verifier, signature: &NoteSignature, text: &str) -> Result<SystemTime, BadNote> {
    if witness.kind != Kind::Cosigner {
        return bad(format!("the key of {} is not a cosignature key", witness.name));
    }
    if signature.name != witness.name || signature.id != witness.id() {
        return bad(format!("not a cosignature of {}", witness.name));
    }
    let parts = signature.bytes.split_first_chunk::<8>().filter(|_| signature.bytes.len() == BYTES);
    let Some((time, sig)) = parts else { return bad(format!("the cosignature of {} has a wrong length", witness.name)) };
    let time = u64::from_be_bytes(*time);
    if !witness.key.verifies(&message(time, text), sig) {
        return bad(format!("the cosignature of {} is invalid", witness.name));
    }
    UNIX_EPOCH
        .checked_add(Duration::from_secs(time))
        .filter(|_| time != 0 && time < 1 << 40)
        .ok_or_else(|| BadNote(format!("the cosignature of {} has an invalid time", witness.name)))
}

/// Quorum of cosignatures for a checkpoint: `least` of `witnesses`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quorum {
    /// Accepted witnesses.
    pub witnesses: Vec<Verifier>,
    /// Number of required cosignatures.
    pub least: usize,
}

/// Valid cosignature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// Name of the witness.
    pub name: String,
    /// Time at which the witness saw the checkpoint, by its own clock.
    pub time: SystemTime,
}

impl Quorum {
    /// Builds a quorum and checks that it can be reached.
    ///
    /// # Errors
    /// Returns [`BadNote`] if it asks for more witnesses than it names, names one twice, names one that cannot cosign, or gives
    /// one key two names.
    pub fn of(witnesses: Vec<Verifier>, least: usize) -> Result<Self, BadNote> {
        for (i, witness) in witnesses.iter().enumerate() {
            if witness.kind != Kind::Cosigner {
                return bad(format!("{} is a log's key, not a witness's", witness.name));
            }
            if witnesses[..i].iter().any(|w| w.key == witness.key || w.name == witness.name) {
                return bad(format!("{} or its key is listed twice", witness.name));
            }
        }
        if least > witnesses.len() {
            return bad(format!("{least} witnesses are needed, and {} are listed", witnesses.len()));
        }
        Ok(Self { witnesses, least })
    }

    /// Returns the valid cosignatures on `note`, at most one per witness: the earliest if there are several.
    ///
    /// # Errors
    /// Returns [`BadNote`] if a line with a witness's name and key id does not hold or lies in the future (beyond `now` plus the
    /// clocks' skew), or if there are too few.
    pub fn check(&self, note: &Note, now: SystemTime) -> Result<Vec<Cosigned>, BadNote> {
        let mut held = Vec::new();
        for witness in &self.witnesses {
            let mut first: Option<SystemTime> = None;
            for signature in note.signatures.iter().filter(|s| s.name == witness.name && s.id == witness.id()) {
                let time = check(witness, signature, &note.text)?;
                if time > now + Duration::from_secs(limits::CLOCK_SKEW_SECONDS as u64) {
                    return bad(format!("the cosignature of {} has a time in the future", witness.name));
                }
                first = Some(first.map_or(time, |first| first.min(time)));
            }
            held.extend(first.map(|time| Cosigned { name: witness.name.clone(), time }));
        }
        if held.len() < self.least {
            return bad(format!(
                "{} of the {} witnesses cosigned, and {} are needed",
                held.len(),
                self.witnesses.len(),
                self.least
            ));
        }
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{key::cosigner, sign_checkpoint},
        *,
    };
    use tlog_tiles::Hash;

    fn note() -> Note {
        Note::parse(&sign_checkpoint(&Identity::from_seed([1; 32]), 3, &Hash([7; 32]))).unwrap()
    }

    fn party(seed: u8) -> (Verifier, Identity) {
        cosigner(&Identity::from_seed([seed; 32]))
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    #[test]
    fn k_of_n_are_counted_by_witness_and_never_by_line() {
        let (mut note, (a, a_key), (b, b_key)) = (note(), party(2), party(3));
        let quorum = Quorum::of(vec![a.clone(), b.clone()], 2).unwrap();
        for second in [5, 3, 9] {
            note.signatures.push(cosign(&a, &a_key, &note.text, at(second)));
        }
        assert!(quorum.check(&note, at(10)).is_err(), "one witness, three times");
        note.signatures.push(cosign(&b, &b_key, &note.text, at(4)));
        let held = quorum.check(&note, at(10)).unwrap();
        assert_eq!(held.iter().map(|c| c.time).collect::<Vec<_>>(), [at(3), at(4)]);
        assert!(quorum.check(&Note { text: note.text.replacen('3', "4", 1), ..note }, at(10)).is_err());
    }

    #[test]
    fn a_quorum_of_one_key_under_two_names_is_none() {
        let (a, _) = party(2);
        let again = Verifier { name: "other".into(), ..a.clone() };
        assert!(Quorum::of(vec![a.clone(), again], 2).is_err());
        assert!(Quorum::of(vec![a.clone(), a.clone()], 2).is_err());
        assert!(Quorum::of(vec![a], 2).is_err());
    }

    #[test]
    fn a_log_s_signature_is_no_cosignature_and_the_other_way_round() {
        let (a, key) = party(2);
        let mut note = note();
        // The witness's key, used as a log's would be, over the very text; and the log's key in the place of a witness.
        let plain = NoteSignature { name: a.name.clone(), id: a.id(), bytes: key.sign(note.text.as_bytes()).to_vec() };
        assert!(check(&a, &plain, &note.text).is_err());
        let mut longer = plain.clone();
        longer.bytes.splice(0..0, [0; 8]);
        assert!(check(&a, &longer, &note.text).is_err());
        let as_log = Verifier { kind: Kind::Log, ..a.clone() };
        assert!(check(&as_log, &cosign(&as_log, &key, &note.text, at(0)), &note.text).is_err());
        assert!(Quorum::of(vec![Verifier::log(&Identity::from_seed([1; 32]).id())], 1).is_err());
        // A cosignature under the log's name does not sign the checkpoint.
        note.signatures = vec![cosign(&a, &key, &note.text, at(0))];
        assert!(super::super::checkpoint::open(&note, &Verifier { kind: Kind::Log, ..a }).is_err());
    }

    #[test]
    fn every_flipped_bit_and_times_that_cannot_be_are_noticed() {
        let (a, key) = party(2);
        let (note, quorum) = (note(), Quorum::of(vec![a.clone()], 1).unwrap());
        let good = cosign(&a, &key, &note.text, at(0));
        let with = |signature: NoteSignature| Note { signatures: vec![signature], ..note.clone() };
        quorum.check(&with(good.clone()), at(0)).unwrap();
        for bit in 0..good.bytes.len() * 8 {
            let mut bad = good.clone();
            bad.bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(quorum.check(&with(bad), at(0)).is_err(), "bit {bit}");
        }
        assert!(quorum.check(&with(cosign(&a, &key, &note.text, at(100_000))), at(0)).is_err(), "the future");
        assert!(quorum.check(&with(cosign(&a, &key, &note.text, UNIX_EPOCH)), at(0)).is_err(), "no time");
    }
}
