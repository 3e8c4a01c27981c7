//! Everything has a limit, and the limits fit together.

use std::time::Duration;

use shm_layout::BUSY_STUCK;

/// Daemons that may share one table.
pub const MAX_DAEMONS: usize = 1000;

/// How long a daemon waits for another one that is joining the same table.
pub const START_PATIENCE: Duration = Duration::from_secs(10);

/// Workers of one daemon: threads that may have a change in progress at the same time. One of them is the daemon's
/// own (reaper and sweeps), so 63 serve requests: as many as virtio-fs has request queues here.
pub const MAX_WORKERS: usize = 64;

/// Slots of one change. RENAME, the largest, has six: two names, two parents, the moved and the replaced inode.
pub const MAX_CHANGE_SLOTS: usize = 8;

/// Slots that one daemon may keep busy for long (writable DAX mappings), each counted once however often it is held.
pub const MAX_HOLDS: usize = 4096;

/// Slots that one daemon may keep busy because it changed a name without its lock. Such a mark comes on top of those that
/// are reckoned with below: should a thousand daemons ever have one on the same slot at once, its count may stick, which is
/// slower and never stale.
pub const MAX_LINGERING: usize = 512;

/// Name locks. Two names share one when their slots fall on the same stripe.
pub const NAME_STRIPES: usize = 1024;

/// Files share locks under which they are mapped and cut short.
pub const CUT_STRIPES: usize = 1024;

/// Owners of locks of one daemon's guest whose waits the other daemons see.
pub const MAX_WAITS: usize = 12;

/// Locked stretches of an owner who waits that the other daemons see.
pub const MAX_HELD: usize = 8;

/// Leaked marks that are remembered one by one; further ones are only counted.
pub const MAX_LEAKS: usize = 1024;

// A worker marks a slot once per change, a daemon once for all its holds on it: with every daemon and worker on one
// slot, honest counting stays below the value that sticks.
const _: () = assert!(MAX_DAEMONS * (MAX_WORKERS + 1) < BUSY_STUCK as usize);
