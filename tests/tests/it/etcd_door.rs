//! The door for clients of etcd v3: as a client sees it, beside a real etcd, and against clients
//! that mean harm.

mod auth;
mod connection;
mod differential;
mod etcdctl;
mod gateway;
mod hostile;
mod led;
mod library;
mod snapshot;
mod watches;
mod writes;
