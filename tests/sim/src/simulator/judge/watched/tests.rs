//! What a node shows rightly is accepted, and every history with a fault in it is not.

use bytes::{Bytes, BytesMut};
use kv_store::command::{Command, Item, KeyRange, Limits};
use kv_store::watching::{Order, Owner, Watching};
use raft_core::entry::{Draft, EntryKind, SessionStamp, Stamp};
use raft_core::replica::StateMachine;
use raft_core::replica::changes::{Changes, NoChanges};
use raft_core::types::{Index, Term};

use super::*;
use crate::revision_order::RevisionOrder;
use crate::simulator::witness::Witness;

/// A store with what has happened to it.
struct Scene {
    witness: Witness,
    order: RevisionOrder,
    past: Past,
    index: u64,
}

impl Scene {
    /// Five revisions, 2 to 6, of which the second one also changes a field.
    fn begin() -> Self {
        let mut scene = Self {
            witness: Witness::default(),
            order: RevisionOrder::default(),
            past: Past::default(),
            index: 0,
        };
        let put = |key, value| Command::Put { key, value };
        let gone = [KeyRange::single(b"key-1")].into_iter().collect();
        let fields = [Item { name: b"a", value: b"1" }].into_iter().collect();
        scene.apply(&put(b"key-1", b"a"));
        scene.apply(&Command::SetFields { key: b"typed-1", fields });
        scene.apply(&put(b"key-2", b"b"));
        scene.apply(&Command::Delete { ranges: gone });
        scene.apply(&put(b"key-1", b"c"));
        scene
    }

    fn apply(&mut self, command: &Command<'_>) {
        let mut body = BytesMut::new();
        command.encode(&mut body);
        let mut draft = Draft::default();
        draft.push(EntryKind::Command, &SessionStamp::default(), &body);
        self.index += 1;
        let (term, first) = (Term(1), Index(self.index));
        let entries = draft.stamp(&Stamp {
            term,
            first,
            log_time: 0,
            feature_level: raft_core::entry::FEATURE_LEVEL,
            wall_time: 0,
            seed: 0,
        });
        let mut answer = BytesMut::new();
        entries.iter().for_each(|entry| self.witness.apply(entry, &mut answer));
        for execution in self.witness.take_seen() {
            let (payload, answer) = (&execution.payload, &execution.answer);
            self.order.execute(execution.log_time, payload, answer).expect("it is right");
            self.past.note(&execution, &self.order);
        }
    }

    /// What a node says to a watch, each revision by itself.
    fn words(&self, about: &About, start: u64) -> Vec<Word> {
        let mut watching = Watching::new(Limits::default());
        let owner = Owner { connection: 1, watch: 1 };
        watching.applied(self.witness.revision());
        watching.obey(Order::Watch { owner, start, marks: false, interest: about.encoded() });
        watching.obey(Order::Mark(owner));
        while let Some(from) = watching.wants() {
            let mut bytes = BytesMut::new();
            let next = self.witness.changes(from, 1, &mut bytes);
            let changes = next.map(|next| Changes { next, bytes: bytes.freeze() });
            watching.take(changes.map_err(NoChanges::Forgotten));
        }
        watching.take_pushes().into_iter().map(|push| push.word).collect()
    }

    /// What a client says to these words, or how far its watch has come.
    fn told(&self, about: &About, start: u64, words: &[Word]) -> Result<u64, String> {
        let mut watched = Watched::new(about.clone(), start);
        let hear = std::panic::AssertUnwindSafe(|| {
            words.iter().for_each(|word| _ = watched.hear(word, &self.past));
            watched.next
        });
        std::panic::catch_unwind(hear)
            .map_err(|payload| payload.downcast_ref::<String>().cloned().unwrap_or_default())
    }
}

fn everything() -> About {
    let (from, is_prefix, items) = (Vec::new(), true, AboutItems::All);
    About { from, is_prefix, items, puts: true, deletes: true, previous: true }
}

#[test]
fn what_a_node_shows_is_accepted_whatever_a_watch_is_about() {
    let scene = Scene::begin();
    for (from, is_prefix) in [("", true), ("key", true), ("key-1", false), ("typed-1", false)] {
        for items in [AboutItems::None, AboutItems::All, AboutItems::Named(b"a".to_vec())] {
            for number in 0..8 {
                let [puts, deletes, previous] = [1, 2, 4].map(|bit| number & bit != 0);
                let (from, items) = (from.as_bytes().to_vec(), items.clone());
                let about = About { from, is_prefix, items, puts, deletes, previous };
                for start in 0..8 {
                    let words = scene.words(&about, start);
                    let next = scene.told(&about, start, &words);
                    assert_eq!(next, Ok(if start == 0 { 7 } else { start.max(7) }), "{about:?}");
                }
            }
        }
    }
}

