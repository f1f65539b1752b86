use std::time::Duration;

use super::*;
use crate::{
    Cost, MicroRho,
    cost::{FemtoDelta, MicroEpsilon},
    grant::Action,
};

#[test]
fn a_grant_covers_its_holder_action_population_ceiling_and_time_and_nothing_else() {
    let owner = Identity::from_seed([1; 32]);
    let holder = Identity::from_seed([2; 32]).id();
    let population = ContentHash::of(b"p");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let scope = Scope {
        actions: vec![Action::Compute],
        rho_ceiling: MicroRho(500_000),
        epsilon_ceiling: MicroEpsilon(200_000),
        expires: jiff::Timestamp::try_from(now + Duration::from_secs(60)).unwrap().to_string(),
        programs: [population].into(),
        reducers: ["mean".into()].into(),
        per_hour: Some(3),
    };
    let terms = Terms { holder, population, scope: scope.clone(), files_key: None };
    let Issued { token, id } = issue(&owner, &terms).unwrap();
    assert_eq!(ids(&token).unwrap(), [id]);
    let key = public_key(&owner).unwrap();
    let (rho, pure) = (|r| Cost::dp(MicroRho(r), FemtoDelta(0)), |e| Cost::pure(MicroEpsilon(e), FemtoDelta(0)));
    let job = Ask { program: Some(population), used: 2, ..Ask::of(Action::Compute, now) };
    let good = Ask { cost: rho(500_000), reducers: ["mean".into()].into(), ..job };
    let authority = authorize(&token, &key, holder, population, &good).unwrap();
    assert_eq!((authority.holder, authority.scope.as_deref()), (holder, Some(&scope)));
    authorize(&token, &key, holder, population, &Ask { cost: pure(200_000), reducers: BTreeSet::new(), ..good.clone() }).unwrap();
    for (field, words, ask) in [
        ("grant.actions", "the grant allows compute, and not replicate", Ask { action: Action::Replicate, ..good.clone() }),
        ("grant.rho_ceiling", "at most ρ = 0.5", Ask { cost: rho(500_001), ..good.clone() }),
        ("grant.epsilon_ceiling", "at most pure ε = 0.2", Ask { cost: pure(200_001), ..good.clone() }),
        ("grant.expires", "expired at 2027-01-15T08:01:00Z", Ask { now: now + Duration::from_secs(60), ..good.clone() }),
        ("grant.programs", "allows 1 program,", Ask { program: Some(ContentHash::of(b"q")), ..good.clone() }),
        (
            "grant.reducers",
            "the reducers mean, and the job also has sum",
            Ask { reducers: ["sum".into()].into(), ..good.clone() },
        ),
        ("grant.per_hour", "at most 3 jobs", Ask { used: 3, ..good.clone() }),
    ] {
        let refusal = authorize(&token, &key, holder, population, &ask).unwrap_err();
        assert_eq!((refusal.code, refusal.field.as_deref()), (Code::NotGranted, Some(field)));
        assert!(refusal.message.contains(words), "{refusal}");
        // The same by what the log has of it.
        assert!(scope.covers(&ask).is_err(), "{field}");
    }
    let refusal = authorize(&token, &key, owner.id(), population, &good).unwrap_err();
    assert_eq!(refusal.field.as_deref(), Some("grant.holder"), "{refusal}");
    let refusal = authorize(&token, &key, holder, ContentHash::of(b"q"), &good).unwrap_err();
    assert!(refusal.message.contains("another dataset"), "{refusal}");
    let other = public_key(&Identity::from_seed([9; 32])).unwrap();
    let refusal = authorize(&token, &other, holder, population, &good).unwrap_err();
    assert!(refusal.message.contains(&format!("{} as its issuer", owner.id())), "{refusal}");
    assert!(authorize("", &key, holder, population, &good).is_err());
    assert!(authorize("garbage", &key, holder, population, &good).is_err());
    assert!(issue(&owner, &Terms { scope: Scope { actions: vec![], ..scope.clone() }, ..terms.clone() }).is_err());
    assert!(issue(&owner, &Terms { scope: Scope { per_hour: Some(0), ..scope }, ..terms }).is_err());
}

/// Whatever is given by a token ends with the block that ends first, whoever wrote it.
#[test]
fn what_a_token_gives_ends_with_its_earliest_end() {
    let (owner, holder, colleague) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]), Identity::from_seed([3; 32]));
    let (population, now) = (ContentHash::of(b"p"), SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    let after = |seconds| now + Duration::from_secs(seconds);
    let text = |seconds| jiff::Timestamp::try_from(after(seconds)).unwrap().to_string();
    let scope = Scope {
        actions: vec![Action::Replicate],
        rho_ceiling: MicroRho(0),
        epsilon_ceiling: MicroEpsilon(0),
        expires: text(60),
        programs: BTreeSet::new(),
        reducers: BTreeSet::new(),
        per_hour: None,
    };
    let granted = issue(&owner, &Terms { holder: holder.id(), population, scope, files_key: None }).unwrap().token;
    let left = |to, seconds: Option<u64>| Narrowing { to, expires: seconds.map(text), ..Narrowing::default() };
    let less = super::super::narrow(&granted, &left(None, Some(30)), &holder).unwrap().token;
    let given = super::super::narrow(&granted, &left(Some(colleague.id()), None), &holder).unwrap().token;
    let least = super::super::narrow(&given, &left(None, Some(10)), &colleague).unwrap().token;
    let longer = super::super::narrow(&least, &left(None, Some(50)), &colleague).unwrap().token;
    let key = public_key(&owner).unwrap();
    for (token, peer, seconds) in
        [(granted, &holder, 60), (less, &holder, 30), (given, &colleague, 60), (least, &colleague, 10), (longer, &colleague, 10)]
    {
        let read = Token::read(&token).unwrap();
        let authority = read.authorize(&key, peer.id(), population, &Ask::of(Action::Replicate, now)).unwrap();
        assert_eq!(authority.ends, Some(after(seconds)));
        assert_eq!(read.is_held(&key, peer.id(), population, now).unwrap(), authority);
        assert!(read.authorize(&key, peer.id(), population, &Ask::of(Action::Replicate, after(seconds))).is_err());
        assert_eq!((authority.clone().until(None).ends, authority.clone().until(Some(now)).ends), (authority.ends, Some(now)));
        let other = Authority { ids: vec!["other".into()], ends: Some(after(20)), ..authority.clone() };
        let both = authority.clone().and(&other);
        assert_eq!((both.ends, both.ids), (authority.ends.min(other.ends), [authority.ids, other.ids].concat()));
    }
}
