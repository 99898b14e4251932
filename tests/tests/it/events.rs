//! What has happened on nodes, as they tell it: by themselves, to `kvctl`, and in reports.

mod classic;
mod commands;
mod page;
mod reports;
mod told;
