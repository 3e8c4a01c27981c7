//! Surviving SIGBUS: a mapped file that was cut short under us, or a page that the file system has no memory for.
//!
//! The kernel has no way to forbid truncation of an ordinary file (seals are for memfds), and asking for the size
//! before each access would only make the window smaller. So a handler puts a private page of zeroes where the page is
//! gone, and marks the region as *lost*. Nothing that is read from it afterwards vouches for anything (a zero word never
//! does), and the engine refuses every further change of a lost table: fail closed, no crash.

use std::cell::Cell;
use std::io;
use std::sync::Once;
use std::sync::OnceLock;

use shm_layout::SharedU64;
use shm_layout::word::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Regions that one process can guard at a time: two a daemon, one a view, and the guest's memory.
const MAX_GUARDED: usize = 2048;

/// A guarded range of addresses. `start` 0: free; 1: being filled in.
struct Guarded {
    start: SharedU64,
    end: SharedU64,
    lost: SharedU64,
}

static GUARDED: [Guarded; MAX_GUARDED] = [const {
    Guarded { start: SharedU64::new(0), end: SharedU64::new(0), lost: SharedU64::new(0) }
}; MAX_GUARDED];

/// What handled SIGBUS before us.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

thread_local! {
    /// Pages that this thread has lost. Without a destructor and made at compile time: a handler may use it.
    static LOST: Cell<u64> = const { Cell::new(0) };
}

/// How many pages of guarded ranges the calling thread has found to be gone, ever: zeroes are in their places now. Ask
/// before and after a use of guarded memory.
#[must_use]
pub fn lost_by_this_thread() -> u64 {
    LOST.get()
}

/// Bytes of a page. A handler cannot ask.
static PAGE: SharedU64 = SharedU64::new(0);

static INSTALL: Once = Once::new();

/// A range of addresses in which SIGBUS means "lost", for as long as this value lives.
#[derive(Debug)]
pub struct Guard {
    index: usize,
}

impl Guard {
    /// Guards `len` bytes from `start`, which must stay mapped until the guard is dropped.
    ///
    /// # Errors
    /// More regions than one process can guard.
    pub fn new(start: usize, len: usize) -> io::Result<Self> {
        INSTALL.call_once(install);
        // AcqRel: the place is ours before it is filled in.
        let free = |g: &Guarded| g.start.compare_exchange(0, 1, AcqRel, Relaxed).is_ok();
        let index = GUARDED.iter().position(free).ok_or_else(|| {
            io::Error::other(format!("more than {MAX_GUARDED} shared regions in one process"))
        })?;
        let place = &GUARDED[index];
        // Relaxed, twice: the release of `start` makes both seen.
        place.lost.store(0, Relaxed);
        place.end.store((start + len) as u64, Relaxed);
        // Release: whoever sees the start sees the end.
        place.start.store(start as u64, Release);
        Ok(Self { index })
    }

    /// Not zero once a page of the range is gone. Load it with acquire order: the handler sets it on the thread that
    /// lost the page, before that thread goes on.
    #[inline]
    #[must_use]
    pub fn lost(&self) -> &'static SharedU64 {
        &GUARDED[self.index].lost
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Release: no access of the range comes after.
        GUARDED[self.index].start.store(0, Release);
    }
}

fn install() {
    // Release: the handler, which comes later, finds it.
    PAGE.store(rustix::param::page_size() as u64, Release);
    // SAFETY: sigaction is plain data, for which all zeroes is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handle as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: as above.
    let mut previous: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: both structs live through the call; the handler calls nothing that a handler may not.
    let result = unsafe { libc::sigaction(libc::SIGBUS, &raw const action, &raw mut previous) };
    if result == 0 {
        // The handler finds no predecessor until this is set, and then dies of the signal: as without us.
        let _ = PREVIOUS.set(previous);
    }
}

/// Async-signal-safe: atomics, `mmap` and `sigaction`.
extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands a handler with SA_SIGINFO a valid siginfo.
    let info_ref = unsafe { &*info };
    // SAFETY: SIGBUS's siginfo has an address.
    let address = unsafe { info_ref.si_addr() } as u64;
    let inside = |g: &&Guarded| {
        // Acquire: pairs with the release in `new`. Relaxed: ordered by it.
        (2..=address).contains(&g.start.load(Acquire)) && address < g.end.load(Relaxed)
    };
    match GUARDED.iter().find(inside) {
        Some(place) if replace_page(address) => {
            // Release: as `lost` says.
            place.lost.store(1, Release);
            LOST.set(LOST.get() + 1);
        }
        _ => pass_on(signal, info, context),
    }
}

/// Puts a page of zeroes at `address`.
fn replace_page(address: u64) -> bool {
    // Acquire: as in `install`.
    let page_len = PAGE.load(Acquire);
    // SAFETY: the thread's errno is always there.
    let errno_place = unsafe { libc::__errno_location() };
    // SAFETY: as above. The interrupted code must not see our calls' errno.
    let errno = unsafe { *errno_place };
    // SAFETY: the page lies in a guarded range, which the process has mapped and knows only as shared words: any value
    // may appear in them at any time.
    let page = unsafe {
        libc::mmap(
            (address & !(page_len - 1)) as *mut libc::c_void,
            page_len as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    // SAFETY: as above.
    unsafe { *errno_place = errno };
    page != libc::MAP_FAILED
}

/// Not ours: whatever would have happened without us.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    let previous = PREVIOUS.get();
    let handler = previous.map_or(libc::SIG_DFL, |p| p.sa_sigaction);
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        // SAFETY: sigaction is plain data, for which all zeroes (the default action) is a value.
        let default: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: the struct lives through the call. The access is tried again and kills the process.
        unsafe { libc::sigaction(signal, &raw const default, std::ptr::null_mut()) };
        return;
    }
    // SAFETY: an address that sigaction gave as the previous handler. One without SA_SIGINFO takes the first argument
    // and ignores the rest, as the C calling convention allows.
    let handler = unsafe { std::mem::transmute::<usize, Handler>(handler) };
    handler(signal, info, context);
}
