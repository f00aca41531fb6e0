//! The record store: content-addressed, atomic, versioned.

pub mod record;
