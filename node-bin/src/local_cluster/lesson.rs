//! The lesson that a page plays with the cluster: who plays, and what is to be put right when it
//! is over. Pure.
//!
//! One lesson is played at a time. The page gives a sign of life while it plays; when it ends the
//! lesson, or gives none for `SILENCE`, what the lesson broke and nobody has mended since is put
//! right, and orders of it that come later are refused.

use std::collections::BTreeSet;
use std::time::Duration;

use raft_core::types::NodeId;
use raft_net::client_protocol::playground::{NodeName, Play, TimeScale};
use tokio::time::Instant;

use crate::dashboard::surroundings::PlayedLesson;
use crate::playground::{LessonNews, LessonWord};

/// A page that says nothing for so long is gone.
pub(super) const SILENCE: Duration = Duration::from_secs(10);

/// Whether a lesson is played, and which.
#[derive(Debug, Default)]
pub(super) struct Lesson {
    playing: Option<Playing>,
}

#[derive(Debug)]
struct Playing {
    /// As pages are told of it.
    shown: PlayedLesson,
    /// When its page was heard last.
    heard_at: Instant,
    broken: Broken,
}

/// What a lesson has done and nobody has mended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Broken {
    links: BTreeSet<(NodeId, NodeId)>,
    paused: BTreeSet<NodeId>,
    killed: BTreeSet<NodeId>,
    /// The nodes that it added, which go with it.
    pub(super) added: BTreeSet<NodeId>,
    /// How time passed before.
    scale: Option<TimeScale>,
    has_frozen: bool,
}

/// What a word of a page comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The lesson begins.
    Begun,
    /// It goes on; `is_new` if other pages are to be shown something else.
    GoesOn { is_new: bool },
    /// It is over, and this is to be put right.
    Over(Broken),
}

impl Lesson {
    /// As pages are told of it.
    pub(super) fn shown(&self) -> Option<&PlayedLesson> {
        self.playing.as_ref().map(|playing| &playing.shown)
    }

    /// When its page counts as gone, if it says nothing before.
    pub(super) fn silent_at(&self) -> Option<Instant> {
        self.playing.as_ref().map(|playing| playing.heard_at + SILENCE)
    }

    /// Takes a word of a page that came through node `via`.
    ///
    /// Errors: why it changes nothing, for the page.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        via: NodeId,
        word: LessonWord,
    ) -> Result<Heard, String> {
        let LessonWord { page, news } = word;
        match news {
            LessonNews::Begins { name } => {
                if let Some(other) = self.shown() {
                    let PlayedLesson { name, node, .. } = other;
                    return Err(format!(
                        "another page plays a lesson, {name}, through node {node}: one at a time"
                    ));
                }
                let (title, text) = (String::new(), String::new());
                let shown = PlayedLesson { page, name, node: via.number(), title, text };
                self.playing = Some(Playing { shown, heard_at: now, broken: Broken::default() });
                Ok(Heard::Begun)
            }
            LessonNews::Shows { title, text } => {
                let playing = self.of(&page)?;
                playing.heard_at = now;
                let node = via.number();
                let is_new = (&playing.shown.title, &playing.shown.text, playing.shown.node)
                    != (&title, &text, node);
                playing.shown = PlayedLesson { node, title, text, ..playing.shown.clone() };
                Ok(Heard::GoesOn { is_new })
            }
            LessonNews::Ends => {
                self.of(&page)?;
                let over = self.playing.take().map(|playing| playing.broken);
                Ok(Heard::Over(over.unwrap_or_default()))
            }
        }
    }

    /// Ends the lesson if its page is gone; returns what is to be put right.
    pub(super) fn give_up(&mut self, now: Instant) -> Option<Broken> {
        let is_silent = self.silent_at().is_some_and(|at| at <= now);
        let over = if is_silent { self.playing.take() } else { None };
        over.map(|playing| playing.broken)
    }

    /// Whether an order may be carried out, if it belongs to the lesson of a page.
    ///
    /// Errors: that this lesson is over.
    pub(super) fn check(&mut self, page: Option<&str>) -> Result<(), String> {
        match page {
            Some(page) => self.of(page).map(drop),
            None => Ok(()),
        }
    }

    fn of(&mut self, page: &str) -> Result<&mut Playing, String> {
        let playing = self.playing.as_mut().filter(|playing| playing.shown.page == page);
        playing.ok_or_else(|| "that lesson is over; begin another".to_owned())
    }

    /// Notes what was done, by the lesson of a page or by somebody else, while time passed as
    /// `scale` says.
    pub(super) fn note(&mut self, page: Option<&str>, play: Play, scale: TimeScale) {
        let Some(playing) = &mut self.playing else { return };
        playing.broken.forget(play);
        if page == Some(playing.shown.page.as_str()) {
            playing.broken.note(play, scale);
        }
    }

    /// Notes that a lesson added a node; returns whether that is over already.
    pub(super) fn note_added(&mut self, page: &str, id: NodeId) -> bool {
        let playing = self.of(page);
        playing.map(|playing| playing.broken.added.insert(id)).is_err()
    }
}

