//! Request numbers.

macro_rules! opcodes {
    ($($name:ident = $number:literal $label:literal),* $(,)?) => {
        /// `enum fuse_opcode`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        #[allow(missing_docs)] // The kernel's names.
        pub enum Opcode {
            $($name = $number),*
        }

        impl Opcode {
            /// Every request that is known.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The request with this number, if it is known.
            #[must_use]
            pub fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The kernel's name without its `FUSE_`, for logs and counters.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $label),*
                }
            }
        }
    };
}

opcodes! {
    Lookup = 1 "LOOKUP",
    Forget = 2 "FORGET",
    Getattr = 3 "GETATTR",
    Setattr = 4 "SETATTR",
    Readlink = 5 "READLINK",
    Symlink = 6 "SYMLINK",
    Mknod = 8 "MKNOD",
    Mkdir = 9 "MKDIR",
    Unlink = 10 "UNLINK",
    Rmdir = 11 "RMDIR",
    Rename = 12 "RENAME",
    Link = 13 "LINK",
    Open = 14 "OPEN",
    Read = 15 "READ",
    Write = 16 "WRITE",
    Statfs = 17 "STATFS",
    Release = 18 "RELEASE",
    Fsync = 20 "FSYNC",
    Setxattr = 21 "SETXATTR",
    Getxattr = 22 "GETXATTR",
    Listxattr = 23 "LISTXATTR",
    Removexattr = 24 "REMOVEXATTR",
    Flush = 25 "FLUSH",
    Init = 26 "INIT",
    Opendir = 27 "OPENDIR",
    Readdir = 28 "READDIR",
    Releasedir = 29 "RELEASEDIR",
    Fsyncdir = 30 "FSYNCDIR",
    Getlk = 31 "GETLK",
    Setlk = 32 "SETLK",
    Setlkw = 33 "SETLKW",
    Access = 34 "ACCESS",
    Create = 35 "CREATE",
    Interrupt = 36 "INTERRUPT",
    Bmap = 37 "BMAP",
    Destroy = 38 "DESTROY",
    Ioctl = 39 "IOCTL",
    Poll = 40 "POLL",
    NotifyReply = 41 "NOTIFY_REPLY",
    BatchForget = 42 "BATCH_FORGET",
    Fallocate = 43 "FALLOCATE",
    Readdirplus = 44 "READDIRPLUS",
    Rename2 = 45 "RENAME2",
    Lseek = 46 "LSEEK",
    CopyFileRange = 47 "COPY_FILE_RANGE",
    Setupmapping = 48 "SETUPMAPPING",
    Removemapping = 49 "REMOVEMAPPING",
    Syncfs = 50 "SYNCFS",
    Tmpfile = 51 "TMPFILE",
    Statx = 52 "STATX",
    CopyFileRange64 = 53 "COPY_FILE_RANGE_64",
}

impl Opcode {
    /// Whether the guest expects no reply at all, not even to a malformed request.
    #[must_use]
    pub fn is_one_way(self) -> bool {
        matches!(self, Self::Forget | Self::BatchForget | Self::Interrupt | Self::NotifyReply)
    }

    /// Whether answering takes no longer, as a rule, than waking who asked: nothing is changed but data, which goes to the
    /// host's page cache.
    #[must_use]
    pub fn is_quick(self) -> bool {
        matches!(
            self,
            Self::Lookup
                | Self::Forget
                | Self::BatchForget
                | Self::Getattr
                | Self::Statx
                | Self::Readlink
                | Self::Access
                | Self::Open
                | Self::Opendir
                | Self::Release
                | Self::Releasedir
                | Self::Read
                | Self::Write
                | Self::Lseek
                | Self::Getxattr
                | Self::Listxattr
        )
    }
}
