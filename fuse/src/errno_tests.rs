//! Which numbers leave the host.

use std::io;

use super::{EACCES, EIO, error, number};

#[test]
fn the_systems_number_goes_to_the_guest_where_it_can() {
    assert_eq!(number(&error(EACCES)), EACCES);
    assert_eq!(number(&error(511)), 511);
    for strange in [0, -1, 512, 530, i32::MIN, i32::MAX] {
        assert_eq!(number(&error(strange)), EIO, "{strange}");
    }
    assert_eq!(number(&io::ErrorKind::NotFound.into()), EIO, "no number");
}
