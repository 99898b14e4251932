//! The watches of one stream: what is told to the client, and what is asked of the node.

use bytes::{Bytes, BytesMut};
use kv_store::command::{Interest, KeyRange, RangeEnd};
use kv_store::watching::{End, Word};
use raft_core::types::Term;
use raft_net::etcd::etcdserverpb::WatchCreateRequest;
use raft_net::etcd::etcdserverpb::watch_create_request::FilterType;
use raft_net::etcd::mvccpb::event::EventType;

use super::super::watch_state::Watches;
use crate::api::StreamOrder;

fn create(key: &'static [u8]) -> WatchCreateRequest {
    WatchCreateRequest { key: Bytes::from_static(key), ..WatchCreateRequest::default() }
}

fn tell(watches: &mut Watches, number: u64, word: Word) -> Vec<String> {
    watches.take(number, word, Term(3));
    told(watches)
}

/// What the client is told, a line for each response.
fn told(watches: &mut Watches) -> Vec<String> {
    let lines = std::mem::take(&mut watches.told).into_iter().map(|told| {
        let it = told.response;
        let mut line = format!("{}@{}", it.watch_id, told.revision);
        for (is_so, word) in
            [(it.created, " created"), (it.canceled, " canceled"), (it.fragment, " fragment")]
        {
            if is_so {
                line += word;
            }
        }
        if it.compact_revision != 0 {
            line += &format!(" compacted {}", it.compact_revision);
        }
        if !it.cancel_reason.is_empty() {
            line += &format!(" because {}", it.cancel_reason);
        }
        for event in &it.events {
            let kv = event.kv.as_ref().unwrap();
            let kind = if event.r#type() == EventType::Put { "+" } else { "-" };
            line += &format!(" {kind}{}@{}", String::from_utf8_lossy(&kv.key), kv.mod_revision);
        }
        line
    });
    lines.collect()
}

/// What the node is asked, a line for each order.
fn asked(watches: &mut Watches) -> Vec<String> {
    let lines = std::mem::take(&mut watches.orders).into_iter().map(|order| match order {
        StreamOrder::Watch { watch, start, marks, .. } => format!("watch {watch} {start} {marks}"),
        StreamOrder::Unwatch(watch) => format!("unwatch {watch}"),
        StreamOrder::Mark(watch) => format!("mark {watch}"),
    });
    lines.collect()
}

/// Changes as the node encodes them: key, revision, whether it was removed.
fn changed(changes: &[(&str, u64, bool)], is_cut: bool) -> Word {
    use rmp_changes::write;
    Word::Changed { changes: write(changes), is_cut }
}

mod rmp_changes {
    //! Lists of changes, by hand: `docs/commands.md`.

    use super::{Bytes, BytesMut};

    pub(super) fn write(changes: &[(&str, u64, bool)]) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&[0x90 | u8::try_from(changes.len()).unwrap()]);
        for (key, revision, is_gone) in changes {
            let revision = u8::try_from(*revision).unwrap();
            bytes.extend_from_slice(&[0x95, revision, 0xc4, u8::try_from(key.len()).unwrap()]);
            bytes.extend_from_slice(key.as_bytes());
            bytes.extend_from_slice(&[0xc0]);
            if *is_gone {
                bytes.extend_from_slice(&[0xc0]);
            } else {
                bytes.extend_from_slice(&[0x94, 0xc4, 1, b'v', revision, revision, 1]);
            }
            bytes.extend_from_slice(&[0xc0]);
        }
        bytes.freeze()
    }
}

#[test]
fn a_watch_is_created_shown_and_cancelled() {
    let mut watches = Watches::default();
    watches.create(create(b"k"));
    assert_eq!(asked(&mut watches), ["watch 1 0 false"]);
    let begun = Word::Begun { revision: 8, newest: 8 };
    assert_eq!(tell(&mut watches, 1, begun), ["0@8 created"]);
    let events = changed(&[("k", 9, false), ("k", 10, true)], false);
    assert_eq!(tell(&mut watches, 1, events), ["0@10 +k@9 -k@10"]);
    watches.cancel(5);
    watches.cancel(0);
    assert_eq!(asked(&mut watches), ["unwatch 1"]);
    assert_eq!(tell(&mut watches, 1, Word::Ended(End::Unwatched)), ["0@10 canceled"]);
    assert!(tell(&mut watches, 1, Word::Mark { revision: 11 }).is_empty());
}

/// The response to a watch in the past shows the newest revision, not where it begins.
#[test]
fn ids_are_given_in_order_or_chosen() {
    let mut watches = Watches::default();
    watches.create(WatchCreateRequest { watch_id: 1, start_revision: 3, ..create(b"k") });
    watches.create(create(b"k"));
    watches.create(create(b"k"));
    watches.create(WatchCreateRequest { watch_id: 2, ..create(b"k") });
    let reason = "mvcc: duplicate watch ID provided on the WatchStream";
    assert_eq!(told(&mut watches), [format!("-1@0 created canceled because {reason}")]);
    assert_eq!(asked(&mut watches), ["watch 1 3 false", "watch 2 0 false", "watch 3 0 false"]);
    let begun = Word::Begun { revision: 2, newest: 8 };
    assert_eq!(tell(&mut watches, 1, begun), ["1@8 created"]);
    let begun = Word::Begun { revision: 8, newest: 8 };
    assert_eq!(tell(&mut watches, 3, begun), ["2@8 created"]);
}

