//! Watches of a node: what each is shown, in which order, and when it is over.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use kv_store::command::{
    Change, Collection, Command, Interest, Item, Items, KeyRange, Limits, Name, RangeEnd,
};
use kv_store::store::Store;
use kv_store::watching::{
    BACKLOG_BYTES_MAX, CATCH_UP_BYTES_MAX, End, Order, Owner, PUSH_BYTES_MAX, REVISION_BYTES_MAX,
    Watching, Word,
};
use raft_core::replica::StateMachine;
use raft_core::replica::changes::{Changes, NoChanges};

use crate::node::Node;

/// A store with its watches, and what each was told.
pub(crate) struct Post {
    pub(crate) node: Node,
    pub(crate) watching: Watching,
    pub(crate) told: BTreeMap<Owner, Vec<Word>>,
    /// The whole of what each connection was sent. Units: bytes.
    sent: BTreeMap<u64, usize>,
}

pub(crate) fn owner(connection: u64, watch: u64) -> Owner {
    Owner { connection, watch }
}

impl Post {
    pub(crate) fn new() -> Self {
        let mut post = Self {
            node: Node::default(),
            watching: Watching::new(Limits::default()),
            told: BTreeMap::new(),
            sent: BTreeMap::new(),
        };
        post.watching.applied(post.node.store.revision());
        post
    }

    pub(crate) fn watch(&mut self, owner: Owner, start: u64, interest: &Interest<'_>) {
        let mut body = BytesMut::new();
        interest.encode(&mut body);
        let interest = body.freeze();
        self.watching.obey(Order::Watch { owner, start, marks: false, interest });
        self.collect();
    }

    /// Reads what is wanted once; returns whether anything was.
    pub(crate) fn step(&mut self, bytes_max: usize) -> bool {
        let Some(from) = self.watching.wants() else { return false };
        self.give(from, bytes_max);
        true
    }

    pub(crate) fn give(&mut self, from: u64, bytes_max: usize) {
        let mut bytes = BytesMut::new();
        let read = self.node.store.changes(from, bytes_max, &mut bytes);
        let changes = read.map(|next| Changes { next, bytes: bytes.freeze() });
        self.watching.take(changes.map_err(NoChanges::Forgotten));
        self.collect();
    }

    pub(crate) fn collect(&mut self) {
        for push in self.watching.take_pushes() {
            if let Word::Changed { changes, .. } = &push.word {
                *self.sent.entry(push.owner.connection).or_default() += changes.len();
            }
            self.told.entry(push.owner).or_default().push(push.word);
        }
    }

    /// Shows everything that was applied to everybody who reads.
    pub(crate) fn settle(&mut self) {
        self.watching.applied(self.node.store.revision());
        while self.step(1_000) {}
    }

    fn words(&mut self, owner: Owner) -> Vec<Word> {
        self.told.remove(&owner).unwrap_or_default()
    }

    /// What a watch was shown since it was asked last, as lines.
    pub(crate) fn lines(&mut self, owner: Owner) -> Vec<String> {
        self.words(owner).iter().flat_map(lines).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lines(word: &Word) -> Vec<String> {
    let Word::Changed { changes, is_cut } = word else {
        return vec![match word {
            Word::Begun { revision, .. } => begun(*revision),
            other => format!("{other:?}"),
        }];
    };
    let all = Change::decode_all(changes).expect("changes are shown");
    let mut lines: Vec<String> = all
        .iter()
        .map(|change| {
            let item = change.item.map_or(String::new(), |name| format!("/{}", text(name.0)));
            let next = change.next.map_or("gone".to_owned(), |state| text(state.value));
            let before =
                change.previous.map_or(String::new(), |it| format!(" was {}", text(it.value)));
            format!("{} {}{item}={next}{before}", change.revision, text(change.key))
        })
        .collect();
    if *is_cut {
        lines.push("cut".to_owned());
    }
    lines
}

fn begun(revision: u64) -> String {
    format!("begun {revision}")
}

fn with_previous<'a>(range: KeyRange<'a>) -> Interest<'a> {
    Interest { previous: true, ..Interest::of(range) }
}

fn set_field(node: &mut Node, key: &[u8], name: &[u8], value: &[u8]) {
    node.apply(&Command::SetFields { key, fields: [Item { name, value }].into_iter().collect() });
}

