//! The sessions in the order of their last use, in two lists: those that have written once, and
//! the others. Everything takes constant time and no search.

use crate::entry::ClientId;

/// No node.
const NONE: u32 = u32::MAX;

/// One of the two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sessions that have written once.
    Single,
    /// Sessions that have written more than once.
    Lasting,
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u32);

#[derive(Clone, Debug)]
struct Node {
    client: ClientId,
    kind: Kind,
    older: u32,
    newer: u32,
}

#[derive(Clone, Copy, Debug)]
struct List {
    oldest: u32,
    newest: u32,
    count: usize,
}

impl Default for List {
    fn default() -> Self {
        Self { oldest: NONE, newest: NONE, count: 0 }
    }
}

/// The two lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recency {
    nodes: Vec<Node>,
    free: Vec<u32>,
    single: List,
    lasting: List,
}

impl Recency {
    /// How many there are in a list.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.list(kind).count
    }

    /// The client whose last use is longest ago.
    pub(crate) fn oldest(&self, kind: Kind) -> Option<ClientId> {
        self.nodes.get(self.list(kind).oldest as usize).map(|node| node.client)
    }

    /// Adds a client that is used now.
    pub(crate) fn add(&mut self, client: ClientId, kind: Kind) -> Place {
        let node = Node { client, kind, older: NONE, newer: NONE };
        let at = if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = node;
            at
        } else {
            self.nodes.push(node);
            u32::try_from(self.nodes.len() - 1).expect("memory holds fewer sessions")
        };
        self.link(at, kind);
        Place(at)
    }

    /// Notes that a client is used now, and in which list it belongs.
    pub(crate) fn touch(&mut self, place: Place, kind: Kind) {
        let node = &self.nodes[place.0 as usize];
        if node.kind == kind && node.newer == NONE {
            return;
        }
        self.unlink(place.0);
        self.link(place.0, kind);
    }

    /// Removes a client; its place means nothing afterwards.
    pub(crate) fn remove(&mut self, place: Place) {
        self.unlink(place.0);
        self.free.push(place.0);
    }

    fn link(&mut self, at: u32, kind: Kind) {
        let list = self.list_mut(kind);
        let before = std::mem::replace(&mut list.newest, at);
        list.count += 1;
        if before == NONE {
            list.oldest = at;
        } else {
            self.nodes[before as usize].newer = at;
        }
        let node = &mut self.nodes[at as usize];
        (node.kind, node.older, node.newer) = (kind, before, NONE);
    }

    fn unlink(&mut self, at: u32) {
        let Node { kind, older, newer, .. } = self.nodes[at as usize];
        if older == NONE {
            self.list_mut(kind).oldest = newer;
        } else {
            self.nodes[older as usize].newer = newer;
        }
        if newer == NONE {
            self.list_mut(kind).newest = older;
        } else {
            self.nodes[newer as usize].older = older;
        }
        self.list_mut(kind).count -= 1;
    }

    fn list(&self, kind: Kind) -> &List {
        match kind {
            Kind::Single => &self.single,
            Kind::Lasting => &self.lasting,
        }
    }

    fn list_mut(&mut self, kind: Kind) -> &mut List {
        match kind {
            Kind::Single => &mut self.single,
            Kind::Lasting => &mut self.lasting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::rng::Rng;

    /// The lists as they would be kept without a thought: newest last.
    #[derive(Default)]
    struct Naive([Vec<(ClientId, Place)>; 2]);

    impl Naive {
        fn take(&mut self, client: ClientId) {
            self.0.iter_mut().for_each(|list| list.retain(|(other, _)| *other != client));
        }
    }

    #[test]
    fn the_oldest_of_each_list_is_known_whatever_is_added_used_and_removed() {
        let mut rng = Rng::new(7);
        let (mut recency, mut naive) = (Recency::default(), Naive::default());
        for random in 0..5_000 {
            let number = usize::try_from(rng.next_u64() % 2).unwrap();
            let kind = [Kind::Single, Kind::Lasting][number];
            let all: Vec<_> = naive.0.concat();
            let known = all.get(usize::try_from(rng.next_u64() % 12).unwrap()).copied();
            match (known, rng.next_u64() % 5) {
                (Some((client, place)), 0) => {
                    recency.remove(place);
                    naive.take(client);
                }
                (Some((client, place)), _) => {
                    recency.touch(place, kind);
                    naive.take(client);
                    naive.0[number].push((client, place));
                }
                (None, _) => {
                    let client = ClientId { issued_at: 0, random };
                    naive.0[number].push((client, recency.add(client, kind)));
                }
            }
            for (kind, list) in [Kind::Single, Kind::Lasting].into_iter().zip(&naive.0) {
                assert_eq!(recency.oldest(kind), list.first().map(|(client, _)| *client));
                assert_eq!(recency.count(kind), list.len());
            }
        }
        assert!(recency.nodes.len() < 20, "places are used again: {}", recency.nodes.len());
    }
}
