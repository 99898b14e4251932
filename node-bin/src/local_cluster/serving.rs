//! Serves those who want to see something done: one order that takes its time after the other, and
//! beside it whatever waits for nothing.

use std::pin::pin;

use raft_core::replica::StateMachine;
use raft_core::types::NodeId;
use raft_net::client_protocol::playground::{NodeName, Play};
use tokio::time::{Instant, sleep_until};

use super::LocalCluster;
use super::lesson::{Broken, Heard};
use super::orders::{Ahead, Order};
use super::play::paused;
use crate::playground::{Answer, Asked, LessonWord, Wish};

impl<S: StateMachine + Send + Unpin + 'static> LocalCluster<S> {
    /// Waits for the next order, and puts right meanwhile what a lesson broke whose page is gone.
    /// Dropped while it waits, it loses nothing.
    pub async fn next_order(&mut self) -> Order {
        loop {
            let silent_at = self.lesson.silent_at();
            tokio::select! {
                biased;
                order = self.orders.next() => return order,
                () = until(silent_at) => self.give_up_lesson(),
            }
        }
    }

    /// Waits for something that does not need the cluster itself, and does meanwhile what waits for
    /// nothing.
    pub(crate) async fn meanwhile<T>(&mut self, something: impl Future<Output = T>) -> T {
        self.beside(Ahead::Everything, something).await
    }

    /// The same, with those orders that may go ahead.
    pub(super) async fn beside<T>(
        &mut self,
        ahead: Ahead,
        something: impl Future<Output = T>,
    ) -> T {
        let mut something = pin!(something);
        loop {
            let silent_at = self.lesson.silent_at();
            let asked = tokio::select! {
                biased;
                done = &mut something => return done,
                asked = self.orders.next_prompt(ahead) => asked,
                () = until(silent_at) => {
                    self.give_up_lesson();
                    continue;
                }
            };
            self.serve_promptly(asked).await;
        }
    }

    /// Does what somebody wants to see, and answers; nothing if nobody waits for it any more.
    pub async fn serve(&mut self, order: Order) {
        let Asked { wish, via, answer } = match order {
            Order::Asked(asked) => asked,
            Order::Remove(id) => return self.remove_for_lesson(id).await,
        };
        if answer.is_given_up() {
            return;
        }
        let (play, page) = match wish {
            Wish::Play { play, page } => (play, page),
            Wish::Lesson(word) => return answer.tell(self.take_word(via, word)),
        };
        if let Err(why) = self.lesson.check(page.as_deref()) {
            return answer.tell(Err(why));
        }
        let within = self.patience();
        let play = self.by_number(play).await;
        // Its lesson may have ended while a leader was waited for.
        if let Err(why) = self.lesson.check(page.as_deref()) {
            return answer.tell(Err(why));
        }
        match play {
            Ok(play) if ends(play, via) => self.end_asked(play, page.as_deref(), answer).await,
            Ok(Play::Remove(NodeName::Number(id))) if id == via => {
                match self.take_out(id, within).await {
                    Ok(()) => {
                        answer.tell_before(format!("node {id} removed")).await;
                        self.forget(id);
                    }
                    Err(error) => answer.tell(Err(error.to_string())),
                }
            }
            Ok(play) => {
                let done = self.carry_out(play, page.as_deref()).await;
                answer.tell(done.map_err(|error| error.to_string()));
            }
            Err(error) => answer.tell(Err(error.to_string())),
        }
    }

    /// Does what waits for nothing while something else is waited for.
    async fn serve_promptly(&mut self, Asked { wish, via, answer }: Asked) {
        if answer.is_given_up() {
            return;
        }
        let (play, page) = match wish {
            Wish::Play { play, page } => (play, page),
            Wish::Lesson(word) => return answer.tell(self.take_word(via, word)),
        };
        let page = page.as_deref();
        if let Err(why) = self.lesson.check(page) {
            answer.tell(Err(why));
        } else if ends(play, via) {
            self.end_asked(play, page, answer).await;
        } else {
            answer.tell(self.do_at_once(play, page).map_err(|error| error.to_string()));
        }
    }

    /// Ends the node that was asked, or makes it stand still: afterwards it could not say so.
    async fn end_asked(&mut self, play: Play, page: Option<&str>, answer: Answer) {
        let said = match play {
            Play::Pause { node: NodeName::Number(id), for_ms } => paused(id, for_ms),
            Play::Kill(name) => format!("{name} killed"),
            _ => String::new(),
        };
        answer.tell_before(said).await;
        // It ran, or it could not have asked; if it has ended since, that is as well.
        let _ = self.do_at_once(play, page);
    }

    /// Takes what a page says of its lesson. Returns what came of it, on one line.
    ///
    /// Errors: why nothing did.
    fn take_word(&mut self, via: NodeId, word: LessonWord) -> Result<String, String> {
        match self.lesson.hear(Instant::now(), via, word)? {
            Heard::Begun => {
                self.tell_surroundings();
                Ok("the lesson begins".to_owned())
            }
            Heard::GoesOn { is_new } => {
                if is_new {
                    self.tell_surroundings();
                }
                Ok("the lesson goes on".to_owned())
            }
            Heard::Over(broken) => Ok(self.put_right(&broken)),
        }
    }

    fn give_up_lesson(&mut self) {
        if let Some(broken) = self.lesson.give_up(Instant::now()) {
            let done = self.put_right(&broken);
            tracing::warn!("the page of a lesson is gone: {done}");
        }
    }

    /// Puts right what a lesson broke. Returns what was done, on one line.
    fn put_right(&mut self, broken: &Broken) -> String {
        let mut done = vec!["the lesson is over".to_owned()];
        for cure in broken.cures() {
            // Somebody may have mended it, or removed the node.
            done.extend(self.do_at_once(cure, None));
        }
        for &id in &broken.added {
            self.orders.remove(id);
            done.push(format!("node {id} is removed next"));
        }
        self.tell_surroundings();
        done.join("; ")
    }

    async fn remove_for_lesson(&mut self, id: NodeId) {
        let within = self.patience();
        // Somebody may have removed it.
        if self.members().contains_key(&id)
            && let Err(error) = self.remove(id, within).await
        {
            tracing::warn!("node {id}, which a lesson added, stays: {error}");
        }
    }
}

/// Whether the node that was asked could not answer afterwards.
fn ends(play: Play, via: NodeId) -> bool {
    match play {
        Play::Kill(name) | Play::Pause { node: name, .. } => name == NodeName::Number(via),
        _ => false,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
