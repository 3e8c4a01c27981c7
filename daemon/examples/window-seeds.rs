//! Writes the inputs that fuzzing begins with into a folder, one file a kind of request.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: window-seeds FOLDER");
        return ExitCode::from(2);
    };
    let write = || {
        std::fs::create_dir_all(&folder)?;
        samepaged::dax::testing::fuzz::seeds()
            .try_for_each(|(name, seed)| std::fs::write(folder.join(name), seed))
    };
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "window-seeds: {}: {error}; name a folder that can be written",
                folder.display()
            );
            ExitCode::FAILURE
        }
    }
}
