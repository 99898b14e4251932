//! What nodes that look for each other read: beacons, pages with beacons, answers of name servers.

use raft_net::discovery::asking::{
    PASSED_ON_MAX, beacon_in_header, beacon_in_request, beacons_in_page, page, to_hex,
};
use raft_net::discovery::beacon::{BEACON_BYTES_MAX, Beacon, BeaconCodec, Belongs, Says, Seeks};
use raft_net::discovery::beacon::{BeaconError, Rank};
use raft_net::discovery::dns::{RECORDS_MAX, question, services};
use raft_net::handshake::ClusterSecret;

use super::drive::Reached;
use super::mutate::Numbers;

pub(super) const BEACON_WORDS: &[&[u8]] = &[
    b"kvorum\0b\x01\0",
    b"kvorum\0b\x01 ",
    b"\x83",
    b"\xa6sender",
    b"\xa7address",
    b"\xa4says",
    b"\xa5seeks",
    b"\xa7belongs",
    b"\xa4rank",
    b"\xa7expects",
    b"\xa8endorses",
    b"\xaacluster_id",
    b"\xa7node_id",
    b"\xc0",
    b"\xcf",
    b"\xdd\xff\xff\xff\xff",
    b"\xa3a:1",
];

pub(super) const PAGE_WORDS: &[&[u8]] = &[
    b"{\"beacon\":\"",
    b"\"heard\":[",
    b"\",\"",
    b"\"]}",
    b"00ff",
    b"6b766f72756d0062",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"GET /discovery HTTP/1.1\r\n",
    b"kvorum-beacon: ",
    b"\r\n",
];

pub(super) const ANSWER_WORDS: &[&[u8]] = &[
    b"\0\x07\x81\x80\0\x01\0\x01\0\0\0\0",
    b"\xc0\x0c",
    b"\xc0\x19",
    b"\x07_kvorum\x04_tcp\x04test\0",
    b"\0\x21\0\x01",
    b"\0\0\0\x3c\0\x0a",
    b"\0\x0a\0\0\x09\x4b",
    b"\x01a\0",
    b"\x3f",
    b"\x40",
];

fn codecs() -> [BeaconCodec; 2] {
    [None, Some(ClusterSecret::new("open sesame"))].map(BeaconCodec::new)
}

/// Beacons of each kind, with and without a proof.
pub(super) fn beacon_seeds() -> Vec<Vec<u8>> {
    let rank = Rank { since_ms: 5, chance: u64::MAX };
    let seeks = Seeks { rank, expects: Some(3), endorses: Some(rank) };
    let belongs =
        Belongs { cluster_id: 7, node_id: 1, incarnation: 9, is_alone: true, has_data: false };
    let beacons = [Says::Seeks(seeks), Says::Belongs(belongs)];
    let beacon = |says| Beacon { sender: 1, address: "127.0.0.1:2379".to_owned(), says };
    let beacons = beacons.map(beacon);
    codecs().iter().flat_map(|codec| beacons.each_ref().map(|it| codec.encode(it))).collect()
}

/// Whoever has another secret, or none, hears nothing; what is heard is what was said.
pub(super) fn beacons(input: &[u8], _: &mut Numbers) -> Reached {
    let read = codecs().map(|codec| {
        let read = codec.decode(input);
        match &read {
            Ok(beacon) => {
                assert!(input.len() <= BEACON_BYTES_MAX, "a beacon is short");
                let again = codec.decode(&codec.encode(beacon));
                assert_eq!(again.as_ref(), Ok(beacon));
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.len() < 500 && !text.contains('\n'), "{text:?}");
            }
        }
        read
    });
    assert!(read.iter().any(Result::is_err), "with a proof and without");
    let kind = |read: &Result<Beacon, BeaconError>| match read {
        Ok(Beacon { says: Says::Seeks(seeks), .. }) => {
            format!("seeks {} {}", seeks.expects.is_some(), seeks.endorses.is_some())
        }
        Ok(Beacon { says: Says::Belongs(belongs), .. }) => {
            format!("belongs {} {}", belongs.can_dissolve(), belongs.node().is_some())
        }
        Err(BeaconError::Version(_)) => "another version".to_owned(),
        Err(error) => {
            // What it is, and not all that may be wrong with it.
            let words = error.to_string();
            words.split(['`', '"', '0', '1', '2', '3']).next().unwrap_or_default().to_owned()
        }
    };
    read.iter().map(kind).collect::<Vec<_>>().join(", ")
}

/// A page with beacons, and by itself the head of a question.
pub(super) fn pages(input: &[u8], _: &mut Numbers) -> Reached {
    let found = beacons_in_page(input);
    assert!(found.len() <= 1 + PASSED_ON_MAX, "{} beacons", found.len());
    for beacon in &found {
        assert!((1..=BEACON_BYTES_MAX).contains(&beacon.len()), "{} bytes", beacon.len());
    }
    if !found.is_empty() {
        assert_eq!(beacons_in_page(page(&found).as_bytes()), found);
    }
    let head = String::from_utf8_lossy(input);
    let asked = beacon_in_request(&head);
    if let Some(beacon) = &asked {
        assert!(beacon.len() <= BEACON_BYTES_MAX, "{} bytes", beacon.len());
        assert_eq!(beacon_in_header(&to_hex(beacon)).as_ref(), Some(beacon));
    }
    format!("{} {}", found.len().min(5), asked.is_some())
}

/// An answer of a name server is read in bounded time, or not.
pub(super) fn answers(input: &[u8], _: &mut Numbers) -> Reached {
    let Some((code, found)) = services(input) else {
        return format!("none {}", input.len().min(20));
    };
    assert!(code < 16 && found.len() <= RECORDS_MAX, "code {code}, {} services", found.len());
    for (host, _) in &found {
        assert!(host.len() <= 253, "{} bytes", host.len());
        // Whatever it is, it can be asked for, or it is no name.
        let asked = question(7, host);
        assert!(asked.is_none_or(|asked| asked.len() <= 253 + 18), "{host:?}");
    }
    format!("{code} {} {:?}", found.len().min(5), found.first().map(|(host, _)| host.len().min(8)))
}