#[test]
fn a_watch_is_shown_each_later_change_of_its_key_once_with_what_was_before() {
    let mut post = Post::new();
    post.node.put(b"k", b"old");
    post.settle();
    post.watch(owner(1, 1), 0, &with_previous(KeyRange::single(b"k")));
    post.watch(owner(1, 2), 0, &Interest::of(KeyRange::single(b"k")));
    assert_eq!(post.lines(owner(1, 1)), [begun(2)]);
    post.node.put(b"k", b"new");
    post.node.put(b"other", b"x");
    post.node.delete(&[KeyRange::single(b"k")]);
    post.settle();
    assert_eq!(post.lines(owner(1, 1)), ["3 k=new was old", "5 k=gone was new"]);
    assert_eq!(post.lines(owner(1, 2)), [&*begun(2), "3 k=new", "5 k=gone"]);
    post.settle();
    assert!(post.told.is_empty(), "nothing is shown twice");
}

#[test]
fn a_watch_from_the_past_reads_on_into_the_present() {
    let mut post = Post::new();
    // Somebody at the front, so that the front is not where the newest revision is.
    post.watch(owner(9, 1), 0, &Interest::of(KeyRange::prefix(b"")));
    for number in 2..=9 {
        post.node.put(b"k", number.to_string().as_bytes());
    }
    post.watching.applied(9);
    assert!(post.step(1));
    post.watch(owner(1, 1), 4, &Interest::of(KeyRange::single(b"k")));
    // What is applied while the past is being read is shown too, and once.
    let from = post.watching.wants().unwrap();
    post.node.put(b"k", b"10");
    post.watching.applied(10);
    post.give(from, 1);
    post.settle();
    let seen: Vec<String> = (4..=10).map(|number| format!("{number} k={number}")).collect();
    assert_eq!(post.lines(owner(1, 1)), [vec![begun(3)], seen].concat());
    let all = post.lines(owner(9, 1));
    assert_eq!(all.len(), 1 + 9, "{all:?}");
}

#[test]
fn a_busy_present_does_not_keep_a_watch_in_the_past() {
    let mut post = Post::new();
    post.watch(owner(9, 1), 0, &Interest::of(KeyRange::single(b"k")));
    for _ in 0..4 {
        post.node.put(b"k", b"v");
    }
    post.settle();
    post.watch(owner(1, 1), 2, &Interest::of(KeyRange::single(b"k")));
    // There is always something new, and one revision is read at a time.
    for _ in 0..8 {
        let revision = post.node.put(b"k", b"v");
        post.watching.applied(revision);
        post.step(1);
    }
    let (past, present) = (post.lines(owner(1, 1)).len(), post.lines(owner(9, 1)).len());
    assert!(3 < past && 7 < present, "{past} and {present} lines");
}

#[test]
fn a_watch_of_the_future_is_shown_nothing_before_it_begins() {
    let mut post = Post::new();
    let mut body = BytesMut::new();
    Interest::of(KeyRange::single(b"k")).encode(&mut body);
    let (interest, marks) = (body.freeze(), true);
    post.watching.obey(Order::Watch { owner: owner(1, 1), start: 5, marks, interest });
    post.watching.obey(Order::Mark(owner(1, 1)));
    for number in 2..=4 {
        post.node.put(b"k", number.to_string().as_bytes());
        post.settle();
        post.watching.tick();
        post.collect();
        let expected = if number == 2 { vec![begun(4)] } else { Vec::new() };
        let mark = format!("{:?}", Word::Mark { revision: 4 });
        let expected = if number == 4 { vec![mark] } else { expected };
        assert_eq!(post.lines(owner(1, 1)), expected, "at revision {number}");
    }
    post.node.put(b"k", b"5");
    post.settle();
    assert_eq!(post.lines(owner(1, 1)), ["5 k=5"]);
}