#[test]
fn what_was_compacted_is_told_and_nothing_else_is_called_so() {
    let mut scene = Scene::begin();
    let before = scene.words(&everything(), 2);
    scene.apply(&Command::Compact { revision: 4 });
    let words = scene.words(&everything(), 2);
    let end = Word::Ended(End::Compacted { oldest: 4 });
    assert!(words.contains(&end), "{words:?}");
    assert_eq!(scene.told(&everything(), 2, &words[..2]), Ok(4));
    assert_eq!(scene.told(&everything(), 4, &scene.words(&everything(), 4)), Ok(7));
    // Who was shown all before can be told so no more, and nothing was compacted at 5.
    let late = [&before[..5], std::slice::from_ref(&end)].concat();
    assert!(scene.told(&everything(), 2, &late).is_err());
    let wrong = Word::Ended(End::Compacted { oldest: 5 });
    assert!(scene.told(&everything(), 2, &[before[0].clone(), wrong]).is_err());
    // What was before the compaction revision itself may be missing, and nothing else.
    assert_eq!(scene.told(&everything(), 2, &before), Ok(7));
    let silent = About { previous: false, ..everything() };
    let words = scene.words(&silent, 5);
    assert!(scene.told(&everything(), 5, &words).is_err());
}

/// The bytes of a word with the last value in it changed.
fn altered(word: &Word) -> Word {
    let Word::Changed { changes, is_cut } = word else { panic!("{word:?} shows something") };
    let mut bytes = changes.to_vec();
    let place = bytes.iter().rposition(|byte| *byte == b'b').expect("a value is b");
    bytes[place] = b'x';
    Word::Changed { changes: Bytes::from(bytes), is_cut: *is_cut }
}

#[test]
fn no_history_with_a_fault_in_it_is_accepted() {
    let scene = Scene::begin();
    let right = scene.words(&everything(), 2);
    let [begun, second, third, fourth, fifth, sixth, mark] = &right[..] else {
        panic!("a word for each revision: {right:?}")
    };
    let keys = scene.words(&About { items: AboutItems::None, ..everything() }, 2);
    let puts = scene.words(&About { deletes: false, ..everything() }, 2);
    let slow = Word::Ended(End::Slow { resume_at: 5 });
    let wrong: [(&str, Vec<&Word>); 13] = [
        ("a revision is left out", vec![begun, second, fourth]),
        ("the first one is", vec![begun, third]),
        ("the last one is, and a mark speaks of it", vec![begun, second, third, fourth, mark]),
        ("nothing is shown before a mark", vec![begun, mark]),
        ("a revision is shown twice", vec![begun, second, second]),
        ("one is shown again later", vec![begun, second, third, fourth, third]),
        ("two are exchanged", vec![begun, third, second]),
        ("half a revision is shown", vec![begun, second, &keys[2]]),
        ("a removal is left out", vec![begun, second, third, fourth, &puts[4]]),
        ("another value is shown", vec![begun, second, third]),
        ("it begins too late", vec![mark]),
        ("a slow one is sent beyond what it was shown", vec![begun, second, &slow]),
        ("it is marked in the future", vec![begun, second, third, fourth, fifth, sixth, mark]),
    ];
    let altered = altered(fourth);
    for (fault, words) in wrong {
        let mut words: Vec<Word> = words.into_iter().cloned().collect();
        match fault {
            "another value is shown" => words.push(altered.clone()),
            "it begins too late" => words = vec![Word::Begun { revision: 2, newest: 9 }],
            "it is marked in the future" => words[6] = Word::Mark { revision: 7 },
            _ => {}
        }
        let told = scene.told(&everything(), 2, &words);
        assert!(told.as_ref().is_err_and(|why| why.contains("I20")), "{fault}: {told:?}");
    }
    assert_eq!(scene.told(&everything(), 2, &right), Ok(7));
}

#[test]
fn half_a_revision_counts_when_the_rest_has_come() {
    let scene = Scene::begin();
    let right = scene.words(&everything(), 2);
    let cut = |word: &Word| match word {
        Word::Changed { changes, .. } => Word::Changed { changes: changes.clone(), is_cut: true },
        other => panic!("{other:?} shows something"),
    };
    // The word of the third revision with more to come, and then the next revision instead.
    let words = [right[0].clone(), right[1].clone(), cut(&right[2])];
    assert_eq!(scene.told(&everything(), 2, &words), Ok(3));
    let marked = [&words[..], &[right[6].clone()]].concat();
    assert!(scene.told(&everything(), 2, &marked).is_err(), "a mark in the middle of a revision");
    let whole = [&words[..], &right[3..]].concat();
    assert_eq!(scene.told(&everything(), 2, &whole), Ok(7));
}
