//! The page that every node serves, in a real browser, with a real `kvorum dev` behind it.

mod alone;
mod hostile;
mod keys;
mod lessons;
mod looks;
mod plays;

use crate::harness::browser::Browser;
use crate::harness::typist::Typist;
use crate::harness::wait;

/// A cluster of three with a browser at the page of its node 1.
struct Stage {
    cluster: Typist,
    browser: Browser,
}

impl Stage {
    /// `query` stands behind the address of the page. None without a browser.
    async fn open(test: &str, query: &str) -> Option<Self> {
        let browser = Browser::start(test).await?;
        let mut cluster = Typist::start("memory");
        cluster.check("SET greeting hello", &["OK"]).await;
        let stage = Self { cluster, browser };
        stage.browser.open(&format!("http://{}/{query}", stage.host())).await;
        stage.browser.until("three nodes", "document.querySelectorAll('.node').length === 3").await;
        stage.leads().await;
        Some(stage)
    }

    /// Where the page is.
    fn host(&self) -> String {
        self.cluster.door(1)
    }

    /// Waits until exactly one node is shown as the leader, and returns which.
    async fn leads(&self) -> String {
        let script = "const all = [...document.querySelectorAll('.node[data-role=leader]')];
            return all.length === 1 ? all[0].dataset.node : null";
        wait::until("one leader on the page", async || {
            self.browser.eval(script).await.as_str().map(str::to_owned)
        })
        .await
    }

    /// Waits until the page shows that node `id` leads.
    async fn is_led_by(&self, id: &str) {
        let shown = format!(
            "document.querySelector('.node[data-node=\"{id}\"]').dataset.role === 'leader'"
        );
        self.browser.until(&format!("node {id} as the leader"), &shown).await;
    }

    /// Ends all of it; nothing may have been complained of.
    async fn end(self) {
        self.browser.check_clean(&self.host()).await;
        self.browser.end().await;
    }
}

/// How a node is shown.
fn state_of(id: &str) -> String {
    format!("document.querySelector('.node[data-node=\"{id}\"]').dataset.state")
}
