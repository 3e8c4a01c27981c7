//! What it costs to watch for changes on the host, and how soon they are noticed: `cargo xtask bench watch`.
//!
//! `watch latency PICTURE.svg` measures the time from the end of a system call until its slot has moved, `watch daemons`
//! what a change costs that many daemons hear of, `watch tree FILES` what a large tree costs. The figures of docs/performance.md, "Changes on the host".

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

mod daemons;
mod host;
mod latency;
mod picture;
mod tree;
mod watched;

use std::path::Path;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["latency", picture] => latency::measure(Path::new(picture)),
        ["tree", files] => tree::measure(files.parse()?),
        ["daemons"] => daemons::measure(),
        // What other processes do.
        ["change", file] => host::change(Path::new(file)),
        ["load", directory] => host::load(Path::new(directory)),
        ["touch", tree, stride, count] => {
            host::touch(Path::new(tree), stride.parse()?, count.parse()?)
        }
        _ => Err("usage: watch latency PICTURE.svg | watch daemons | watch tree FILES".into()),
    }
}
