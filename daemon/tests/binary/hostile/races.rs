//! On the host, while guests walk there.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::House;

/// A directory that is now inside the shared directory, now outside.
pub(super) const WANDERER: &str = "wanderer";

/// Of so many rounds one mounts or unmounts: each takes all stamps back, and the honest ones shall have some that count.
const MOUNT_ONE_IN: u32 = 2000;

/// Names for a guest that looks around here.
pub(super) const NAMES: [&[u8]; 6] =
    [b"races", b"inner", b"swing", b"wanderer", b"mounted", b"secret"];

/// "swing" is now a directory, now a symlink that leads out; "wanderer" leaves the shared directory and comes back; on
/// "mounted" another file system comes and goes.
pub(super) fn run(house: &House, stop: &AtomicBool, mut rng: Rng) {
    let races = house.path("share/races");
    fs::create_dir(races.join("swing")).unwrap();
    fs::create_dir_all(races.join(WANDERER).join("inner")).unwrap();
    symlink(house.path("outside"), races.join("elsewhere")).unwrap();
    let mounted = races.join("mounted");
    fs::create_dir(&mounted).unwrap();
    // Relaxed: the flag carries no data.
    while !stop.load(Ordering::Relaxed) {
        // A guest may have removed either; then there is one race less.
        let (swing, elsewhere) = (races.join("swing"), races.join("elsewhere"));
        let _ = renameat_with(CWD, &swing, CWD, &elsewhere, RenameFlags::EXCHANGE);
        let (inside, outside) = (races.join(WANDERER), house.path("outside").join(WANDERER));
        let _ = fs::rename(&inside, &outside).or_else(|_| fs::rename(&outside, &inside));
        if rng.u32(0..MOUNT_ONE_IN) == 0 {
            let (disk, bind) = (house.path(super::DISK), MsFlags::MS_BIND);
            let _ = umount2(&mounted, MntFlags::MNT_DETACH)
                .or_else(|_| mount(Some(&disk), &mounted, None::<&str>, bind, None::<&str>));
        }
        thread::sleep(Duration::from_micros(rng.u64(0..300)));
    }
    let _ = umount2(&mounted, MntFlags::MNT_DETACH);
}
