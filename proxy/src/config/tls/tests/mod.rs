//! Tests of transport sockets.

mod snippet;
mod verdicts;