impl Broken {
    fn note(&mut self, play: Play, scale: TimeScale) {
        match play {
            Play::Cut { link, .. } => self.links.extend(ends(link)),
            Play::Delay { link, delay_ms, .. } if delay_ms != 0 => self.links.extend(ends(link)),
            Play::Kill(NodeName::Number(id)) => drop(self.killed.insert(id)),
            Play::Pause { node: NodeName::Number(id), .. } => drop(self.paused.insert(id)),
            Play::TimeScale(_) => drop(self.scale.get_or_insert(scale)),
            Play::Freeze => self.has_frozen = true,
            // Names stand for numbers by then; the rest breaks nothing.
            _ => {}
        }
    }

    /// Forgets what `play` mends.
    fn forget(&mut self, play: Play) {
        match play {
            Play::Heal(None) => self.links.clear(),
            Play::Heal(Some(link)) => self.links.retain(|it| ends(link) != Some(*it)),
            Play::Revive(None) => self.killed.clear(),
            Play::Revive(Some(NodeName::Number(id))) => drop(self.killed.remove(&id)),
            Play::Resume(None) => self.paused.clear(),
            Play::Resume(Some(NodeName::Number(id))) => drop(self.paused.remove(&id)),
            Play::Thaw => self.has_frozen = false,
            Play::Remove(NodeName::Number(id)) => {
                for nodes in [&mut self.killed, &mut self.paused, &mut self.added] {
                    nodes.remove(&id);
                }
                self.links.retain(|(one, other)| *one != id && *other != id);
            }
            _ => {}
        }
    }

    /// What puts it right, but for the nodes that were added: each of it at once.
    pub(super) fn cures(&self) -> Vec<Play> {
        let of = |nodes: &BTreeSet<NodeId>, cure: fn(Option<NodeName>) -> Play| {
            nodes.iter().map(|id| cure(Some(NodeName::Number(*id)))).collect::<Vec<_>>()
        };
        let link = |(one, other): &(NodeId, NodeId)| {
            Play::Heal(Some((NodeName::Number(*one), NodeName::Number(*other))))
        };
        let thaw = self.has_frozen.then_some(Play::Thaw);
        let scale = self.scale.map(Play::TimeScale);
        thaw.into_iter()
            .chain(scale)
            .chain(self.links.iter().map(link))
            .chain(of(&self.paused, Play::Resume))
            .chain(of(&self.killed, Play::Revive))
            .collect()
    }
}

