//! For whom a request is meant, by the names in it: what keeps pages of others out.
//!
//! A browser runs what any page tells it to, on the machine of a user who can reach the node.
//! It says which page that was (`Origin`), and by which name the node was asked for (`Host`). A
//! page whose name its owner lets point to this machine all of a sudden (DNS rebinding) is told
//! by the second: the node knows its own names.

use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderMap, Request, header};

/// The names by which a node may be asked for, beside addresses and `localhost`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    /// The hosts of these names or addresses; a port is left out.
    pub(crate) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let host = |name| plain(host(name));
        Self(names.into_iter().map(host).filter(|name| !name.is_empty()).collect())
    }

    /// Whether the node may be asked for by this host, perhaps with a port.
    pub(super) fn know(&self, authority: &str) -> bool {
        let name = plain(host(authority));
        let is_ip = if let Some(ip) = name.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')) {
            ip.parse::<Ipv6Addr>().is_ok()
        } else {
            name.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4())
        };
        is_ip || name == "localhost" || name.ends_with(".localhost") || self.0.contains(&name)
    }

    /// Whether a browser asks for a page that is not this node's: one of another origin, or of a
    /// name that leads here but is not known.
    pub(super) fn are_foreign_to<B>(&self, request: &Request<B>) -> bool {
        let authority = authority(request);
        let authority = authority.as_deref();
        let is_browser = request.headers().contains_key(header::ORIGIN);
        is_foreign(authority, request.headers())
            || is_browser && !authority.is_some_and(|authority| self.know(authority))
    }
}

/// The host of an authority, without its port.
fn host(authority: &str) -> &str {
    if authority.starts_with('[') {
        let end = authority.find(']').map_or(authority.len(), |end| end + 1);
        return &authority[..end];
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

/// A name as it is compared.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// The host and port that a request asks for; `None` if it does not say.
pub(super) fn authority<B>(request: &Request<B>) -> Option<String> {
    let said = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    said.or_else(|| request.uri().authority().map(http::uri::Authority::as_str)).map(str::to_owned)
}

/// Whether a browser asks for a page of another origin.
pub(super) fn is_foreign(authority: Option<&str>, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let origin = origin.to_str().unwrap_or_default().split_once("://");
    origin.is_none_or(|(_, origin)| Some(origin) != authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_asked_for_by_addresses_localhost_and_names_that_it_was_told() {
        let hosts = Hosts::of(["A.example:2379", "b.example", "0.0.0.0:2379", ""]);
        for known in [
            "127.0.0.1",
            "127.0.0.1:2379",
            "10.1.2.3",
            "[::1]:2379",
            "[fe80::1]",
            "localhost",
            "LOCALHOST.:80",
            "x.localhost:1",
            "a.example",
            "a.Example.:99",
            "b.example:1",
        ] {
            assert!(hosts.know(known), "{known}");
        }
        for unknown in
            ["", ":80", "c.example", "a.example.evil", "xlocalhost", "127.1", "::1", "[x]", "1"]
        {
            assert!(!hosts.know(unknown), "{unknown}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_foreign() {
        let asked = |origin: Option<&'static str>, authority| {
            let mut headers = HeaderMap::new();
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, header::HeaderValue::from_static(origin));
            }
            is_foreign(authority, &headers)
        };
        assert!(!asked(None, Some("a:1")), "no browser");
        assert!(!asked(Some("http://a:1"), Some("a:1")));
        assert!(asked(Some("http://b:1"), Some("a:1")));
        assert!(asked(Some("http://a:2"), Some("a:1")));
        assert!(asked(Some("null"), Some("a:1")));
        assert!(asked(Some("http://a:1"), None));
    }
}
