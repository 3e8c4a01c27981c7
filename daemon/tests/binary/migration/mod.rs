//! A guest that is moved from one VMM, with its daemon, to another.

mod pages;
mod state;
