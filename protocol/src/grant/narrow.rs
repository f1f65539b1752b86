//! Offline operations of a holder on a token: showing its content, and narrowing it for itself or for a colleague.

use std::collections::BTreeSet;

use biscuit_auth::{
    PrivateKey, UnverifiedBiscuit,
    builder::{Algorithm, BlockBuilder, Term},
};
use serde::Serialize;

use super::{
    BadGrant, Issued, Narrowing, Token,
    form::{self, Demand, FILES_KEY},
    token::fact,
};
use crate::{ContentHash, Identity};

/// Adds a block to a token to take rights away. Signatures are not checked here; the recipient checks them.
///
/// # Errors
/// Returns [`BadGrant`] if the token cannot be narrowed so.
pub fn narrow(token: &str, narrowing: &Narrowing, holder: &Identity) -> Result<Issued, BadGrant> {
    let read = Token::read(token)?;
    let before = UnverifiedBiscuit::from_base64(read.text())?;
    let mut block = BlockBuilder::new();
    for demand in Demand::of(narrowing)? {
        block = block.check(demand.datalog().as_str())?;
    }
    let after = match narrowing.to {
        None => before.append(block)?,
        Some(to) => {
            if read.granted.holder != holder.id() {
                return Err(BadGrant::NotHolder { holder: read.granted.holder.did() });
            }
            block = block.fact(fact("delegate", [Term::Str(to.did())]))?;
            block = block.check(format!("check if peer({:?})", to.did()).as_str())?;
            if let Some(key) = &narrowing.files_key {
                if !form::is_files_key(key) {
                    return Err(BadGrant::Field("files_key: must be base64"));
                }
                block = block.fact(fact(FILES_KEY, [Term::Str(key.clone())]))?;
            }
            // Messages that biscuit has others' keys sign begin with another word than any document or handshake.
            let key = PrivateKey::from_bytes(&holder.seed(), Algorithm::Ed25519).map_err(biscuit_auth::error::Token::from)?;
            let signed = before.third_party_request()?.create_block(&key, block)?;
            before.append_third_party(&signed.serialize()?)?
        }
    };
    Issued::of(after.to_base64()?)
}

/// A block of a token.
#[derive(Debug, Clone, Serialize)]
pub struct Block {
    /// Revocation id, hexadecimal.
    pub id: String,
    /// Signer, if the holder narrowed the grant for another party.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Only programs allowed for jobs, each identified by its entire content ([`Job::bound`](crate::Job::bound)); any program if
    /// `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programs: Option<BTreeSet<ContentHash>>,
    /// Content, in biscuit's Datalog.
    pub datalog: String,
}

/// Content of a token.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// Original holder, to whom the owner granted the token.
    pub holder: Option<String>,
    /// Owner of the dataset. The token is shown to no other owner's node.
    pub owner: Option<String>,
    /// Dataset lineage.
    pub population: Option<String>,
    /// Actions granted, before any narrowing.
    pub actions: BTreeSet<String>,
    /// Keys of the encrypted files, encrypted to the current party of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_key: Option<String>,
    /// Whether the owner's grant key signed the token; `None` if no key was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed: Option<bool>,
    /// Blocks: the owner's, then a block per narrowing.
    pub blocks: Vec<Block>,
}

/// Reads a token's content, and checks the signature of `grant_key` (hexadecimal).
///
/// # Errors
/// Returns [`BadGrant`] if it is not a token, or says something that no grant says.
pub fn show(token: &str, grant_key: Option<&str>) -> Result<Shown, BadGrant> {
    let token = Token::read(token)?;
    // Printed only after its content is known to have no other forms.
    let biscuit = UnverifiedBiscuit::from_base64(token.text())?;
    let blocks = token.ids.iter().zip(&token.named).enumerate().map(|(i, (id, named))| {
        let by = named.as_ref().map(|_| token.granted.holder.did());
        let datalog = biscuit.print_block_source(i)?;
        Ok::<_, BadGrant>(Block { id: id.clone(), by, programs: programs(&datalog), datalog })
    });
    let of_party = token.named.iter().rev().flatten().find_map(|(_, key)| key.clone());
    Ok(Shown {
        holder: Some(token.granted.holder.did()),
        owner: Some(token.granted.owner.did()),
        population: Some(token.granted.population.to_string()),
        actions: token.granted.actions.iter().map(|action| action.word().to_owned()).collect(),
        files_key: of_party.or_else(|| token.granted.files_key.clone()),
        signed: grant_key.map(|key| token.signed_by(key)),
        blocks: blocks.collect::<Result<_, _>>()?,
    })
}

