//! fanotify's events, as bytes (`include/uapi/linux/fanotify.h`). Total: whatever the bytes are, nothing is read past
//! them.

use crate::hash::Identity;

/// Bytes of `struct fanotify_event_metadata`.
const METADATA: usize = 24;
/// Version of that struct.
const VERSION: u8 = libc::FANOTIFY_METADATA_VERSION;

/// One event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    pub(crate) mask: u64,
    pub(crate) pid: i32,
    records: &'a [u8],
}

/// What an event is about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Subject<'a> {
    /// The inode itself, where it is no directory, or where a name of it is told as well.
    pub(crate) inode: Option<Identity<'a>>,
    /// The directory and the name in it; "." is the directory itself.
    pub(crate) name: Option<(Identity<'a>, &'a [u8])>,
    pub(crate) old_name: Option<(Identity<'a>, &'a [u8])>,
    pub(crate) new_name: Option<(Identity<'a>, &'a [u8])>,
}

/// The events in what was read. Ends with `Err` when they are not as they must be.
pub(crate) fn events(mut bytes: &[u8]) -> impl Iterator<Item = Result<Event<'_>, Malformed>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let Some((event, rest)) = split(bytes) else {
            bytes = &[];
            return Some(Err(Malformed));
        };
        bytes = rest;
        Some(Ok(event))
    })
}

/// The kernel told something that this program does not understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

fn split(bytes: &[u8]) -> Option<(Event<'_>, &[u8])> {
    let len = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let (event, rest) = bytes.split_at_checked(len)?;
    let metadata_len = u16::from_ne_bytes(*event.get(6..)?.first_chunk()?) as usize;
    if event.get(4) != Some(&VERSION) || metadata_len < METADATA {
        return None;
    }
    let mask = u64::from_ne_bytes(*event.get(8..)?.first_chunk()?);
    let pid = i32::from_ne_bytes(*event.get(20..)?.first_chunk()?);
    Some((Event { mask, pid, records: event.get(metadata_len..)? }, rest))
}

impl<'a> Event<'a> {
    /// Whether any of `bits` is set.
    pub(crate) fn has(&self, bits: u64) -> bool {
        self.mask & bits != 0
    }

    /// What it is about. Records of unknown types are passed over.
    pub(crate) fn subject(&self) -> Result<Subject<'a>, Malformed> {
        let mut subject = Subject::default();
        let mut records = self.records;
        while !records.is_empty() {
            let len = records.get(2..).and_then(|r| r.first_chunk()).ok_or(Malformed)?;
            let len = usize::from(u16::from_ne_bytes(*len));
            let (record, rest) = records.split_at_checked(len).ok_or(Malformed)?;
            let kind = *record.first().ok_or(Malformed)?;
            records = rest;
            match kind {
                libc::FAN_EVENT_INFO_TYPE_FID => subject.inode = Some(file(record)?.0),
                libc::FAN_EVENT_INFO_TYPE_DFID => subject.name = Some((file(record)?.0, b".")),
                libc::FAN_EVENT_INFO_TYPE_DFID_NAME => subject.name = Some(named(record)?),
                libc::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME => subject.old_name = Some(named(record)?),
                libc::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME => subject.new_name = Some(named(record)?),
                _ => {}
            }
        }
        Ok(subject)
    }
}

/// `struct fanotify_event_info_fid`: 4 bytes of header, the fsid, a `struct file_handle`; then what is left.
fn file(record: &[u8]) -> Result<(Identity<'_>, &[u8]), Malformed> {
    /// `FILEID_INVALID`: the file system did not say.
    const INVALID: i32 = 0xff;
    let int = |at: usize| {
        let bytes = record.get(at..).and_then(|r| r.first_chunk()).ok_or(Malformed)?;
        Ok(i32::from_ne_bytes(*bytes))
    };
    let (fsid, len, kind) = ([int(4)?, int(8)?], int(12)? as u32 as usize, int(16)?);
    let (handle, rest) =
        record.get(20..).unwrap_or_default().split_at_checked(len).ok_or(Malformed)?;
    if kind == INVALID || handle.is_empty() {
        return Err(Malformed);
    }
    Ok((Identity::Handle { fsid, kind, handle }, rest))
}

fn named(record: &[u8]) -> Result<(Identity<'_>, &[u8]), Malformed> {
    let (dir, rest) = file(record)?;
    let end = rest.iter().position(|&b| b == 0).ok_or(Malformed)?;
    Ok((dir, &rest[..end]))
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
