//! The word that ends a command before its end.

use std::fmt;
use std::pin::Pin;

/// Ctrl-C, or whatever else says that somebody has had enough. It comes once.
pub struct Stop<'a>(Option<Pin<Box<dyn Future<Output = ()> + 'a>>>);

impl fmt::Debug for Stop<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stop({})", if self.0.is_some() { "to come" } else { "has come" })
    }
}

impl<'a> Stop<'a> {
    /// The word comes when this future ends.
    pub fn when(comes: impl Future<Output = ()> + 'a) -> Self {
        Self(Some(Box::pin(comes)))
    }

    /// Waits for the word; for ever if it has come before. May be dropped and called again.
    pub(crate) async fn comes(&mut self) {
        match &mut self.0 {
            Some(word) => {
                word.await;
                self.0 = None;
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    async fn has_come(stop: &mut Stop<'_>) -> bool {
        tokio::select! {
            biased;
            () = stop.comes() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_word_comes_once_and_is_not_lost() {
        let (say, word) = oneshot::channel();
        let mut stop = Stop::when(async { word.await.expect("it is said") });
        assert!(!has_come(&mut stop).await);
        say.send(()).expect("somebody waits");
        assert!(has_come(&mut stop).await);
        assert!(!has_come(&mut stop).await);
    }
}
