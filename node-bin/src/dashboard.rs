//! Dashboard: looks at the cluster for the pages that are open at this node (`docs/dashboard.md`).
//!
//! Commands: `OpenPage` (doors), `Surround` (the owner of a cluster in one process),
//! `SpoiltLinks` (Playground). Commands out: `AskValues` (to Api; in one process to every node's).
//! One look serves every page, and without a page nobody looks. What is known of nodes is pure
//! (`sights`), and so is what is made of it (`picture`).
//! Limits: `PAGES_MAX` pages and `STREAMS_MAX` streams, beyond which one is refused; `PARTS_MAX`
//! parts that wait for a page to read, beyond which it misses some, and after `READ_DEADLINE_US`
//! of that it is ended; one question of a kind under way to a node.

pub(crate) mod assets;
mod hello;
mod news;
mod pages;
mod picture;
mod sights;
pub(crate) mod surroundings;

use std::collections::BTreeMap;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, Recipient, WrapFuture,
};
use raft_net::client_protocol::MonitorPart;
use tokio::sync::oneshot;

pub(crate) use self::hello::{Introduced, PlaysWith};
use self::pages::Pages;
pub(crate) use self::pages::{Part, Stream};
use self::picture::Picture;
use self::sights::{Kind, Question, Sights};
use self::surroundings::{SpoiltLinks, Surround, Surroundings};
use crate::api::AskValues;
use crate::clock::Clock;
use crate::directory::new_incarnation;
use crate::fault::FaultGuard;

/// How often is looked, and the least time between two pictures.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// A picture comes at least as often, although it is the same. Units: microseconds.
const HEARTBEAT_US: u64 = 2_000_000;

/// A word that only pages of this node know, and only while it runs.
pub(crate) fn new_token() -> String {
    format!("{:016x}{:016x}", new_incarnation().0, new_incarnation().0)
}

/// Takes one more page; answers with what it is to show from now on, or with nothing if there
/// are too many.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct OpenPage {
    pub(crate) reply: oneshot::Sender<Option<Stream>>,
}

/// The actor.
#[derive(Debug)]
pub(crate) struct Dashboard {
    introduced: Introduced,
    clock: Clock,
    ask: Recipient<AskValues>,
    pages: Pages,
    sights: Sights,
    surroundings: Surroundings,
    /// Whether a look is under way or planned.
    is_looking: bool,
    /// Whether what was found since the last look has been shown.
    is_shown: bool,
    shown: Option<Shown>,
    /// Where the pages of the nodes are, as pages were told last.
    doors: BTreeMap<u64, String>,
    _fault: FaultGuard,
}

/// The newest picture that pages were shown.
#[derive(Debug)]
struct Shown {
    picture: Picture,
    event: Part,
    at_us: u64,
}

impl Dashboard {
    pub(crate) fn new(
        introduced: Introduced,
        clock: Clock,
        ask: Recipient<AskValues>,
        fault: FaultGuard,
    ) -> Self {
        let sights = Sights::of(introduced.node_id);
        Self {
            introduced,
            clock,
            ask,
            pages: Pages::default(),
            sights,
            surroundings: Surroundings::default(),
            is_looking: false,
            is_shown: true,
            shown: None,
            doors: BTreeMap::new(),
            _fault: fault,
        }
    }

    /// Looks now, and again after a while, as long as somebody wants to see it.
    fn look(&mut self, context: &mut Context<Self>) {
        let now_us = self.clock.now().0;
        self.pages.forget_gone(now_us);
        if self.pages.is_empty() {
            self.is_looking = false;
            self.shown = None;
            self.sights = Sights::of(self.introduced.node_id);
            return;
        }
        self.show(now_us);
        self.is_shown = false;
        if let Some(news) = self.sights.news() {
            self.pages.show(now_us, &news);
        }
        for question in self.sights.questions(now_us, &self.surroundings) {
            self.put(question, context);
        }
        context.run_later(LOOK_INTERVAL, Self::look);
    }

    /// Asks a node, through its own Api if it lives in this process, or else through ours.
    fn put(&mut self, question: Question, context: &mut Context<Self>) {
        let Question { node, kind, request } = question;
        let neighbour = self.surroundings.nodes.get(&node);
        let ask = neighbour.and_then(|it| it.ask.as_ref()).unwrap_or(&self.ask);
        let (reply, answer) = oneshot::channel();
        ask.do_send(AskValues { request, reply });
        let heard = answer.into_actor(self).map(move |answer, own: &mut Self, _| {
            // A node that ends meanwhile does not answer.
            own.heard(node, kind, answer.unwrap_or_default());
        });
        context.spawn(heard);
    }

    fn heard(&mut self, node: u64, kind: Kind, parts: Vec<MonitorPart>) {
        let now_us = self.clock.now().0;
        let news = self.sights.heard(now_us, (node, kind), parts);
        if let Some(event) = news {
            self.pages.show(now_us, &event);
        }
        if kind == Kind::View && !self.sights.is_looking() {
            self.show(now_us);
        }
    }

    /// Shows what is known, once for each look.
    fn show(&mut self, now_us: u64) {
        if std::mem::replace(&mut self.is_shown, true) || !self.sights.has_seen() {
            return;
        }
        self.greet_anew(now_us);
        let picture = Picture::of(Clock::wall_time(), &self.sights, now_us, &self.surroundings);
        if let Some(shown) = &self.shown
            && shown.picture.is_like(&picture)
            && now_us.saturating_sub(shown.at_us) < HEARTBEAT_US
        {
            return;
        }
        let event = pages::event("state", &picture);
        self.pages.show(now_us, &event);
        self.shown = Some(Shown { picture, event, at_us: now_us });
    }

    /// Where the pages of the nodes are.
    fn doors(&self) -> BTreeMap<u64, String> {
        match self.surroundings.doors() {
            doors if doors.is_empty() => self.sights.pages(),
            doors => doors,
        }
    }

    fn hello(&self) -> Part {
        pages::event("hello", &self.introduced.hello(&self.doors))
    }

    /// Says hello again, if it says something else than before.
    fn greet_anew(&mut self, now_us: u64) {
        let doors = self.doors();
        if doors != self.doors {
            self.doors = doors;
            let hello = self.hello();
            self.pages.show(now_us, &hello);
        }
    }
}

impl Actor for Dashboard {
    type Context = Context<Self>;
}

impl Handler<OpenPage> for Dashboard {
    type Result = ();

    fn handle(&mut self, OpenPage { reply }: OpenPage, context: &mut Self::Context) {
        let now_us = self.clock.now().0;
        self.pages.forget_gone(now_us);
        self.doors = self.doors();
        let state = self.shown.as_ref().map(|shown| shown.event.clone());
        let first = [Some(self.hello()), state, self.sights.past()];
        // Whoever asked may be gone, which is noticed when there is something to show.
        let _ = reply.send(self.pages.open(first.into_iter().flatten()));
        if !self.is_looking && !self.pages.is_empty() {
            self.is_looking = true;
            self.look(context);
        }
    }
}

impl Handler<Surround> for Dashboard {
    type Result = ();

    fn handle(&mut self, Surround(surroundings): Surround, _: &mut Self::Context) {
        self.surroundings = surroundings;
        self.greet_anew(self.clock.now().0);
    }
}

impl Handler<SpoiltLinks> for Dashboard {
    type Result = ();

    fn handle(&mut self, SpoiltLinks(links): SpoiltLinks, _: &mut Self::Context) {
        self.surroundings.links = links;
    }
}
