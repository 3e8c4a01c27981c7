//! One daemon, one directory, one guest, and what was said.

use std::fmt::Debug;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fuse::abi::{
    AttrOut, CreateIn, EntryOut, GetattrIn, GetxattrIn, InitFlags, InitOut, MkdirIn, MknodIn,
    Opcode, OpenIn, OpenOut, ReadIn, SetattrIn, SetattrValid, SetxattrIn, WriteIn,
};
use fuse::testing::{RequestBuilder, init};
use tempfile::TempDir;
use zerocopy::FromBytes;

use super::Outcome;
use crate::support::daemon::is_listening;
use crate::support::front_end::FrontEnd;
use crate::support::guest::Guest;
use crate::support::wait_until;

const ROOM: usize = 4000;

/// A daemon that serves its one guest. Killed when dropped.
pub(crate) struct Scene {
    guest: Guest,
    child: Child,
    place: TempDir,
    lines: Vec<String>,
    agreed: InitFlags,
}

/// Starts `command` on a new directory with a file named "file", lets a guest offer `flags` and the script act.
pub(super) fn play(
    mut command: Command,
    options: &[&str],
    flags: InitFlags,
    script: &impl Fn(&mut Scene),
) -> Outcome {
    let place = tempfile::tempdir().unwrap();
    let (share, socket) = (place.path().join("share"), place.path().join("socket"));
    fs::create_dir(&share).unwrap();
    fs::write(share.join("file"), "contents").unwrap();
    command.arg("--shared-dir").arg(&share).arg("--socket-path").arg(&socket).args(options);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut ended = false;
    wait_until("it listens or ends", || {
        ended = child.try_wait().unwrap().is_some();
        ended || is_listening(&socket)
    });
    // What is wrong virtiofsd finds out before it listens, or after.
    let front_end = if ended { None } else { FrontEnd::try_connect(&socket, 2, true).ok() };
    let Some(front_end) = front_end else {
        let mut said = String::new();
        child.wait().unwrap();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        return Err(said);
    };
    let guest = Guest { front_end };
    let mut scene = Scene { guest, child, place, lines: Vec::new(), agreed: InitFlags::empty() };
    if scene.init(flags) {
        script(&mut scene);
    }
    Ok(std::mem::take(&mut scene.lines))
}

impl Scene {
    /// Writes down whether the guest is accepted.
    fn init(&mut self, flags: InitFlags) -> bool {
        let reply = self.guest.request(&init(38, flags), size_of::<InitOut>());
        let agreed = reply.map(|reply| {
            let reply = InitOut::read_from_prefix(&reply).unwrap().0;
            let bits = u64::from(reply.flags) | u64::from(reply.flags2) << 32;
            let told = InitFlags::POSIX_ACL | InitFlags::SECURITY_CTX;
            InitFlags::from_bits_retain(bits) & told
        });
        self.note("INIT", &agreed);
        self.agreed = agreed.unwrap_or(InitFlags::empty());
        agreed.is_ok()
    }

    /// Whether the daemon took this of what the guest offered.
    pub(super) fn has(&self, flag: InitFlags) -> bool {
        self.agreed.contains(flag)
    }

    /// Writes a line.
    pub(super) fn note(&mut self, what: &str, result: &impl Debug) {
        self.lines.push(format!("{what}: {result:?}"));
    }

    /// A path on the host.
    pub(super) fn host(&self, name: &str) -> PathBuf {
        self.place.path().join("share").join(name)
    }

    /// Where the daemon listens.
    pub(super) fn socket(&self) -> PathBuf {
        self.place.path().join("socket")
    }

    fn ask(&mut self, request: RequestBuilder) -> Result<Vec<u8>, i32> {
        self.guest.request(&request.build(), ROOM)
    }

    /// LOOKUP in the root.
    pub(super) fn node(&mut self, name: &str) -> u64 {
        self.guest.lookup(name).unwrap()
    }

    /// SETXATTR of "file".
    pub(super) fn set_xattr(&mut self, name: &str, value: &[u8]) {
        let node = self.node("file");
        let set = SetxattrIn { size: value.len() as u32, flags: 0 };
        let request = RequestBuilder::new(Opcode::Setxattr).node(node).user(0, 0).with(&set);
        let result = self.ask(request.name(name.as_bytes()).bytes(value));
        self.note(&format!("SETXATTR {name}"), &result);
    }

    /// GETXATTR of "file".
    pub(super) fn get_xattr(&mut self, name: &str) {
        let node = self.node("file");
        let get = GetxattrIn { size: 64, padding: 0 };
        let request = RequestBuilder::new(Opcode::Getxattr).node(node).with(&get);
        let result = self.ask(request.name(name.as_bytes()));
        self.note(&format!("GETXATTR {name}"), &result);
    }

    /// REMOVEXATTR of "file".
    pub(super) fn remove_xattr(&mut self, name: &str) {
        let node = self.node("file");
        let request = RequestBuilder::new(Opcode::Removexattr).node(node);
        let result = self.ask(request.name(name.as_bytes()));
        self.note(&format!("REMOVEXATTR {name}"), &result);
    }

    /// LISTXATTR of a file.
    pub(super) fn list_xattr(&mut self, file: &str) {
        let node = self.node(file);
        let get = GetxattrIn { size: 4000, padding: 0 };
        let result = self.ask(RequestBuilder::new(Opcode::Listxattr).node(node).with(&get));
        self.note("LISTXATTR", &result.map(|list| names(&list)));
    }

