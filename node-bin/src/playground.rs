//! Playground: takes what clients want to see done to this node or to its cluster.
//!
//! Command: `AskedToPlay` (Api, doors).  Facts out: `PlayEnded` (to Api), `SpoiltLinks` (to
//! Dashboard).
//! In a cluster of one process its owner decides and acts, who is no actor; a node by itself does
//! what concerns it (`alone`), and there is no such actor in a node that nobody may play with.
//! Limits: `ORDERS_MAX` orders wait for the owner of a cluster; further ones are refused.

mod alone;

use std::sync::Weak;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message, Recipient};
use raft_core::replica::event::Ticket;
use raft_core::types::NodeId;
use raft_net::client_protocol::playground::Play;
use raft_net::faults::{Faults, SetFaults};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;
use tokio::time::timeout;

use self::alone::Deed;
use crate::consensus::Urge;
use crate::dashboard::surroundings::{SpoiltLink, SpoiltLinks};
use crate::fault::FaultGuard;
use crate::node::{Control, Pause};

/// How long a client may take to be told before the node that tells it is ended or stopped.
const FAREWELL: Duration = Duration::from_secs(1);

/// Orders that wait for the owner of a cluster in one process at most.
pub(crate) const ORDERS_MAX: usize = 64;

/// What is said when there are more.
pub(crate) const TOO_MANY_ORDERS: &str =
    "too many orders wait for the cluster; ask again when it has time";

/// Who takes what clients want to see done to a node.
#[derive(Clone, Debug)]
pub enum Playground {
    /// The owner of a cluster in one process.
    Owner(mpsc::Sender<Asked>),
    /// The node by itself, for what concerns it alone.
    Alone {
        /// Ends the process, as `kill -9` would.
        die: fn() -> !,
    },
}

/// Something that a client wants to see, for whoever can do it.
#[derive(Debug)]
pub struct Asked {
    pub(crate) wish: Wish,
    /// The node that was asked.
    pub(crate) via: NodeId,
    pub(crate) answer: Answer,
}

/// What a client wants to see.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// Something done.
    Play {
        play: Play,
        /// The page to whose lesson it belongs, if it belongs to one.
        page: Option<String>,
    },
    /// A lesson played.
    Lesson(LessonWord),
}

/// What a page says of the lesson that it plays.
#[derive(Clone, Debug)]
pub(crate) struct LessonWord {
    /// The page, by a word that it has drawn.
    pub(crate) page: String,
    pub(crate) news: LessonNews,
}

/// What becomes of a lesson.
#[derive(Clone, Debug)]
pub(crate) enum LessonNews {
    /// The page wants to begin the lesson of this name.
    Begins { name: String },
    /// The lesson goes on, and the page shows this.
    Shows { title: String, text: String },
    /// The lesson is over, or another page ends it.
    Ends,
}

/// Who is to be told what became of it.
#[derive(Debug)]
pub(crate) enum Waits {
    /// A client of Api.
    Client {
        ticket: Ticket,
        /// Ends with its connection.
        here: Weak<()>,
    },
    /// A page, through its door.
    Page(oneshot::Sender<PageTold>),
}

/// What a page is told.
#[derive(Debug)]
pub(crate) struct PageTold {
    /// What was done, or why it was not.
    pub(crate) outcome: Result<String, String>,
    /// Is dropped when the page's socket has the answer.
    pub(crate) told: Option<oneshot::Sender<()>>,
}

/// Whoever waits for an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    waits: Waits,
    to: Recipient<PlayEnded>,
}

impl Answer {
    /// Whether nobody waits for it any more.
    pub(crate) fn is_given_up(&self) -> bool {
        match &self.waits {
            Waits::Client { here, .. } => here.strong_count() == 0,
            Waits::Page(page) => page.is_closed(),
        }
    }

    /// Answers.
    pub(crate) fn tell(self, outcome: Result<String, String>) {
        self.put(outcome, None);
    }

    fn put(self, outcome: Result<String, String>, told: Option<oneshot::Sender<()>>) {
        match self.waits {
            Waits::Client { ticket, .. } => self.to.do_send(PlayEnded { ticket, outcome, told }),
            // It may have stopped waiting.
            Waits::Page(page) => drop(page.send(PageTold { outcome, told })),
        }
    }

    /// Answers, and returns when the answer has left, or was long enough about it: the node that
    /// gives it will not run any more.
    pub(crate) async fn tell_before(self, text: String) {
        let (told, is_told) = oneshot::channel();
        self.put(Ok(text), Some(told));
        // What comes next comes anyway.
        let _ = timeout(FAREWELL, is_told).await;
    }
}

