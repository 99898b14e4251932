//! A browser without a window, driven by the W3C's WebDriver protocol through chromedriver.
//!
//! The protocol is JSON over HTTP, and what is wanted of it are ten requests; the libraries for
//! it bring a licence that we do not take (fantoccini, by its webdriver) or forty further
//! packages (thirtyfour).

use std::path::Path;

use kvorum_client::document::from_base64;
use serde_json::{Value, json};

use super::process::Process;
use super::scratch::Scratch;
use super::{http, tools, wait};

/// How elements are named in answers, by the standard.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one page, ended when dropped.
pub(crate) struct Browser {
    /// Ended with everything that it started: chromium ends when its pipe to it does.
    driver: Process,
    address: String,
    session: String,
    /// Its profile is in there.
    _scratch: Scratch,
}

impl Browser {
    /// Starts one; without chromium and its driver `test` is to go on without.
    pub(crate) async fn start(test: &str) -> Option<Self> {
        let scratch = Scratch::new();
        let chromium = tools::find(test, "chromium")?;
        let chromedriver = tools::find(test, "chromedriver")?;
        let driver =
            Process::start(&scratch, "driver", chromedriver.to_str().unwrap(), &["--port=0"]);
        let port = wait::until("port of the driver", async || {
            let said = driver.stdout();
            let (_, rest) = said.split_once("started successfully on port ")?;
            let (port, _) = rest.split_once('.')?;
            Some(port.to_owned())
        })
        .await;
        let profile = scratch.join("profile");
        let mut browser = Self {
            driver,
            address: format!("127.0.0.1:{port}"),
            session: String::new(),
            _scratch: scratch,
        };
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "unhandledPromptBehavior": "ignore",
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "goog:chromeOptions": {
                "binary": chromium,
                // Tests may run as root and in containers, where its sandbox cannot be made.
                "args": ["--headless=new", "--no-sandbox", "--disable-gpu",
                    "--disable-dev-shm-usage", "--remote-debugging-pipe", "--hide-scrollbars",
                    "--no-first-run", "--disable-background-networking",
                    format!("--user-data-dir={}", profile.display())],
            },
        }}});
        let said = browser.ask("POST", "/session", &wanted).await;
        let session = said["sessionId"].as_str().unwrap();
        browser.session = format!("/session/{session}");
        browser.resize(1280, 800).await;
        Some(browser)
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let request = format!("{method} {}{path}", self.session);
        let sent = if method == "GET" { Vec::new() } else { body.to_string().into_bytes() };
        let headers = ["Content-Type: application/json"];
        // The browser has inherited the connection, so that its end would not be seen.
        let reply = http::ask_by_length(&self.address, &request, &headers, &sent).await;
        let mut said = reply.json();
        assert_eq!(reply.status, 200, "{request} {body}: {said}");
        said["value"].take()
    }

    /// Opens an address.
    pub(crate) async fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url })).await;
    }

    /// Opens one more window with this address, and goes on there. Returns the one before, for
    /// `turn_to`.
    pub(crate) async fn open_beside(&self, url: &str) -> String {
        let before = self.window().await;
        let new = self.ask("POST", "/window/new", &json!({ "type": "window" })).await;
        self.turn_to(new["handle"].as_str().unwrap()).await;
        self.open(url).await;
        before
    }

    /// The window that is looked at.
    pub(crate) async fn window(&self) -> String {
        let window = self.ask("GET", "/window", &Value::Null).await;
        window.as_str().unwrap().to_owned()
    }

    /// Goes on in a window.
    pub(crate) async fn turn_to(&self, window: &str) {
        self.ask("POST", "/window", &json!({ "handle": window })).await;
    }

    /// Closes the window as a person does, and goes on in another.
    pub(crate) async fn close(&self, and_turn_to: &str) {
        self.ask("DELETE", "/window", &json!({})).await;
        self.turn_to(and_turn_to).await;
    }

    /// What a function's body returns in the page.
    pub(crate) async fn eval(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// Waits until an expression is true in the page.
    pub(crate) async fn until(&self, what: &str, expression: &str) {
        let script = format!("return Boolean({expression})");
        wait::until(what, async || (self.eval(&script).await == true).then_some(())).await;
    }

    /// The text of an element.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({selector:?})?.textContent ?? ''");
        self.eval(&script).await.as_str().unwrap().to_owned()
    }

    async fn find(&self, selector: &str) -> String {
        let there = format!("document.querySelector({selector:?})");
        self.until(&format!("{selector} in the page"), &there).await;
        let by = json!({"using": "css selector", "value": selector});
        let found = self.ask("POST", "/element", &by).await;
        format!("/element/{}", found[ELEMENT].as_str().unwrap())
    }

    /// Clicks an element as a person does: it must be seen, and nothing may lie over it.
    pub(crate) async fn click(&self, selector: &str) {
        let usable = format!("!document.querySelector({selector:?})?.disabled");
        self.until(&format!("{selector} that can be used"), &usable).await;
        let element = self.find(selector).await;
        self.ask("POST", &format!("{element}/click"), &json!({})).await;
    }

    /// Types into an element, in place of what is there.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.ask("POST", &format!("{element}/clear"), &json!({})).await;
        self.ask("POST", &format!("{element}/value"), &json!({ "text": text })).await;
    }

    /// Presses keys wherever the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        let presses: Vec<Value> = keys
            .chars()
            .flat_map(|key| [("keyDown", key), ("keyUp", key)])
            .map(|(kind, key)| json!({"type": kind, "value": key.to_string()}))
            .collect();
        let actions = json!({"actions": [{"type": "key", "id": "keys", "actions": presses}]});
        self.ask("POST", "/actions", &actions).await;
    }

    async fn tell(&self, command: &str, parameters: Value) {
        let body = json!({"cmd": command, "params": parameters});
        self.ask("POST", "/goog/cdp/execute", &body).await;
    }

    /// Gives the page another size.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1,
            "mobile": width < 500});
        self.tell("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Lets the page believe that the system is dark, or light.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.tell("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Writes a picture of what is seen.
    pub(crate) async fn picture(&self, path: &Path) {
        let picture = self.ask("GET", "/screenshot", &Value::Null).await;
        let bytes = from_base64(picture.as_str().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        println!("picture: {}", path.display());
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.ask("POST", "/se/log", &json!({ "type": kind })).await;
        log.as_array().unwrap().clone()
    }

    /// Checks that nothing was complained of in the console since the last time, and that no
    /// other host than `host` was asked for anything.
    pub(crate) async fn check_clean(&self, host: &str) {
        let complaints: Vec<String> =
            self.log("browser").await.iter().map(Value::to_string).collect();
        assert!(complaints.is_empty(), "in the console: {complaints:#?}");
        let mut requests = 0;
        for entry in self.log("performance").await {
            let message: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            if message["message"]["method"] != "Network.requestWillBeSent" {
                continue;
            }
            let sent = &message["message"]["params"];
            // The browser's own first page asks for what is in the browser.
            if sent["documentURL"].as_str().unwrap().starts_with("chrome://") {
                continue;
            }
            let url = sent["request"]["url"].as_str().unwrap();
            requests += 1;
            assert!(url.starts_with(&format!("http://{host}/")), "{url} was asked for");
        }
        assert!(0 < requests, "no request was seen");
    }

    /// Ends the browser, and waits until it is gone.
    pub(crate) async fn end(self) {
        self.ask("DELETE", "", &json!({})).await;
        self.driver.kill();
    }
}