/// The ends of a link, the lower number first.
fn ends(link: (NodeName, NodeName)) -> Option<(NodeId, NodeId)> {
    match link {
        (NodeName::Number(one), NodeName::Number(other)) => Some((one.min(other), one.max(other))),
        (NodeName::Leader, _) | (_, NodeName::Leader) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u64) -> NodeId {
        NodeId::new(id).unwrap()
    }

    fn number(number: u64) -> NodeName {
        NodeName::Number(id(number))
    }

    fn word(page: &str, news: LessonNews) -> LessonWord {
        LessonWord { page: page.to_owned(), news }
    }

    fn begins() -> LessonNews {
        LessonNews::Begins { name: "heartbeats".to_owned() }
    }

    fn shows(text: &str) -> LessonNews {
        LessonNews::Shows { title: "A title".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn one_page_plays_at_a_time_and_another_is_told_who() {
        let (mut lesson, now) = (Lesson::default(), Instant::now());
        assert_eq!(lesson.hear(now, id(1), word("a", begins())), Ok(Heard::Begun));
        let refused = lesson.hear(now, id(2), word("b", begins())).unwrap_err();
        assert!(refused.contains("heartbeats, through node 1"), "{refused}");
        let shown = lesson.hear(now, id(1), word("a", shows("one")));
        assert_eq!(shown, Ok(Heard::GoesOn { is_new: true }));
        let shown = lesson.hear(now, id(1), word("a", shows("one")));
        assert_eq!(shown, Ok(Heard::GoesOn { is_new: false }));
        assert!(lesson.hear(now, id(2), word("b", shows("two"))).is_err());
        assert!(lesson.check(Some("b")).is_err() && lesson.check(Some("a")).is_ok());
        let over = lesson.hear(now, id(1), word("a", LessonNews::Ends));
        assert_eq!(over, Ok(Heard::Over(Broken::default())));
        assert!(lesson.check(Some("a")).is_err() && lesson.check(None).is_ok());
        assert_eq!(lesson.hear(now, id(2), word("b", begins())), Ok(Heard::Begun));
    }

    #[test]
    fn a_page_that_says_nothing_any_more_is_gone() {
        let (mut lesson, now) = (Lesson::default(), Instant::now());
        assert_eq!(lesson.silent_at(), None);
        lesson.hear(now, id(1), word("a", begins())).unwrap();
        lesson.note(Some("a"), Play::Kill(number(2)), TimeScale::NONE);
        lesson.hear(now + SILENCE / 2, id(1), word("a", shows("one"))).unwrap();
        assert_eq!(lesson.give_up(now + SILENCE), None);
        let broken = lesson.give_up(now + SILENCE / 2 + SILENCE).unwrap();
        assert_eq!(broken.cures(), [Play::Revive(Some(number(2)))]);
        assert_eq!((lesson.shown(), lesson.silent_at()), (None, None));
    }

    #[test]
    fn what_the_lesson_broke_is_put_right_and_nothing_else() {
        let (mut lesson, now, whole) = (Lesson::default(), Instant::now(), TimeScale::NONE);
        let slow = |percent| TimeScale::of_percent(percent).unwrap();
        let cut = |one, other| Play::Cut { link: (number(one), number(other)), one_way: true };
        lesson.hear(now, id(1), word("a", begins())).unwrap();
        lesson.note(None, cut(1, 2), whole);
        lesson.note(Some("a"), cut(3, 2), whole);
        lesson.note(Some("a"), cut(1, 3), whole);
        lesson.note(Some("a"), Play::Heal(Some((number(3), number(1)))), whole);
        lesson.note(Some("a"), Play::TimeScale(slow(500)), slow(200));
        lesson.note(Some("a"), Play::TimeScale(slow(1_000)), slow(500));
        lesson.note(Some("a"), Play::Freeze, slow(1_000));
        lesson.note(Some("a"), Play::Kill(number(2)), slow(1_000));
        lesson.note(Some("a"), Play::Pause { node: number(3), for_ms: None }, slow(1_000));
        // Whoever mends it, it is mended.
        lesson.note(None, Play::Revive(None), slow(1_000));
        assert!(!lesson.note_added("a", id(4)));
        let Ok(Heard::Over(broken)) = lesson.hear(now, id(1), word("a", LessonNews::Ends)) else {
            panic!("it ends");
        };
        let cures = [
            Play::Thaw,
            Play::TimeScale(slow(200)),
            Play::Heal(Some((number(2), number(3)))),
            Play::Resume(Some(number(3))),
        ];
        assert_eq!(broken.cures(), cures);
        assert_eq!(broken.added, [id(4)].into());
        assert!(lesson.note_added("a", id(5)), "it came too late");
    }
}
