//! What is refused, and what is left behind when something fails.

use fuse::{Mapper, Mapping, errno};
use std::os::fd::AsFd;
use std::sync::Arc;

use crate::dax::room::{MAX_PIECES, MAX_REGIONS};
use crate::dax::testing::vmm::{PAGES, Vmm, file, id, map, unmap, window};
use crate::dax::{PAGE, Policy, Window, WindowSize};

const SIZE: u64 = PAGES * PAGE;

#[test]
fn nonsense_is_refused_before_the_vmm_is_asked() {
    let (window, vmm) = window();
    let file = file(SIZE);
    let far = i64::MAX as u64;
    let bad = [
        (0, 0, 0),
        (0, 1, PAGE),
        (0, 512, PAGE),
        (1, 0, PAGE),
        (0, 0, PAGE + 1),
        (0, 0, SIZE + PAGE),
        (0, SIZE, PAGE),
        (0, SIZE - PAGE, 2 * PAGE),
        (0, u64::MAX - PAGE + 1, PAGE),
        (0, PAGE, u64::MAX - PAGE + 1),
        (u64::MAX - PAGE + 1, 0, PAGE),
        (far / PAGE * PAGE, 0, PAGE),
    ];
    for range in bad {
        assert_eq!(map(&window, &file, range), Err(errno::EINVAL), "{range:?}");
    }
    for (_, offset, len) in &bad[..3] {
        assert_eq!(unmap(&window, *offset, *len), Err(errno::EINVAL));
    }
    assert_eq!(unmap(&window, PAGE, u64::MAX - PAGE + 1), Err(errno::EINVAL));
    assert_eq!(*vmm.asked.lock(), 0);
}

#[test]
fn without_a_vmm_nothing_is_mapped() {
    let window = Window::new("2M".parse().unwrap()).unwrap();
    assert_eq!(map(&window, &file(PAGE), (0, 0, PAGE)), Err(libc::ENODEV));
    window.clear();
}

#[test]
fn an_old_vmms_window_is_empty_for_the_next() {
    let (window, vmm) = window();
    map(&window, &file(PAGE), (0, 0, SIZE)).unwrap();
    window.detach();
    assert_eq!(vmm.len(), 1, "nobody is asked who has gone");
    let next = Arc::new(Vmm::default());
    window.attach(next.clone());
    map(&window, &file(PAGE), (0, 0, SIZE)).unwrap();
    assert_eq!(next.len(), 1);
}

#[test]
fn unmounting_empties_the_window() {
    let (window, vmm) = window();
    let file = file(2 * PAGE);
    map(&window, &file, (0, 0, PAGE)).unwrap();
    map(&window, &file, (PAGE, PAGE, SIZE - PAGE)).unwrap();
    assert_eq!(vmm.len(), 2);
    assert!(window.follows());
    window.clear();
    assert_eq!(vmm.len(), 0);
    assert!(!window.follows());
}

#[test]
fn a_device_that_was_reset_is_asked_once() {
    let (window, vmm) = window();
    for page in 0..8 {
        map(&window, &file(PAGE), (0, page * PAGE, PAGE)).unwrap();
    }
    vmm.mapped.lock().clear();
    *vmm.asked.lock() = 0;
    window.clear();
    assert_eq!(*vmm.asked.lock(), 1);
    map(&window, &file(PAGE), (0, 0, PAGE)).unwrap();
    assert_eq!(vmm.len(), 1);
}

#[test]
fn what_the_vmm_refuses_is_not_there() {
    let (window, vmm) = window();
    *vmm.broken.lock() = true;
    assert_eq!(map(&window, &file(PAGE), (0, 0, PAGE)), Err(errno::EIO));
    *vmm.broken.lock() = false;
    map(&window, &file(PAGE), (0, 0, PAGE)).unwrap();
    assert_eq!(vmm.len(), 1);
}

