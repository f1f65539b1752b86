//! What a job author needs