#[test]
fn ranges_filters_fields_and_members_show_what_they_are_about() {
    let mut post = Post::new();
    let all = Interest::of(KeyRange::prefix(b""));
    let between = KeyRange { from: b"b", end: RangeEnd::HalfOpen(b"d") };
    let tail = KeyRange { from: b"d", end: RangeEnd::From };
    let field = Items::Named(Name(b"f"));
    for (watch, interest) in [
        (1, Interest::of(between)),
        (2, Interest::of(tail)),
        (3, Interest { deletes: false, ..all }),
        (4, Interest { puts: false, ..all }),
        (5, Interest { items: Items::Keys, ..all }),
        (6, Interest { items: field, ..Interest::of(KeyRange::single(b"h")) }),
        (7, Interest { items: field, ..all }),
    ] {
        post.watch(owner(1, watch), 0, &interest);
        post.words(owner(1, watch));
    }
    post.node.put(b"b", b"1");
    post.node.put(b"d", b"1");
    set_field(&mut post.node, b"h", b"f", b"v");
    set_field(&mut post.node, b"h", b"g", b"v");
    let members = [Name(b"f")].into_iter().collect();
    post.node.apply(&Command::AddMembers { key: b"s", members });
    post.node.delete(&[KeyRange::prefix(b"")]);
    let of = Collection::Hash;
    post.node.apply(&Command::RemoveItems {
        of,
        key: b"h",
        names: [Name(b"f")].into_iter().collect(),
    });
    post.settle();
    let mut lines = |watch| post.lines(owner(1, watch)).join(" ");
    assert_eq!(lines(1), "2 b=1 7 b=gone");
    assert_eq!(
        lines(2),
        "3 d=1 4 h= 4 h/f=v 5 h= 5 h/g=v 6 s= 6 s/f= 7 d=gone 7 h=gone 7 h/f=gone 7 h/g=gone \
         7 s=gone 7 s/f=gone"
    );
    assert_eq!(lines(3), "2 b=1 3 d=1 4 h= 4 h/f=v 5 h= 5 h/g=v 6 s= 6 s/f=");
    assert_eq!(lines(4), "7 b=gone 7 d=gone 7 h=gone 7 h/f=gone 7 h/g=gone 7 s=gone 7 s/f=gone");
    assert_eq!(lines(5), "2 b=1 3 d=1 4 h= 5 h= 6 s= 7 b=gone 7 d=gone 7 h=gone 7 s=gone");
    assert_eq!(lines(6), "4 h/f=v 7 h/f=gone");
    assert_eq!(lines(7), "4 h/f=v 6 s/f= 7 h/f=gone 7 s/f=gone");
}

#[test]
fn those_who_are_shown_the_same_share_its_bytes() {
    let mut post = Post::new();
    for connection in 1..=1_000 {
        post.watch(owner(connection, 7), 0, &Interest::of(KeyRange::single(b"k")));
    }
    post.node.put(b"k", b"v");
    post.settle();
    let bytes = |words: &Vec<Word>| match words.last() {
        Some(Word::Changed { changes, .. }) => changes.as_ptr(),
        other => panic!("a change is not shown by {other:?}"),
    };
    let first = bytes(&post.told[&owner(1, 7)]);
    assert!(post.told.values().all(|words| bytes(words) == first));
}

#[test]
fn a_revision_in_pieces_says_that_more_of_it_follows() {
    let mut post = Post::new();
    let value = vec![b'v'; 10_000];
    for number in 0..300 {
        post.node.put(format!("k{number:03}").as_bytes(), &value);
    }
    post.settle();
    post.watch(owner(1, 1), 0, &with_previous(KeyRange::prefix(b"k")));
    post.node.delete(&[KeyRange::prefix(b"k")]);
    post.node.put(b"k", b"after");
    post.settle();
    let words: Vec<(usize, bool, Vec<u64>)> = post.words(owner(1, 1))[1..]
        .iter()
        .map(|word| {
            let Word::Changed { changes, is_cut } = word else { panic!("a change: {word:?}") };
            let revisions = Change::decode_all(changes).unwrap();
            (changes.len(), *is_cut, revisions.iter().map(|it| it.revision).collect())
        })
        .collect();
    assert!(words.iter().all(|(bytes, ..)| *bytes <= PUSH_BYTES_MAX));
    let cuts: Vec<bool> = words.iter().map(|(_, is_cut, _)| *is_cut).collect();
    assert_eq!(cuts, [true, true, false, false]);
    let all: Vec<u64> = words.into_iter().flat_map(|(.., revisions)| revisions).collect();
    assert_eq!(all, [vec![302; 300], vec![303]].concat());
}