#[test]
fn the_vmms_room_is_never_exceeded() {
    let (window, vmm) = window();
    let (empty, one) = (file(0), file(PAGE));
    let mut refused = 0;
    for page in 0..PAGES {
        match map(&window, &one, (0, page * PAGE, PAGE)) {
            Ok(()) => {}
            Err(errno::ENOSPC) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 0);
    assert!(vmm.len() <= MAX_PIECES);
    // Room comes back, and what is replaced needs none.
    map(&window, &one, (0, 0, PAGE)).unwrap();
    map(&window, &empty, (0, 0, 2 * PAGE)).unwrap();
    unmap(&window, 0, SIZE).unwrap();
    assert_eq!(vmm.len(), 0);
}

#[test]
fn what_other_windows_of_the_vm_have_counts_as_well() {
    let (window, vmm) = window();
    *vmm.others.lock() = 300;
    let one = file(PAGE);
    let done: Vec<_> = (0..PAGES).map(|page| map(&window, &one, (0, page * PAGE, PAGE))).collect();
    assert!(done.iter().all(|done| matches!(done, Ok(()) | Err(errno::ENOSPC))));
    assert_eq!(vmm.len(), MAX_REGIONS - 300);
    // The other one grows: this one gets no more, but may take back what it has.
    *vmm.others.lock() = 400;
    unmap(&window, 0, PAGE).unwrap();
    assert_eq!(map(&window, &one, (0, 0, PAGE)), Err(errno::ENOSPC));
    *vmm.others.lock() = 200;
    map(&window, &one, (0, 0, PAGE)).unwrap();
}

#[test]
fn holes_in_mappings_need_room_too() {
    let (window, vmm) = window();
    let (file, spans) = (file(3 * PAGE), PAGES / 3);
    for span in 0..spans {
        map(&window, &file, (0, 3 * span * PAGE, 3 * PAGE)).unwrap();
    }
    *vmm.others.lock() = MAX_REGIONS - spans as usize - 10;
    let holes: Vec<_> =
        (0..spans).map(|span| unmap(&window, (3 * span + 1) * PAGE, PAGE)).collect();
    assert_eq!(holes.iter().filter(|done| done.is_ok()).count(), 10);
    assert_eq!(holes.last(), Some(&Err(errno::ENOSPC)));
    assert_eq!(vmm.at(3 * (spans - 1) * PAGE + PAGE), Some((id(&file), PAGE)), "it is left whole");
    unmap(&window, 0, SIZE).unwrap();
    assert_eq!(vmm.len(), 0);
}

#[test]
fn files_that_grow_are_mapped_further_and_nothing_is_taken_away() {
    let (window, vmm) = window();
    let file = file(0);
    map(&window, &file, (0, 0, SIZE)).unwrap();
    assert_eq!(vmm.len(), 0);
    for pages in [1, 2, 3, 100, PAGES] {
        let size = pages * PAGE;
        file.set_len(size).unwrap();
        window.follow(id(&file), size).unwrap();
        assert_eq!(vmm.at(size - 1), Some((id(&file), size - 1)));
        assert_eq!(vmm.at(size), None);
    }
    assert_eq!((vmm.len(), *vmm.asked.lock()), (5, 5));
    assert!(!window.follows());
}

#[test]
fn a_guest_is_not_told_of_what_cannot_be_mapped() {
    let (window, vmm) = window();
    let file = file(PAGE);
    map(&window, &file, (0, 0, SIZE)).unwrap();
    for size in [PAGE + 1, 2 * PAGE - 1, 2 * PAGE + 1] {
        file.set_len(size).unwrap();
        assert_eq!(window.follow(id(&file), size).unwrap_err().raw_os_error(), Some(errno::EIO));
    }
    // What is mapped already may end anywhere.
    file.set_len(PAGE + 1).unwrap();
    window.follow(id(&file), PAGE + 1).unwrap();
    assert_eq!(vmm.at(PAGE), Some((id(&file), PAGE)));
}

#[test]
fn growth_in_small_steps_leaves_room_for_other_files() {
    let (window, vmm) = window();
    let file = file(0);
    map(&window, &file, (0, 0, SIZE)).unwrap();
    let grown = (1..PAGES).take_while(|pages| {
        file.set_len(pages * PAGE).unwrap();
        window.follow(id(&file), pages * PAGE).is_ok()
    });
    let grown = grown.count();
    assert!((MAX_PIECES - 2..=MAX_PIECES).contains(&grown), "{grown}");
    assert_eq!(vmm.len(), grown);
}

#[test]
fn the_page_that_a_file_ends_in_is_refused_and_nothing_taken_away() {
    let (window, vmm) = window();
    let (whole, torn) = (file(SIZE), file(PAGE + 1));
    map(&window, &whole, (0, 0, SIZE)).unwrap();
    *vmm.asked.lock() = 0;
    for range in [(0, 0, 2 * PAGE), (PAGE, 0, PAGE), (0, PAGE, SIZE - PAGE)] {
        assert_eq!(map(&window, &torn, range), Err(errno::EIO));
    }
    assert_eq!(*vmm.asked.lock(), 0);
    map(&window, &torn, (0, 0, PAGE)).unwrap();
    map(&window, &torn, (2 * PAGE, PAGE, PAGE)).unwrap();
    assert_eq!(vmm.at(PAGE), None, "behind the file's end");
}

#[test]
fn a_stretch_that_is_set_up_again_is_not_taken_away() {
    let (window, vmm) = window();
    let file = file(SIZE);
    map(&window, &file, (0, 0, SIZE)).unwrap();
    *vmm.asked.lock() = 0;
    map(&window, &file, (0, 0, SIZE)).unwrap();
    map(&window, &file, (PAGE, PAGE, PAGE)).unwrap();
    assert_eq!(*vmm.asked.lock(), 0);
    map(&window, &file, (0, PAGE, PAGE)).unwrap();
    assert_eq!(vmm.at(PAGE), Some((id(&file), 0)));
    assert_eq!(vmm.at(2 * PAGE), Some((id(&file), 2 * PAGE)));
}

#[test]
fn what_a_mapping_holds_is_dropped_with_its_last_part() {
    let (window, _vmm) = window();
    let file = file(SIZE);
    let held = Arc::new(());
    let count = || Arc::strong_count(&held) - 1;
    let mapping = Mapping {
        file: file.as_fd(),
        file_offset: 0,
        window_offset: 0,
        len: 4 * PAGE,
        writable: true,
        held: Some(held.clone()),
    };
    window.map(&mapping).unwrap();
    drop(mapping);
    unmap(&window, PAGE, PAGE).unwrap();
    assert_eq!(count(), 2, "the parts before and after");
    unmap(&window, 0, PAGE).unwrap();
    assert_eq!(count(), 1);
    unmap(&window, 0, SIZE).unwrap();
    assert_eq!(count(), 0);
}

#[test]
fn what_a_mapping_holds_is_kept_until_the_vmms_process_has_ended() {
    let (window, _vmm) = window();
    let mut process =
        std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&process);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    window.owned_by(Some(pidfd), None);
    let held = Arc::new(());
    let file = file(PAGE);
    let mapping = Mapping {
        file: file.as_fd(),
        file_offset: 0,
        window_offset: 0,
        len: PAGE,
        writable: true,
        held: Some(held.clone()),
    };
    window.map(&mapping).unwrap();
    drop(mapping);
    window.detach();
    assert_eq!(Arc::strong_count(&held), 2);
    drop(process.stdin.take());
    process.wait().unwrap();
    while Arc::strong_count(&held) > 1 {
        std::thread::yield_now();
    }
}

#[test]
fn sizes_and_policies_are_read() {
    let size = |text: &str| text.parse::<WindowSize>().map(WindowSize::get);
    assert_eq!(size("128M"), Ok(128 << 20));
    assert_eq!(size("4096K"), Ok(4 << 20));
    assert_eq!(size("2097152"), Ok(2 << 20));
    for bad in ["", "M", "0", "1M", "3M", "512M", "1G", "-2M", "18446744073709551615G", "2m"] {
        assert!(size(bad).is_err(), "{bad}");
    }
    let maps = |policy: Policy| {
        [(0o644, 0), (0o644, 1), (0o644, 4096), (0o644, 4097), (0o755, 4096)]
            .map(|(mode, size)| policy.maps(mode, size, &|| false))
    };
    assert_eq!(maps("never".parse().unwrap()), [false; 5]);
    assert_eq!(maps("inode".parse().unwrap()), [false, false, true, false, false]);
    assert_eq!(maps("always".parse().unwrap()), [true; 5]);
    assert!("sometimes".parse::<Policy>().is_err());
}
