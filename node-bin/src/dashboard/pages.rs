//! The pages that are open, and what waits for each of them to be read: of a page that does not
//! read, nothing more than `PARTS_MAX` parts is kept.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;

/// Pages of a node at a time. Further ones are refused.
pub(super) const PAGES_MAX: usize = 64;

/// Streams of pages that are in memory, those included that were ended and whose clients have not
/// read that. Further pages are refused.
const STREAMS_MAX: usize = 4 * PAGES_MAX;

/// Parts of a stream that wait for the page to read; it misses further ones.
const PARTS_MAX: usize = 8;

/// How long a page may read nothing; then it is ended, and asks again when it reads. Units:
/// microseconds.
const READ_DEADLINE_US: u64 = 60_000_000;

/// A part of a stream: a server-sent event, shared by all pages.
pub(crate) type Part = Bytes;

/// The pages.
#[derive(Debug, Default)]
pub(super) struct Pages {
    open: Vec<Page>,
    /// Is shared by as many as there are streams, and this.
    streams: Arc<()>,
}

/// What a page is shown.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) parts: mpsc::Receiver<Part>,
    /// To be kept until the last of it is gone.
    pub(crate) place: Place,
    /// Ends with the page's place among the open ones: what is left of the parts then is for
    /// whoever reads at once.
    pub(crate) ended: oneshot::Receiver<()>,
}

/// A place among the streams, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place(#[expect(dead_code, reason = "it is counted")] Arc<()>);

#[derive(Debug)]
struct Page {
    parts: mpsc::Sender<Part>,
    /// Since when it has not read. Units: microseconds.
    stuck_since_us: Option<u64>,
    /// Is dropped with the page.
    _ended: oneshot::Sender<()>,
}

impl Pages {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes one more page, unless there are enough.
    pub(super) fn open(&mut self, first: impl IntoIterator<Item = Part>) -> Option<Stream> {
        if PAGES_MAX <= self.open.len() || STREAMS_MAX < Arc::strong_count(&self.streams) {
            return None;
        }
        let (parts, shown) = mpsc::channel(PARTS_MAX);
        for part in first {
            // There is room for what comes first.
            let _ = parts.try_send(part);
        }
        let (end, ended) = oneshot::channel();
        self.open.push(Page { parts, stuck_since_us: None, _ended: end });
        Some(Stream { parts: shown, place: Place(self.streams.clone()), ended })
    }

    /// Shows something to all pages that read; the others miss it.
    pub(super) fn show(&mut self, now_us: u64, part: &Part) {
        for page in &mut self.open {
            page.stuck_since_us = match page.parts.try_send(part.clone()) {
                Ok(()) => None,
                // Who is gone is forgotten with the next look.
                Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                    Some(page.stuck_since_us.unwrap_or(now_us))
                }
            };
        }
    }

    /// Forgets pages that are gone, or have not read for too long.
    pub(super) fn forget_gone(&mut self, now_us: u64) {
        self.open.retain(|page| {
            let is_stuck = page
                .stuck_since_us
                .is_some_and(|since_us| READ_DEADLINE_US < now_us.saturating_sub(since_us));
            !page.parts.is_closed() && !is_stuck
        });
    }
}

/// A document as a server-sent event. Its text has no line breaks, as JSON has none.
pub(super) fn event<T: Serialize>(name: &str, document: &T) -> Part {
    let mut text = format!("event: {name}\ndata: ").into_bytes();
    serde_json::to_writer(&mut text, document).expect("documents of a page are text and numbers");
    text.extend_from_slice(b"\n\n");
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_does_not_read_misses_what_comes_and_is_ended_at_last() {
        let mut pages = Pages::default();
        let part = event("state", &1);
        let mut idle = pages.open([]).expect("there is room").parts;
        let mut busy = pages.open([part.clone()]).expect("there is room").parts;
        for at_us in 0..20 {
            pages.show(at_us, &part);
            while busy.try_recv().is_ok() {}
        }
        pages.forget_gone(READ_DEADLINE_US);
        assert_eq!(pages.open.len(), 2, "it may take its time");
        pages.forget_gone(READ_DEADLINE_US + 20);
        assert_eq!(pages.open.len(), 1);
        let mut kept = 0;
        while idle.try_recv().is_ok() {
            kept += 1;
        }
        assert_eq!((kept, idle.is_closed()), (PARTS_MAX, true));
    }

    #[test]
    fn only_so_many_pages_are_open_and_those_that_are_gone_leave_room() {
        let mut pages = Pages::default();
        let mut open: Vec<_> = (0..PAGES_MAX).map(|_| pages.open([]).expect("room")).collect();
        assert!(pages.open([]).is_none());
        drop(open.pop());
        pages.forget_gone(0);
        assert!(pages.open([]).is_some());
    }

    #[test]
    fn those_that_were_ended_and_are_still_in_memory_are_counted() {
        let mut pages = Pages::default();
        let part = event("state", &1);
        let mut stuck: Vec<Stream> = Vec::new();
        for round in 0..4_u64 {
            let at_us = round * 10 * READ_DEADLINE_US;
            stuck.extend((0..PAGES_MAX).map(|_| pages.open([]).expect("room")));
            (0..=PARTS_MAX).for_each(|_| pages.show(at_us, &part));
            pages.forget_gone(at_us + READ_DEADLINE_US + 1);
            assert!(pages.is_empty());
        }
        assert!(pages.open([]).is_none(), "their clients have what they were shown yet to read");
        stuck.pop();
        assert!(pages.open([]).is_some());
    }

    #[test]
    fn a_document_is_one_event() {
        let event = event("lines", &["a\nb"]);
        assert_eq!(event, "event: lines\ndata: [\"a\\nb\"]\n\n");
    }
}
