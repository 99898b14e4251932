//! What operators see of a cluster that runs: `kvctl mon`, `kvctl health`, `/readyz`, the log.

mod doctor;
mod health;
mod logs;
mod values;