#[test]
fn a_revision_that_shows_too_much_ends_the_watch_behind_what_was_before_it() {
    let mut post = Post::new();
    let value = vec![b'v'; 1_000_000];
    for number in 0..=REVISION_BYTES_MAX / value.len() {
        post.node.put(format!("k{number}").as_bytes(), &value);
    }
    post.settle();
    post.watch(owner(1, 1), 0, &with_previous(KeyRange::prefix(b"")));
    post.watch(owner(1, 2), 0, &Interest::of(KeyRange::prefix(b"")));
    post.told.clear();
    post.node.put(b"small", b"s");
    post.node.delete(&[KeyRange::prefix(b"k")]);
    post.watching.applied(post.node.store.revision());
    while post.step(100_000) {}
    let ended = format!("{:?}", Word::Ended(End::TooLarge { revision: 20 }));
    assert_eq!(post.lines(owner(1, 1)), ["19 small=s", &*ended]);
    assert_eq!(post.lines(owner(1, 2)).len(), 1 + 17, "without what was before it fits");
}

#[test]
fn a_compacted_start_ends_the_watch_with_the_oldest_revision() {
    let mut post = Post::new();
    for _ in 0..9 {
        post.node.put(b"k", b"v");
    }
    post.node.delete(&[KeyRange::single(b"k")]);
    post.node.apply(&Command::Compact { revision: 11 });
    post.settle();
    post.watch(owner(1, 1), 10, &Interest::of(KeyRange::single(b"k")));
    post.watch(owner(1, 2), 11, &with_previous(KeyRange::single(b"k")));
    post.settle();
    let ended = format!("{:?}", Word::Ended(End::Compacted { oldest: 11 }));
    assert_eq!(post.lines(owner(1, 1)), [begun(9), ended]);
    assert_eq!(post.lines(owner(1, 2)), [&*begun(10), "11 k=gone"], "the deletion is there");
}

#[test]
fn a_snapshot_that_jumps_over_revisions_hides_none_of_them() {
    let mut post = Post::new();
    post.watch(owner(1, 1), 0, &Interest::of(KeyRange::single(b"k")));
    post.node.put(b"k", b"2");
    post.settle();
    assert_eq!(post.lines(owner(1, 1)), [&*begun(1), "2 k=2"]);
    for number in 3..=6 {
        post.node.put(b"k", number.to_string().as_bytes());
    }
    let loaded = reload(&mut post.node.store);
    post.node = post.node.with_store(loaded);
    post.settle();
    assert_eq!(post.lines(owner(1, 1)), ["3 k=3", "4 k=4", "5 k=5", "6 k=6"]);

    // One that has forgotten what would come next says so.
    for number in 7..=9 {
        post.node.put(b"k", number.to_string().as_bytes());
    }
    post.node.apply(&Command::Compact { revision: 8 });
    let loaded = reload(&mut post.node.store);
    post.node = post.node.with_store(loaded);
    post.watch(owner(1, 2), 20, &Interest::of(KeyRange::single(b"k")));
    post.settle();
    let ended = format!("{:?}", Word::Ended(End::Compacted { oldest: 8 }));
    assert_eq!(post.lines(owner(1, 1)), [ended]);
    assert_eq!(post.lines(owner(1, 2)), [begun(19)], "who waits for later goes on");
    // A state that goes back, as one that is rebuilt does, shows nothing twice.
    post.watch(owner(1, 3), 0, &Interest::of(KeyRange::single(b"k")));
    post.watching.applied(12);
    let from = post.watching.wants().expect("there are two watches at the front");
    post.watching.take(Ok(Changes { next: from, bytes: Bytes::new() }));
    post.collect();
    assert_eq!(post.lines(owner(1, 3)), [begun(9)]);
    assert_eq!(post.watching.wants(), None, "it is not asked again before there is more");
    post.watching.applied(13);
    assert_eq!(post.watching.wants(), Some(from));
}

/// The store once more, from its snapshot.
pub(crate) fn reload(store: &mut Store) -> Store {
    store.pin();
    let mut loaded = store.empty();
    loop {
        let mut part = BytesMut::new();
        let more = store.read_pinned(1_000, &mut part);
        loaded.load(&part).expect("it is a part of a snapshot");
        if !more {
            break;
        }
    }
    store.unpin();
    loaded.finish_load().expect("the snapshot is whole");
    loaded
}

