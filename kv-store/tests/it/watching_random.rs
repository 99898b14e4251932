//! Watches against a naive reader: whatever happens, each is shown what it is about, in order,
//! each change once.

use std::collections::BTreeMap;

use kv_store::Event;
use kv_store::command::{
    Change, Collection, Command, Interest, Item, Items, KeyRange, Name, RangeEnd,
};
use kv_store::watching::{End, Order, Owner, Word};
use raft_core::replica::StateMachine;

use crate::node::{Node, Numbers};
use crate::watching::{Post, owner, reload};

const STEPS: usize = 3_000;
const RUNS: u64 = 12;

/// A change without what it borrows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    revision: u64,
    key: Vec<u8>,
    item: Option<Vec<u8>>,
    next: Option<(Vec<u8>, u64, u64)>,
    previous: Option<(Vec<u8>, u64, u64)>,
}

impl Seen {
    fn of_event(event: &Event<'_>) -> Self {
        let state = |kv: kv_store::command::KeyValue<'_>| {
            (kv.value.to_vec(), kv.create_revision, kv.version)
        };
        Self {
            revision: event.revision,
            key: event.key.to_vec(),
            item: event.item.map(<[u8]>::to_vec),
            next: event.next.map(state),
            previous: event.previous.map(state),
        }
    }

    fn of_change(change: &Change<'_>) -> Self {
        let state = |state: kv_store::command::State<'_>| {
            (state.value.to_vec(), state.create_revision, state.version)
        };
        Self {
            revision: change.revision,
            key: change.key.to_vec(),
            item: change.item.map(|name| name.0.to_vec()),
            next: change.next.map(state),
            previous: change.previous.map(state),
        }
    }
}

/// What a watch is about, without what it borrows.
#[derive(Clone, Debug)]
struct About {
    from: Vec<u8>,
    to: Vec<u8>,
    end: usize,
    items: usize,
    name: Vec<u8>,
    puts: bool,
    deletes: bool,
    previous: bool,
}

impl About {
    fn draw(numbers: &mut Numbers) -> Self {
        Self {
            from: numbers.key(),
            to: numbers.key(),
            end: numbers.below(4),
            items: numbers.below(3),
            name: name(numbers),
            puts: 0 < numbers.below(5),
            deletes: 0 < numbers.below(5),
            previous: 0 < numbers.below(2),
        }
    }

    fn interest(&self) -> Interest<'_> {
        let end = match self.end {
            0 => RangeEnd::Single,
            1 => RangeEnd::Prefix,
            2 => RangeEnd::HalfOpen(&self.to),
            _ => RangeEnd::From,
        };
        let items = match self.items {
            0 => Items::Keys,
            1 => Items::All,
            _ => Items::Named(Name(&self.name)),
        };
        let Self { puts, deletes, previous, .. } = *self;
        Interest { range: KeyRange { from: &self.from, end }, items, puts, deletes, previous }
    }

    /// What is shown of a change, if anything is.
    fn shows(&self, seen: &Seen) -> Option<Seen> {
        let Interest { range, items, puts, deletes, previous } = self.interest();
        let is_about = range.contains(&seen.key)
            && match (items, &seen.item) {
                (Items::Keys | Items::All, None) | (Items::All, Some(_)) => true,
                (Items::Keys, Some(_)) | (Items::Named(_), None) => false,
                (Items::Named(name), Some(item)) => name.0 == item.as_slice(),
            };
        let is_wanted = if seen.next.is_some() { puts } else { deletes };
        let before = seen.previous.clone().filter(|_| previous);
        (is_about && is_wanted).then(|| Seen { previous: before, ..seen.clone() })
    }
}

fn name(numbers: &mut Numbers) -> Vec<u8> {
    vec![b'x'; numbers.below(3)]
}

fn change(node: &mut Node, numbers: &mut Numbers) {
    let (key, name, value) = (numbers.key(), name(numbers), numbers.value());
    match numbers.below(8) {
        0 | 1 => _ = node.put(&key, &value),
        2 => _ = node.delete(&[KeyRange::prefix(&key)]),
        3 => _ = node.delete(&[KeyRange::single(&key), KeyRange::single(&name)]),
        4 | 5 => {
            let fields = [(&name, &value), (&key, &name)];
            let field = |(name, value): (&Vec<u8>, &Vec<u8>)| (name.clone(), value.clone());
            let owned = fields.map(field);
            let fields = owned.iter().map(|(name, value)| Item { name, value }).collect();
            node.apply(&Command::SetFields { key: &key, fields });
        }
        6 => {
            let members = [Name(&name)].into_iter().collect();
            node.apply(&Command::AddMembers { key: &key, members });
        }
        _ => {
            let of = if numbers.below(2) == 0 { Collection::Hash } else { Collection::Set };
            let names = [Name(&name)].into_iter().collect();
            node.apply(&Command::RemoveItems { of, key: &key, names });
        }
    }
}

struct Run {
    numbers: Numbers,
    post: Post,
    abouts: BTreeMap<Owner, About>,
    /// Every change since the store was empty.
    history: Vec<Seen>,
    compacted: Vec<u64>,
    newest_watch: u64,
}

impl Run {
    fn note_history(&mut self) {
        let from = self.history.last().map_or(0, |seen| seen.revision) + 1;
        let events = self.post.node.store.changes_since(from).expect("nothing new is compacted");
        self.history.extend(events.map(|event| Seen::of_event(&event)));
    }

