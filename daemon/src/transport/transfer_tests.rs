use std::os::fd::OwnedFd;

use crate::transport::testing::Script;

use super::*;

/// More than a pipe holds.
fn long() -> Vec<u8> {
    (0..900_000u32).map(|index| (index * 7 % 251) as u8).collect()
}

fn start(direction: Direction, end: impl Into<OwnedFd>, script: &Arc<Script>) -> Transfer {
    let handler: Arc<dyn RequestHandler> = script.clone();
    Transfer::start(direction, (File::from(end.into()), 1 << 20), handler).unwrap()
}

#[test]
fn a_long_state_goes_both_ways() {
    let (mut reader, writer) = io::pipe().unwrap();
    let script = Arc::new(Script::echo());
    *script.state.lock() = Some(long());
    let saving = start(Direction::SAVE, writer, &script);
    let mut saved = Vec::new();
    reader.read_to_end(&mut saved).unwrap();
    saving.finish().unwrap();
    assert!(saved == long());

    let (reader, mut writer) = io::pipe().unwrap();
    let other = Arc::new(Script::echo());
    let loading = start(Direction::LOAD, reader, &other);
    writer.write_all(&saved).unwrap();
    drop(writer);
    loading.finish().unwrap();
    assert!(other.state.lock().take() == Some(saved));
}

#[test]
fn who_asks_before_all_has_passed_is_told_that_it_failed() {
    let script = Arc::new(Script::echo());
    *script.state.lock() = Some(long());
    let (_reader, writer) = io::pipe().unwrap();
    assert!(start(Direction::SAVE, writer, &script).finish().is_err(), "nobody reads");
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(b"half a state").unwrap();
    let other = Arc::new(Script::echo());
    assert!(start(Direction::LOAD, reader, &other).finish().is_err(), "more may come");
    assert!(other.state.lock().is_none(), "half a state is none");
}

#[test]
fn a_front_end_that_goes_is_not_waited_for() {
    let script = Arc::new(Script::echo());
    let (reader, _writer) = io::pipe().unwrap();
    drop(start(Direction::LOAD, reader, &script));
    assert!(script.state.lock().is_none());
}

#[test]
fn a_refusal_and_a_state_without_end_fail() {
    let script = Arc::new(Script::echo());
    let (mut reader, writer) = io::pipe().unwrap();
    let refused = start(Direction::SAVE, writer, &script);
    let mut saved = Vec::new();
    reader.read_to_end(&mut saved).unwrap();
    assert!(saved.is_empty() && refused.finish().is_err());

    let (reader, mut writer) = io::pipe().unwrap();
    let loading = start(Direction::LOAD, reader, &script);
    let portion = vec![0; 1 << 16];
    let endless = (0..40).try_for_each(|_| writer.write_all(&portion));
    assert!(endless.is_err(), "nobody reads any more");
    assert!(loading.finish().is_err());
}
