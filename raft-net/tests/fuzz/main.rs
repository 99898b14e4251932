//! Bytes that nobody meant: every parser of this crate, driven by seeded mutations.
//!
//! Each test is a target: a plain function over bytes that panics if a property does not hold.
//! It is given the inputs in `tests/corpus/<target>` first and then mutations of them for
//! `KVORUM_FUZZ_SECONDS` (1), beginning with `KVORUM_FUZZ_SEED` (1). An input that fails is kept
//! in that folder, so running the test again replays it.

#![allow(clippy::unwrap_used, reason = "all of it is test, also what stands outside of one")]

mod addresses;
mod discovery;
mod drive;
mod frames;
mod mutate;
mod resp;
mod sniffing;

use drive::{Target, drive};

#[test]
fn resp() {
    drive(&Target { name: "resp", seeds: Vec::new, check: resp::check, words: resp::WORDS });
}

#[test]
fn sniffing() {
    drive(&Target {
        name: "sniffing",
        seeds: Vec::new,
        check: sniffing::check,
        words: sniffing::WORDS,
    });
}

#[test]
fn client_frames() {
    drive(&Target {
        name: "client_frames",
        seeds: || frames::golden(&["request", "response"]),
        check: frames::clients,
        words: frames::WORDS,
    });
}

#[test]
fn peer_frames() {
    drive(&Target {
        name: "peer_frames",
        seeds: frames::golden_of_peers,
        check: frames::peers,
        words: frames::WORDS,
    });
}

#[test]
fn prefaces() {
    drive(&Target {
        name: "prefaces",
        seeds: || frames::golden(&["preface", "greeting"]),
        check: frames::prefaces,
        words: frames::PREFACE_WORDS,
    });
}

#[test]
fn addresses() {
    drive(&Target {
        name: "addresses",
        seeds: Vec::new,
        check: addresses::check,
        words: addresses::WORDS,
    });
}

#[test]
fn beacons() {
    drive(&Target {
        name: "beacons",
        seeds: discovery::beacon_seeds,
        check: discovery::beacons,
        words: discovery::BEACON_WORDS,
    });
}

#[test]
fn discovery_pages() {
    drive(&Target {
        name: "discovery_pages",
        seeds: Vec::new,
        check: discovery::pages,
        words: discovery::PAGE_WORDS,
    });
}

#[test]
fn dns_answers() {
    drive(&Target {
        name: "dns_answers",
        seeds: Vec::new,
        check: discovery::answers,
        words: discovery::ANSWER_WORDS,
    });
}
