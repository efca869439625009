//! Places: how many connections at once, and whose.
//!
//! Kubelet asks from this node. It has places of its own, so that nobody else's silence makes its
//! probe time out; of the others no address has more than a few.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// For connections from this node.
const OWN: usize = 16;
/// For all others together.
pub(super) const OTHERS: usize = 16;
/// For one address of the others.
pub(super) const OF_ONE: usize = 4;

/// Places that are taken and given back.
#[derive(Clone)]
pub(super) struct Places {
    own: Arc<Semaphore>,
    others: Others,
    is_own: fn(IpAddr, IpAddr) -> bool,
}

/// How many places each address has.
type Others = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// One place; given back when dropped.
pub(super) enum Place {
    /// Of this node.
    Own { _permit: OwnedSemaphorePermit },
    /// Of another.
    Other { peer: IpAddr, others: Others },
}

impl Places {
    /// All free. `is_own` says of a peer's address and ours whether the peer is this node.
    pub(super) fn new(is_own: fn(IpAddr, IpAddr) -> bool) -> Self {
        Self {
            own: Arc::new(Semaphore::new(OWN)),
            others: Others::default(),
            is_own,
        }
    }

    /// A place for a connection of `peer` to our address `here`. This node's own waits for one;
    /// others get `None` when there is no room.
    pub(super) async fn take(&self, peer: IpAddr, here: IpAddr) -> Option<Place> {
        if !(self.is_own)(peer, here) {
            return self.for_other(peer);
        }
        let permit = Arc::clone(&self.own).acquire_owned().await;
        permit.ok().map(|_permit| Place::Own { _permit }) // never closed
    }

    fn for_other(&self, peer: IpAddr) -> Option<Place> {
        let mut taken = counts(&self.others);
        let all: usize = taken.values().sum();
        let of_peer = taken.get(&peer).copied().unwrap_or_default();
        if all == OTHERS || of_peer == OF_ONE {
            return None;
        }
        taken.insert(peer, of_peer + 1);
        Some(Place::Other {
            peer,
            others: Arc::clone(&self.others),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self::Other { peer, others } = self else {
            return;
        };
        let mut taken = counts(others);
        match taken.get_mut(peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.remove(peer);
            }
        }
    }
}

/// Whoever has an address of this node is on it: loopback, or the one that was connected to.
pub(super) fn is_this_node(peer: IpAddr, here: IpAddr) -> bool {
    peer.to_canonical().is_loopback() || peer == here
}

fn counts(others: &Others) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    // Counts are right at every moment.
    others.lock().unwrap_or_else(|broken| broken.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_that_is_given_back_can_be_taken_again() {
        let places = Places::new(is_this_node);
        let (here, peer) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..3 {
            let mut taken = Vec::new();
            while let Some(place) = places.take(peer, here).await {
                taken.push(place);
            }
            assert_eq!(taken.len(), OF_ONE);
        }
        assert!(counts(&places.others).is_empty());
    }

    #[test]
    fn this_node_is_known_by_its_addresses() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(is_this_node(at("127.0.0.1"), at("127.0.0.1")));
        assert!(is_this_node(at("::ffff:127.0.0.1"), at("::ffff:127.0.0.1")));
        assert!(is_this_node(at("10.0.0.1"), at("10.0.0.1")));
        assert!(!is_this_node(at("10.0.0.2"), at("10.0.0.1")));
    }
}