#[test]
fn watches_without_sense_are_created_and_cancelled_at_once() {
    let range_end = Bytes::from_static(b"a");
    for (request, reason) in [
        (
            WatchCreateRequest { start_revision: -1, ..create(b"k") },
            "etcdserver: mvcc: required revision has been compacted",
        ),
        (WatchCreateRequest { range_end, ..create(b"k") }, "mvcc: watcher range is empty"),
    ] {
        let mut watches = Watches::default();
        watches.create(request);
        assert_eq!(told(&mut watches), [format!("-1@0 created canceled because {reason}")]);
        assert!(asked(&mut watches).is_empty());
    }
    let mut watches = Watches::default();
    watches.create(create(b"k"));
    let why = "too long".to_owned();
    let refused = tell(&mut watches, 1, Word::Malformed { why });
    assert_eq!(refused, ["-1@0 created canceled because too long"]);
}

#[test]
fn a_compacted_start_is_created_and_then_cancelled() {
    let mut watches = Watches::default();
    watches.create(WatchCreateRequest { start_revision: 2, ..create(b"k") });
    let begun = Word::Begun { revision: 1, newest: 20 };
    assert_eq!(tell(&mut watches, 1, begun), ["0@20 created"]);
    let ended = Word::Ended(End::Compacted { oldest: 9 });
    assert_eq!(tell(&mut watches, 1, ended), ["0@0 canceled compacted 9"]);
}

#[test]
fn a_revision_comes_whole_unless_fragments_are_asked_for() {
    for (fragment, expected) in
        [(false, vec!["0@9 +a@9 +b@9"]), (true, vec!["0@9 fragment +a@9", "0@9 +b@9"])]
    {
        let mut watches = Watches::default();
        watches.create(WatchCreateRequest { fragment, ..create(b"a") });
        tell(&mut watches, 1, Word::Begun { revision: 8, newest: 8 });
        let mut all = tell(&mut watches, 1, changed(&[("a", 9, false)], true));
        all.extend(tell(&mut watches, 1, changed(&[("b", 9, false)], false)));
        assert_eq!(all, expected);
    }
}

/// The client of a watch that the node has ended for its slowness does not notice: what it was
/// not shown whole is shown again.
#[test]
fn a_slow_reader_goes_on_where_it_was() {
    let mut watches = Watches::default();
    watches.create(create(b"a"));
    tell(&mut watches, 1, Word::Begun { revision: 8, newest: 8 });
    watches.ask_progress();
    assert_eq!(asked(&mut watches), ["watch 1 0 false", "mark 1"]);
    assert!(tell(&mut watches, 1, changed(&[("a", 9, false)], true)).is_empty());
    assert!(tell(&mut watches, 1, Word::Ended(End::Slow { resume_at: 9 })).is_empty());
    assert_eq!(asked(&mut watches), ["watch 2 9 false", "mark 2"]);
    assert!(tell(&mut watches, 2, Word::Begun { revision: 8, newest: 30 }).is_empty());
    let again = changed(&[("a", 9, false), ("b", 9, false)], false);
    assert_eq!(tell(&mut watches, 2, again), ["0@9 +a@9 +b@9"]);
    assert_eq!(tell(&mut watches, 2, Word::Mark { revision: 30 }), ["-1@30"]);
    tell(&mut watches, 2, Word::Ended(End::NotHere { resume_at: 31 }));
    assert!(watches.is_lost);
}

/// A client resumes behind the revision of a response, so none may be ahead of what it was shown.
#[test]
fn progress_of_all_is_told_when_all_are_so_far() {
    let mut watches = Watches::default();
    watches.ask_progress();
    assert!(told(&mut watches).is_empty() && asked(&mut watches).is_empty());
    watches.create(create(b"a"));
    watches.create(create(b"b"));
    asked(&mut watches);
    watches.ask_progress();
    assert_eq!(asked(&mut watches), ["mark 1", "mark 2"]);
    assert!(tell(&mut watches, 1, Word::Mark { revision: 12 }).is_empty());
    assert_eq!(tell(&mut watches, 2, Word::Mark { revision: 11 }), ["-1@11"]);
    assert_eq!(tell(&mut watches, 2, Word::Mark { revision: 15 }), ["1@15"]);
    watches.ask_progress();
    tell(&mut watches, 1, Word::Mark { revision: 16 });
    let ended = tell(&mut watches, 2, Word::Ended(End::Unwatched));
    assert_eq!(ended, ["1@16 canceled", "-1@16"]);
}

#[test]
fn requests_for_progress_are_kept_up_to_a_few() {
    let mut watches = Watches::default();
    watches.create(create(b"a"));
    asked(&mut watches);
    (0..1_000).for_each(|_| watches.ask_progress());
    let marks = asked(&mut watches).len();
    assert_eq!(marks, 16, "the others have their answer in the last of these");
    let answers: Vec<_> =
        (0..16).map(|_| tell(&mut watches, 1, Word::Mark { revision: 12 })).collect();
    assert!(answers.iter().all(|answer| *answer == ["-1@12"]), "{answers:?}");
    watches.ask_progress();
    assert_eq!(asked(&mut watches), ["mark 1"], "there is room again");
}

#[test]
fn what_is_watched_is_what_was_asked_for() {
    let mut watches = Watches::default();
    let filters = vec![FilterType::Noput.into()];
    let range_end = Bytes::from_static(b"\0");
    watches.create(WatchCreateRequest { filters, range_end, prev_kv: true, ..create(b"") });
    let Some(StreamOrder::Watch { interest, .. }) = watches.orders.first() else { panic!() };
    let interest = Interest::decode(interest).unwrap();
    assert_eq!(interest.range, KeyRange { from: b"\0", end: RangeEnd::From });
    assert!(!interest.puts && interest.deletes && interest.previous);
}
