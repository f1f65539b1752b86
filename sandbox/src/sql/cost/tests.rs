//! Worst cases hold.
