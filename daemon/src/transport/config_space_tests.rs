use super::*;

fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

#[test]
fn tag_and_number_of_queues() {
    let space = read(&tag("data"), 3, 0, SIZE as u32);
    assert_eq!(&space[..4], b"data");
    assert!(space[4..TAG_SIZE].iter().all(|byte| *byte == 0));
    assert_eq!(space[TAG_SIZE..], 3u32.to_le_bytes());
}

#[test]
fn a_full_tag_has_no_nul() {
    let name = "x".repeat(TAG_SIZE);
    assert_eq!(read(&tag(&name), 1, 0, TAG_SIZE as u32), name.as_bytes());
}

#[test]
fn parts_and_what_lies_behind_the_end() {
    assert_eq!(read(&tag("data"), 1, 1, 3), b"ata");
    assert_eq!(read(&tag("data"), 0x0102_0304, 38, 4), [2, 1, 0, 0]);
    assert_eq!(read(&tag("data"), 1, u32::MAX, 4), [0; 4]);
}

#[test]
fn tags_that_are_none() {
    for name in ["", "a\0b", &"x".repeat(TAG_SIZE + 1)] {
        assert_eq!(name.parse::<Tag>(), Err(TagError), "{name:?}");
    }
}
