//! Files offered to peers.

use std::{collections::HashMap, time::Instant};

use tidegate_protocol::{ContentHash, PeerId, receipt::Party};

/// Files offered to each peer, with the party's name in the log, for as long as a fetch may begin.
#[derive(Default)]
pub(in crate::owner) struct Offered {
    files: HashMap<(PeerId, ContentHash), (Party, Instant)>,
    /// Number of offers left when expired offers were last removed.
    before: usize,
}

/// Number of offers below which expired offers are not looked for.
const OFFERS: usize = 4096;

impl Offered {
    pub(super) fn add(&mut self, files: impl Iterator<Item = ((PeerId, ContentHash), (Party, Instant))>, now: Instant) {
        self.files.extend(files);
        if self.files.len() >= 2 * self.before.max(OFFERS) {
            self.files.retain(|_, (_, until)| *until > now);
            self.before = self.files.len();
        }
    }

    pub(super) fn get(&self, peer: PeerId, file: ContentHash) -> Option<Party> {
        self.files.get(&(peer, file)).map(|(party, _)| *party)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_protocol::{Identity, limits};

    use super::*;

    /// Who asks for copies again and again, under other names, leaves nothing behind once they are over.
    #[test]
    fn offers_that_are_over_are_forgotten() {
        let (mut offered, start) = (Offered::default(), Instant::now());
        let peer = Identity::from_seed([2; 32]).id();
        let party: Party = Identity::from_seed([1; 32]).id().into();
        for hour in 0..50u32 {
            let now = start + hour * limits::COPY_TIME;
            for i in 0..OFFERS as u32 {
                let file = ContentHash::of(&[hour.to_le_bytes(), i.to_le_bytes()].concat());
                offered.add(std::iter::once(((peer, file), (party, now + limits::COPY_TIME))), now);
            }
            assert!(offered.files.len() <= 4 * OFFERS, "{}", offered.files.len());
        }
    }
}