/// Returns the programs of a block's check in the form of [`Demand::datalog`]. Any other check is shown as it is.
fn programs(datalog: &str) -> Option<BTreeSet<ContentHash>> {
    let list = datalog.lines().find_map(|line| {
        line.trim().strip_prefix("check if program($p), {")?.trim_end_matches(';').strip_suffix("}.contains($p)")
    })?;
    let words = list.split(',').map(|word| word.trim().trim_matches('"'));
    Some(words.filter_map(|word| word.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{
        MicroRho,
        cost::MicroEpsilon,
        grant::{Action, Ask, Authority, Scope, Terms, authorize, issue, public_key},
        limits,
    };

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn me(seed: u8) -> Identity {
        Identity::from_seed([seed; 32])
    }

    fn population() -> ContentHash {
        ContentHash::of(b"p")
    }

    /// Of owner 1 for holder 2.
    fn token() -> String {
        let scope = Scope {
            actions: vec![Action::Compute, Action::Replicate],
            rho_ceiling: MicroRho(10),
            epsilon_ceiling: MicroEpsilon(10),
            expires: jiff::Timestamp::try_from(at(2000)).unwrap().to_string(),
            programs: BTreeSet::new(),
            reducers: BTreeSet::new(),
            per_hour: None,
        };
        issue(&me(1), &Terms { holder: me(2).id(), population: population(), scope, files_key: None }).unwrap().token
    }

    fn ask(action: Action) -> Ask {
        Ask::of(action, at(1000))
    }

    fn decide(token: &str, peer: u8, ask: &Ask) -> Option<Authority> {
        authorize(token, &public_key(&me(1)).unwrap(), me(peer).id(), population(), ask).ok()
    }

    #[test]
    fn each_part_of_a_narrowing_takes_something_away() {
        let other = ContentHash::of(b"q");
        let narrowed = |narrowing: Narrowing| narrow(&token(), &narrowing, &me(2)).unwrap();
        let compute = || Ask { program: Some(population()), ..ask(Action::Compute) };
        let rho = |micro| crate::Cost::dp(MicroRho(micro), crate::cost::FemtoDelta(0));
        let none = Narrowing::default;
        for (narrowing, good, bad) in [
            (Narrowing { actions: Some(vec![Action::Compute]), ..none() }, compute(), ask(Action::Replicate)),
            (
                Narrowing { rho_ceiling: Some(MicroRho(3)), ..none() },
                Ask { cost: rho(3), ..compute() },
                Ask { cost: rho(4), ..compute() },
            ),
            (
                Narrowing { expires: Some("1970-01-01T00:20:00Z".into()), ..none() },
                Ask { now: at(1199), ..compute() },
                Ask { now: at(1200), ..compute() },
            ),
            (Narrowing { programs: [population()].into(), ..none() }, compute(), Ask { program: Some(other), ..compute() }),
            (
                Narrowing { reducers: ["count".into(), "mean".into()].into(), ..none() },
                Ask { reducers: ["mean".into()].into(), ..compute() },
                Ask { reducers: ["mean".into(), "sum".into()].into(), ..compute() },
            ),
            (Narrowing { per_hour: Some(5), ..none() }, Ask { used: 4, ..compute() }, Ask { used: 5, ..compute() }),
        ] {
            let Issued { token: after, id } = narrowed(narrowing.clone());
            assert_eq!(decide(&after, 2, &good).unwrap().ids.last(), Some(&id), "{narrowing:?}");
            assert!(decide(&after, 2, &bad).is_none(), "{narrowing:?}");
            assert!(decide(&token(), 2, &bad).is_some(), "{narrowing:?}: it was allowed before");
        }
    }

    #[test]
    fn a_colleague_uses_what_the_holder_narrowed_and_nobody_else_does() {
        let to = |seed: u8, by: u8, token: &str| {
            narrow(token, &Narrowing { to: Some(me(seed).id()), ..Narrowing::default() }, &me(by))
        };
        let given = to(3, 2, &token()).unwrap().token;
        assert_eq!(decide(&given, 3, &ask(Action::Compute)).unwrap().holder, me(2).id());
        for stranger in [1, 2, 4] {
            assert!(decide(&given, stranger, &ask(Action::Compute)).is_none(), "{stranger}");
        }
        // The colleague takes away, but hands nothing on: neither does one who never held it.
        assert!(matches!(to(4, 3, &given), Err(BadGrant::NotHolder { .. })));
        let less =
            narrow(&given, &Narrowing { actions: Some(vec![Action::Compute]), ..Narrowing::default() }, &me(3)).unwrap().token;
        assert!(decide(&less, 3, &ask(Action::Compute)).is_some());
        assert!(decide(&less, 3, &ask(Action::Replicate)).is_none());
        let shown = show(&given, Some(&public_key(&me(1)).unwrap())).unwrap();
        assert_eq!((shown.owner, shown.holder, shown.signed), (Some(me(1).id().did()), Some(me(2).id().did()), Some(true)));
        assert_eq!(shown.blocks[1].by, Some(me(2).id().did()));
        assert_eq!(show(&given, Some(&public_key(&me(9)).unwrap())).unwrap().signed, Some(false));
    }

    /// A token with a block that `by` signed, written as it likes.
    fn forged(by: u8, block: &str) -> String {
        let before = UnverifiedBiscuit::from_base64(token()).unwrap();
        let key = PrivateKey::from_bytes(&me(by).seed(), Algorithm::Ed25519).unwrap();
        let block = BlockBuilder::new().code(block).unwrap();
        let signed = before.third_party_request().unwrap().create_block(&key, block).unwrap();
        before.append_third_party(&signed.serialize().unwrap()).unwrap().to_base64().unwrap()
    }

    #[test]
    fn blocks_written_by_hand_widen_nothing() {
        let (three, four) = (me(3).id().did(), me(4).id().did());
        let given = format!("delegate(\"{three}\"); check if peer(\"{three}\");");
        // The form itself is good.
        assert!(decide(&forged(2, &given), 3, &ask(Action::Compute)).is_some());
        for (what, token) in [
            ("another's delegation", forged(3, &given)),
            ("the owner's own key is not its grant key", forged(1, &given)),
            ("any hands but the holder's", forged(2, &format!("delegate(\"{three}\");"))),
            ("any hands", forged(2, &format!("delegate(\"{four}\"); peer(\"{four}\");"))),
            ("several hands", forged(2, &format!("delegate(\"{four}\"); delegate(\"{three}\");"))),
            ("a holder of its own", forged(3, &format!("holder(\"{three}\");"))),
            ("a rule", forged(2, "delegate($p) <- peer($p);")),
        ] {
            assert!(decide(&token, 3, &ask(Action::Compute)).is_none(), "{what}");
        }
        let block = format!("{given} right(\"{}\", \"mirror\"); action(\"compute\");", population());
        assert!(decide(&forged(2, &block), 3, &ask(Action::Mirror)).is_none());
        let unsigned = BlockBuilder::new().code(given).unwrap();
        let unsigned = UnverifiedBiscuit::from_base64(token()).unwrap().append(unsigned).unwrap().to_base64().unwrap();
        assert!(decide(&unsigned, 3, &ask(Action::Compute)).is_none());
    }

    #[test]
    fn what_is_no_token_is_said_to_be_none() {
        for bad in ["", "garbage", "En0KEwoE"] {
            assert!(matches!(show(bad, None), Err(BadGrant::Token(_))), "{bad:?}");
        }
        assert!(matches!(show(&"A".repeat(limits::GRANT_BYTES + 1), None), Err(BadGrant::TooLong)));
        let odd = Narrowing { reducers: ["\"]; right(\"x\"".into()].into(), ..Narrowing::default() };
        assert!(matches!(narrow(&token(), &odd, &me(2)), Err(BadGrant::Field(_))));
        let mut token = token();
        for _ in 0..100 {
            match narrow(&token, &Narrowing { per_hour: Some(1), ..Narrowing::default() }, &me(2)) {
                Ok(after) => token = after.token,
                Err(e) => return assert!(matches!(e, BadGrant::TooLong)),
            }
        }
        panic!("{} bytes", token.len());
    }
}