    fn step(&mut self) {
        let Self { numbers, post, .. } = self;
        match numbers.below(40) {
            0..12 => change(&mut post.node, numbers),
            12..17 => post.watching.applied(post.node.store.revision()),
            17..27 => _ = post.step(numbers.below(1_500)),
            27 => {
                // Some changes while others are being read.
                if let Some(from) = post.watching.wants() {
                    (0..numbers.below(4)).for_each(|_| change(&mut post.node, numbers));
                    self.note_history();
                    let Self { numbers, post, .. } = self;
                    post.watching.applied(post.node.store.revision());
                    post.give(from, numbers.below(1_500));
                }
            }
            28..33 => {
                self.newest_watch += 1;
                let owner = owner(1 + numbers.below(5) as u64, self.newest_watch);
                let newest = usize::try_from(post.node.store.revision()).expect("few");
                let start = numbers.below(3).min(1) * numbers.below(newest + 20);
                let about = About::draw(numbers);
                post.watch(owner, start as u64, &about.interest());
                self.abouts.insert(owner, about);
            }
            33 | 34 => {
                if let Some(owner) = self.abouts.keys().nth(numbers.below(self.abouts.len() + 1)) {
                    post.watching.obey(Order::Mark(*owner));
                }
            }
            35 => post.watching.has_read(1 + numbers.below(5) as u64, numbers.below(600_000)),
            36 if numbers.below(20) == 0 => {
                let loaded = reload(&mut post.node.store);
                post.node = post.node.with_store(loaded);
            }
            37 if numbers.below(10) == 0 => {
                let oldest = post.node.store.revision().saturating_sub(numbers.below(30) as u64);
                self.note_history();
                self.post.node.apply(&Command::Compact { revision: oldest });
                self.compacted.push(self.post.node.store.compacted_revision());
            }
            38 if numbers.below(10) == 0 => {
                if let Some(owner) = self.abouts.keys().nth(numbers.below(self.abouts.len() + 1)) {
                    post.watching.obey(Order::Unwatch(*owner));
                }
            }
            _ => post.watching.tick(),
        }
        self.note_history();
        self.post.collect();
    }

    fn finish(mut self) -> usize {
        for _ in 0..2 {
            (1..=5).for_each(|connection| self.post.watching.has_read(connection, 0));
            self.post.settle();
        }
        let (newest, mut compared) = (self.post.node.store.revision(), 0);
        for (owner, about) in &self.abouts {
            let words = self.post.told.remove(owner).unwrap_or_default();
            let checked = Checked::of(&words);
            let until = match checked.end {
                None => newest,
                Some(End::Compacted { oldest }) => {
                    assert!(self.compacted.contains(&oldest), "{owner:?}");
                    checked.last
                }
                Some(End::Unwatched) => checked.last,
                Some(other) => panic!("{owner:?} ended: {other:?}"),
            };
            let expected: Vec<Seen> = self
                .history
                .iter()
                .filter(|seen| checked.begun < seen.revision && seen.revision <= until)
                .filter_map(|seen| about.shows(seen))
                .collect();
            assert_eq!(checked.seen.len(), expected.len(), "{owner:?} {about:?}");
            for (mut seen, expected) in checked.seen.into_iter().zip(expected) {
                // At a compaction revision what was before may be known or not.
                if seen.previous.is_none() && self.compacted.contains(&seen.revision) {
                    seen.previous.clone_from(&expected.previous);
                }
                assert_eq!(seen, expected, "{owner:?} {about:?}");
                compared += 1;
            }
        }
        compared
    }
}

/// The words to one watch, which came in an order that makes sense.
struct Checked {
    begun: u64,
    seen: Vec<Seen>,
    last: u64,
    end: Option<End>,
}

impl Checked {
    fn of(words: &[Word]) -> Self {
        let Some(Word::Begun { revision: begun, .. }) = words.first() else {
            panic!("a watch begins: {words:?}")
        };
        let mut checked = Self { begun: *begun, seen: Vec::new(), last: *begun, end: None };
        let mut is_cut = false;
        for word in &words[1..] {
            if checked.end.is_some() {
                let over = Word::Ended(End::Unwatched);
                assert_eq!(*word, over, "nothing else is said of a watch that is over");
                continue;
            }
            match word {
                Word::Changed { changes, is_cut: cut } => {
                    let changes = Change::decode_all(changes).expect("changes are shown");
                    let first = changes.first().expect("no word is empty").revision;
                    let least = if is_cut { checked.last } else { checked.last + 1 };
                    assert!(least <= first, "{first} is not after {}", checked.last);
                    assert!(changes.is_sorted_by_key(|change| change.revision));
                    checked.last = changes.last().map_or(0, |change| change.revision);
                    checked.seen.extend(changes.iter().map(Seen::of_change));
                    is_cut = *cut;
                }
                Word::Mark { revision } => {
                    assert!(checked.last <= *revision && !is_cut);
                    checked.last = *revision;
                }
                Word::Ended(end) => checked.end = Some(*end),
                other => panic!("{other:?} is no word to a watch that has begun"),
            }
        }
        assert!(!is_cut, "what is cut goes on");
        checked
    }
}

#[test]
fn watches_show_what_a_naive_reader_sees() {
    let mut compared = 0;
    for seed in 0..RUNS {
        let mut run = Run {
            numbers: Numbers(seed),
            post: Post::new(),
            abouts: BTreeMap::new(),
            history: Vec::new(),
            compacted: Vec::new(),
            newest_watch: 0,
        };
        for _ in 0..STEPS {
            run.step();
        }
        compared += run.finish();
    }
    assert!(50_000 < compared, "only {compared} changes were compared");
}
