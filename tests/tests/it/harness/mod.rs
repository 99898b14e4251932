//! What the tests share: folders and ports of their own, processes, a client, and patience.

pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod etcd;
pub(crate) mod http;
pub(crate) mod namespaces;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod scratch;
pub(crate) mod tools;
pub(crate) mod typist;
pub(crate) mod wait;