    /// What the host lists.
    pub(super) fn host_xattrs(&mut self, file: &str) {
        let mut list = [0; 1024];
        let len = rustix::fs::listxattr(self.host(file), &mut list).unwrap();
        self.note("on the host", &names(&list[..len]));
    }

    /// CREATE in the root by a user, and whose it is then, in the guest and on the host.
    pub(super) fn create(&mut self, name: &str, user: (u32, u32), extensions: Option<&[u8]>) {
        let create = CreateIn {
            flags: (libc::O_RDWR | libc::O_CREAT) as u32,
            mode: libc::S_IFREG | 0o644,
            umask: 0o22,
            open_flags: 0,
        };
        let request = RequestBuilder::new(Opcode::Create).node(1).user(user.0, user.1);
        let mut request = request.with(&create).name(name.as_bytes());
        if let Some(extensions) = extensions {
            request = request.extensions(extensions);
        }
        let result = self.ask(request);
        self.made("CREATE", name, result);
    }

    /// MKDIR, MKNOD (a FIFO) and SYMLINK by a user.
    pub(super) fn make_others(&mut self, user: (u32, u32)) {
        let request = |opcode| RequestBuilder::new(opcode).node(1).user(user.0, user.1);
        let dir = MkdirIn { mode: 0o755, umask: 0o22 };
        let result = self.ask(request(Opcode::Mkdir).with(&dir).name(b"dir"));
        self.made("MKDIR", "dir", result);
        let fifo = MknodIn { mode: libc::S_IFIFO | 0o644, rdev: 0, umask: 0o22, padding: 0 };
        let result = self.ask(request(Opcode::Mknod).with(&fifo).name(b"fifo"));
        self.made("MKNOD", "fifo", result);
        let result = self.ask(request(Opcode::Symlink).name(b"link").name(b"file"));
        self.made("SYMLINK", "link", result);
    }

    fn made(&mut self, what: &str, name: &str, result: Result<Vec<u8>, i32>) {
        let owner = result.map(|entry| {
            let attr = EntryOut::read_from_prefix(&entry).unwrap().0.attr;
            (attr.uid, attr.gid, attr.mode)
        });
        self.note(&format!("{what} {name}"), &owner);
        let on_host = fs::symlink_metadata(self.host(name)).map(|meta| (meta.uid(), meta.gid()));
        self.note("on the host", &on_host.ok());
    }

    /// GETATTR: whose it is, and its mode.
    pub(super) fn owner(&mut self, name: &str) {
        let node = self.node(name);
        let get = GetattrIn { getattr_flags: 0, dummy: 0, fh: 0 };
        let result = self.ask(RequestBuilder::new(Opcode::Getattr).node(node).with(&get));
        let owner = result.map(|reply| {
            let attr = AttrOut::read_from_prefix(&reply).unwrap().0.attr;
            (attr.uid, attr.gid, attr.mode)
        });
        self.note(&format!("GETATTR {name}"), &owner);
    }

    /// SETATTR of owner, group or size, and whose it is on the host then.
    pub(super) fn set_attr(&mut self, what: SetattrValid, uid: u32, gid: u32) {
        let node = self.node("file");
        let set = SetattrIn { valid: what.bits(), uid, gid, size: 3, ..SetattrIn::default() };
        let request = RequestBuilder::new(Opcode::Setattr).node(node).user(0, 0).with(&set);
        let result = self.ask(request).map(drop);
        self.note(&format!("SETATTR {what:?} {uid} {gid}"), &result);
        let meta = fs::metadata(self.host("file")).unwrap();
        self.note("on the host", &(meta.uid(), meta.gid(), meta.len()));
    }

    /// OPEN of "file"; what it is worth is written down, the handle is returned.
    pub(super) fn open(&mut self, flags: i32) -> Option<u64> {
        let node = self.node("file");
        let open = OpenIn { flags: flags as u32, open_flags: 0 };
        let result = self.ask(RequestBuilder::new(Opcode::Open).node(node).with(&open));
        self.note(&format!("OPEN {flags:#o}"), &result.as_ref().map(|_| ()));
        result.ok().map(|reply| OpenOut::read_from_prefix(&reply).unwrap().0.fh)
    }

    /// READ of "file".
    pub(super) fn read(&mut self, fh: u64, flags: i32) {
        let node = self.node("file");
        let read = ReadIn { fh, size: 64, flags: flags as u32, ..ReadIn::default() };
        let result = self.ask(RequestBuilder::new(Opcode::Read).node(node).with(&read));
        self.note("READ", &result);
    }

    /// WRITE of one byte to "file".
    pub(super) fn write(&mut self, fh: u64) {
        let node = self.node("file");
        let write = WriteIn { fh, size: 1, ..WriteIn::default() };
        let request = RequestBuilder::new(Opcode::Write).node(node).user(1000, 1000).with(&write);
        let result = self.ask(request.bytes(b"x")).map(drop);
        self.note("WRITE", &result);
    }

    /// Any request, with the body that `fill` gives it.
    pub(super) fn other(
        &mut self,
        opcode: Opcode,
        fill: impl Fn(RequestBuilder) -> RequestBuilder,
    ) {
        let result = self.ask(fill(RequestBuilder::new(opcode).node(1).user(0, 0))).map(drop);
        self.note(opcode.name(), &result);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // virtiofsd ends with its guest.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn names(list: &[u8]) -> Vec<String> {
    let names = list.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut names: Vec<_> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    names.sort();
    names
}

/// Sets an attribute on the host.
pub(super) fn set_on_host(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
}