#[test]
fn a_slow_reader_is_told_where_to_go_on_and_costs_no_other_anything() {
    let mut post = Post::new();
    post.watch(owner(1, 1), 0, &Interest::of(KeyRange::single(b"k")));
    post.watch(owner(2, 1), 0, &Interest::of(KeyRange::single(b"k")));
    post.told.clear();
    let value = vec![b'v'; 100_000];
    let (mut count, mut slow) = (0, Vec::new());
    while !matches!(slow.last(), Some(Word::Ended(_))) {
        count += 1;
        assert!(count < 1_000, "a slow reader is ended");
        post.node.put(b"k", &value);
        post.settle();
        post.watching.has_read(2, 0);
        slow.extend(post.words(owner(1, 1)));
        assert_eq!(post.words(owner(2, 1)).len(), 1);
    }
    let shown = slow.len() - 1;
    assert_eq!(slow.last(), Some(&Word::Ended(End::Slow { resume_at: 2 + shown as u64 })));
    assert_eq!(count, shown + 1);
    assert!(post.sent[&1] <= BACKLOG_BYTES_MAX + value.len() + 100);
    assert!(BACKLOG_BYTES_MAX <= post.sent[&1]);
}

#[test]
fn reading_the_past_waits_for_its_reader() {
    let mut post = Post::new();
    let value = vec![b'v'; 10_000];
    for _ in 0..1_000 {
        post.node.put(b"k", &value);
    }
    post.settle();
    post.watch(owner(1, 1), 2, &Interest::of(KeyRange::single(b"k")));
    post.watch(owner(2, 1), 2, &Interest::of(KeyRange::single(b"k")));
    let mut rounds = 0;
    loop {
        post.settle();
        let unread = std::mem::take(post.sent.entry(1).or_default());
        assert!(unread <= CATCH_UP_BYTES_MAX + 20_000, "{unread} bytes are unread");
        if unread == 0 {
            break;
        }
        rounds += 1;
        post.watching.has_read(1, 0);
    }
    assert!(10 < rounds, "{rounds} rounds");
    let shown = |words: Vec<Word>| words.iter().flat_map(lines).count() - 1;
    assert_eq!(shown(post.words(owner(1, 1))), 1_000);
    assert!(shown(post.words(owner(2, 1))) < 100, "who reads nothing is given no more");
    post.node.put(b"other", b"");
    post.node.put(b"k", b"live");
    post.settle();
    assert_eq!(post.lines(owner(1, 1)), ["1003 k=live"]);
}

#[test]
fn marks_never_overtake_changes_and_come_to_the_idle() {
    let mut post = Post::new();
    let mut body = BytesMut::new();
    Interest::of(KeyRange::single(b"k")).encode(&mut body);
    let (interest, marks) = (body.freeze(), true);
    post.watching.obey(Order::Watch { owner: owner(1, 1), start: 0, marks, interest });
    post.node.put(b"k", b"2");
    post.node.put(b"other", b"3");
    post.watching.applied(3);
    post.watching.obey(Order::Mark(owner(1, 1)));
    post.collect();
    assert_eq!(post.lines(owner(1, 1)), [begun(1)], "the change comes first");
    post.settle();
    let mark = |revision| format!("{:?}", Word::Mark { revision });
    assert_eq!(post.lines(owner(1, 1)), ["2 k=2".to_owned(), mark(3)]);
    post.watching.tick();
    post.watching.tick();
    post.collect();
    assert_eq!(post.lines(owner(1, 1)), [mark(3)], "one tick without a word before it");
    post.node.put(b"k", b"4");
    post.settle();
    post.watching.tick();
    post.collect();
    assert_eq!(post.lines(owner(1, 1)), ["4 k=4"], "who was just shown something knows");
    // Of the past, a mark comes when the present is reached.
    post.watch(owner(2, 1), 2, &Interest::of(KeyRange::single(b"k")));
    post.watching.obey(Order::Mark(owner(2, 1)));
    post.collect();
    assert_eq!(post.lines(owner(2, 1)), [begun(1)]);
    post.settle();
    assert_eq!(post.lines(owner(2, 1)), ["2 k=2".to_owned(), "4 k=4".to_owned(), mark(4)]);
}

#[test]
fn a_watch_ends_when_its_client_says_so_or_goes() {
    let mut post = Post::new();
    for (connection, watch) in [(1, 1), (1, 2), (2, 1)] {
        post.watch(owner(connection, watch), 0, &Interest::of(KeyRange::single(b"k")));
    }
    post.watching.obey(Order::Unwatch(owner(1, 1)));
    post.watching.obey(Order::Unwatch(owner(1, 1)));
    post.watching.obey(Order::Mark(owner(1, 9)));
    post.watching.obey(Order::Leave { connection: 2 });
    post.node.put(b"k", b"2");
    post.settle();
    let over = format!("{:?}", Word::Ended(End::Unwatched));
    assert_eq!(post.lines(owner(1, 1)), [begun(1), over.clone(), over.clone()]);
    assert_eq!(post.lines(owner(1, 2)), [&*begun(1), "2 k=2"]);
    assert_eq!(post.lines(owner(2, 1)), [begun(1)]);
    assert_eq!(post.lines(owner(1, 9)), [over]);
    post.watching.obey(Order::Leave { connection: 1 });
    post.node.put(b"k", b"3");
    post.settle();
    assert!(post.told.is_empty());
}

