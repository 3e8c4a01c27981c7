//! Writes `include/samepage_table.h` anew.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let mut text = String::new();
    shm_layout::c_header::write(&mut text).map_err(std::io::Error::other)?;
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/samepage_table.h"), text)
}