/// Does what a client wants to see.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct AskedToPlay {
    pub(crate) waits: Waits,
    pub(crate) wish: Wish,
}

/// Reports what became of it.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct PlayEnded {
    pub(crate) ticket: Ticket,
    /// What was done, or why it was not.
    pub(crate) outcome: Result<String, String>,
    /// Is told when the client's socket has the answer.
    pub(crate) told: Option<oneshot::Sender<()>>,
}

/// What a node by itself can be made to do.
#[derive(Debug)]
pub(crate) struct Outlets {
    pub(crate) ended: Recipient<PlayEnded>,
    pub(crate) urge: Recipient<Urge>,
    pub(crate) set_faults: Recipient<SetFaults>,
    /// If the node has pages.
    pub(crate) spoilt: Option<Recipient<SpoiltLinks>>,
    /// To the node's thread.
    pub(crate) control: mpsc::UnboundedSender<Control>,
}

/// The actor.
#[derive(Debug)]
pub(crate) struct Player {
    own: NodeId,
    playground: Playground,
    outlets: Outlets,
    /// What is wrong with the wires of a node by itself.
    faults: Faults,
    _fault: FaultGuard,
}

impl Player {
    pub(crate) fn new(
        own: NodeId,
        playground: Playground,
        outlets: Outlets,
        fault: FaultGuard,
    ) -> Self {
        Self { own, playground, outlets, faults: Faults::default(), _fault: fault }
    }

    fn carry_out(&mut self, deed: Deed, text: String, die: fn() -> !, answer: Answer) {
        match deed {
            Deed::Die => {
                actix_rt::spawn(async move {
                    answer.tell_before(text).await;
                    die();
                });
                return;
            }
            Deed::StandStill(at_most) => {
                let control = self.outlets.control.clone();
                actix_rt::spawn(async move {
                    answer.tell_before(text).await;
                    // A node that is ending does not stand still any more.
                    let _ = control.send(Control::Pause(Pause::lasting(at_most)));
                });
                return;
            }
            Deed::Wires(faults) => {
                self.faults.clone_from(&faults);
                if let Some(spoilt) = &self.outlets.spoilt {
                    spoilt.do_send(SpoiltLinks(SpoiltLink::of(self.own, &faults)));
                }
                self.outlets.set_faults.do_send(SetFaults(faults));
            }
            Deed::Campaign => self.outlets.urge.do_send(Urge::Campaign),
            Deed::StepDown => self.outlets.urge.do_send(Urge::StepDown),
        }
        answer.tell(Ok(text));
    }
}

impl Actor for Player {
    type Context = Context<Self>;
}

impl Handler<AskedToPlay> for Player {
    type Result = ();

    fn handle(&mut self, AskedToPlay { waits, wish }: AskedToPlay, _: &mut Self::Context) {
        let answer = Answer { waits, to: self.outlets.ended.clone() };
        match &self.playground {
            Playground::Owner(owner) => {
                let asked = Asked { wish, via: self.own, answer };
                let (asked, why) = match owner.try_send(asked) {
                    Ok(()) => return,
                    Err(TrySendError::Full(asked)) => (asked, TOO_MANY_ORDERS),
                    Err(TrySendError::Closed(asked)) => {
                        (asked, "the cluster of this node is ending")
                    }
                };
                asked.answer.tell(Err(why.to_owned()));
            }
            Playground::Alone { die } => {
                let die = *die;
                let decided = match wish {
                    Wish::Play { play, .. } => alone::decide(play, self.own, &self.faults),
                    Wish::Lesson(_) => Err("lessons are played in kvorum dev only".to_owned()),
                };
                match decided {
                    Ok((deed, text)) => self.carry_out(deed, text, die, answer),
                    Err(why) => answer.tell(Err(why)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Where answers go that nobody waits for.
    struct Nowhere;

    impl Actor for Nowhere {
        type Context = Context<Self>;
    }

    impl Handler<PlayEnded> for Nowhere {
        type Result = ();

        fn handle(&mut self, _: PlayEnded, _: &mut Self::Context) {}
    }

    #[actix_rt::test]
    async fn an_order_is_given_up_with_its_connection_or_its_page() {
        let to: Recipient<PlayEnded> = Nowhere.start().recipient();
        let connection = Arc::new(());
        let ticket = Ticket { connection: 1, request: 1 };
        let waits = Waits::Client { ticket, here: Arc::downgrade(&connection) };
        let of_client = Answer { waits, to: to.clone() };
        let (page, told) = oneshot::channel();
        let of_page = Answer { waits: Waits::Page(page), to };
        assert!(!of_client.is_given_up() && !of_page.is_given_up());
        drop((connection, told));
        assert!(of_client.is_given_up() && of_page.is_given_up());
    }
}