#[test]
fn what_makes_no_sense_is_no_watch() {
    let mut post = Post::new();
    post.watch(owner(1, 1), 0, &Interest::of(KeyRange::single(b"")));
    let interest = Bytes::from_static(b"\xc0");
    post.watching.obey(Order::Watch { owner: owner(1, 2), start: 0, marks: false, interest });
    post.watch(owner(1, 3), 0, &Interest::of(KeyRange::single(b"k")));
    post.watch(owner(1, 3), 0, &Interest::of(KeyRange::single(b"k")));
    post.watch(owner(1, 4), u64::MAX, &Interest::of(KeyRange::single(b"k")));
    let between = KeyRange { from: b"z", end: RangeEnd::HalfOpen(b"a") };
    post.watch(owner(1, 5), 1, &Interest::of(between));
    post.node.put(b"k", b"2");
    post.settle();
    let first = |post: &mut Post, watch| post.lines(owner(1, watch)).remove(0);
    assert!(first(&mut post, 1).contains("key is not provided"));
    assert!(first(&mut post, 2).starts_with("Malformed"));
    let twice = post.lines(owner(1, 3));
    assert!(twice.len() == 2 && twice[1].starts_with("Malformed"), "{twice:?}");
    assert_eq!(post.lines(owner(1, 4)), [begun(u64::MAX - 1)]);
    assert_eq!(post.lines(owner(1, 5)), [begun(0)], "a range that holds nothing");
}

#[test]
fn a_node_that_does_not_know_yet_how_far_it_is_lets_watches_wait() {
    let mut watching = Watching::new(Limits::default());
    let mut body = BytesMut::new();
    Interest::of(KeyRange::single(b"k")).encode(&mut body);
    let interest = body.freeze();
    watching.obey(Order::Watch { owner: owner(1, 1), start: 0, marks: false, interest });
    assert!(watching.take_pushes().is_empty() && watching.wants().is_none());
    watching.applied(8);
    let pushes = watching.take_pushes();
    assert!(
        matches!(pushes[..], [ref push] if push.word == Word::Begun { revision: 8, newest: 8 })
    );
    watching.applied(9);
    assert_eq!(watching.wants(), Some(9));
    watching.take(Err(NoChanges::Fenced));
    let pushes = watching.take_pushes();
    assert_eq!(pushes[0].word, Word::Ended(End::NotHere { resume_at: 9 }));
}

#[test]
fn interests_and_changes_are_written_as_the_documents_say() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let written = |interest: &Interest<'_>| {
        let mut bytes = BytesMut::new();
        interest.encode(&mut bytes);
        assert_eq!(Interest::decode(&bytes).as_ref(), Ok(interest));
        hex(&bytes)
    };
    let single = Interest::of(KeyRange::single(b"k"));
    assert_eq!(written(&single), "9592c4016ba173a161c3c3c2");
    let items = Items::Named(Name(b"f"));
    let field = Interest { items, puts: false, ..with_previous(KeyRange::prefix(b"k")) };
    assert_eq!(written(&field), "9592c4016ba17081a16ec40166c2c3c3");
    let keys = Interest { items: Items::Keys, ..single };
    assert_eq!(written(&keys), "9592c4016ba173a16bc3c3c2");

    let mut post = Post::new();
    post.watch(owner(1, 1), 0, &with_previous(KeyRange::prefix(b"")));
    post.node.put(b"k", b"v");
    set_field(&mut post.node, b"h", b"f", b"v");
    post.node.delete(&[KeyRange::single(b"k")]);
    post.settle();
    let Word::Changed { changes, .. } = &post.told[&owner(1, 1)][1] else { panic!("changes") };
    let expected = [
        "dd00000004",
        "9502c4016bc094c40176020201c0",
        "9503c40168c095c40003030192a16800c0",
        "9503c40168c4016694c40176030301c0",
        "9504c4016bc0c094c40176020201",
    ];
    assert_eq!(hex(changes), expected.concat());
}
