//! The page and its files.

use crate::harness::cluster::Cluster;
use crate::harness::{http, wait};

/// What every answer tells the browser.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[tokio::test]
async fn the_page_comes_out_of_the_program_and_may_load_nothing_else() {
    let _turn = wait::turn().await;
    let cluster = Cluster::start(1).await;
    let node = cluster.address(1);
    for (path, kind, begins) in [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/ui/style.css", "text/css; charset=utf-8", ""),
        ("/ui/main.js", "text/javascript; charset=utf-8", ""),
        ("/ui/icon.svg", "image/svg+xml", "<svg"),
    ] {
        let reply = http::ask(node, &format!("GET {path}"), &[], b"").await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(kind)), "{path}");
        assert!(reply.text().starts_with(begins) && !reply.body.is_empty(), "{path}");
        assert_eq!(reply.header("content-security-policy"), Some(POLICY), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-cache"), "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), None, "{path}");
        let known = format!("If-None-Match: {}", reply.header("etag").unwrap());
        let again = http::ask(node, &format!("GET {path}"), &[&known], b"").await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let head = http::ask(node, &format!("HEAD {path}"), &[], b"").await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        let post = http::ask(node, &format!("POST {path}"), &[], b"").await;
        assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")), "{path}");
    }
    for path in ["/ui/", "/ui/nothing.js", "/ui/../Cargo.toml", "/ui/%2e%2e/x", "/ui/page/x"] {
        let reply = http::ask(node, &format!("GET {path}"), &[], b"").await;
        assert_eq!(reply.status, 404, "{path}");
        assert_eq!(reply.header("content-security-policy"), Some(POLICY), "{path}");
    }
}
