//! Transfers between two descriptors through a pipe, as pure state machines.
