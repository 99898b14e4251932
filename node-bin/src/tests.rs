//! Tests that see the actors, which nobody outside does.

mod follow_a_put;
