//! The DAX window as the VMM and its guest see it.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::thread;

use fuse::{Mapper, Mapping, errno};
use vhost::vhost_user::message::{VhostUserMMap, VhostUserMMapFlags, VhostUserSharedMsg};
use vhost::vhost_user::{FrontendReqHandler, HandlerResult, VhostUserFrontendReqHandler};
use vhost_user_backend::VringT;
use vm_memory::{FileOffset, GuestAddress, GuestAddressSpace, GuestRegionMmap, MmapRegion};

use super::*;
use crate::dax::Window;
use crate::transport::request::RequestError;
use crate::transport::ring::Taken;
use crate::transport::testing::{BUFFERS, Driver, END, Script, readable, writable};
use crate::transport::{RequestQueues, SharedRegion};

const PAGE: u64 = 4096;
const SIZE: u64 = 2 << 20;

/// Notes down what a VMM is asked: region, place in the file, in the region, length, flags (none: unmap). All zeroes:
/// whether there is an object that is not there.
#[derive(Default)]
struct Notes(Mutex<Vec<Note>>);

type Note = (u8, u64, u64, u64, Option<u64>);

/// What asks for nothing.
const NOTHING: Note = (0, 0, 0, 0, None);

impl VhostUserFrontendReqHandler for Notes {
    fn shmem_map(&self, map: &VhostUserMMap, _file: &dyn AsRawFd) -> HandlerResult<u64> {
        self.0.lock().push((map.shmid, map.fd_offset, map.shm_offset, map.len, Some(map.flags)));
        Ok(0)
    }

    fn shmem_unmap(&self, map: &VhostUserMMap) -> HandlerResult<u64> {
        self.0.lock().push((map.shmid, map.fd_offset, map.shm_offset, map.len, None));
        Ok(0)
    }

    fn shared_object_remove(&self, _: &VhostUserSharedMsg) -> HandlerResult<u64> {
        self.0.lock().push(NOTHING);
        Ok(1)
    }
}

/// A device with a window and a VMM that answers when it is told to.
struct Rig {
    device: Arc<Device>,
    window: Arc<Window>,
    notes: Arc<Notes>,
    vmm: FrontendReqHandler<Notes>,
    file: File,
}

fn options(window: &Arc<Window>) -> Options {
    Options {
        tag: Some("data".parse().unwrap()),
        request_queues: RequestQueues::ONE,
        announced_request_queues: RequestQueues::ONE,
        thread_pool_size: 0,
        once: false,
        region: None,
        window: Some(Arc::clone(window)),
        identify: Arc::new(crate::transport::Plainly),
    }
}

impl Rig {
    fn new() -> Self {
        let window = Arc::new(Window::new("2M".parse().unwrap()).unwrap());
        let handler: Arc<dyn RequestHandler> = Arc::new(Script::echo());
        let device = Device::new(&options(&window), handler, Arc::default()).unwrap();
        let notes = Arc::new(Notes::default());
        let mut vmm = FrontendReqHandler::new(notes.clone()).unwrap();
        vmm.set_reply_ack_flag(true);
        // SAFETY: the handler owns the descriptor and outlives the borrow.
        let theirs = unsafe { BorrowedFd::borrow_raw(vmm.get_tx_raw_fd()) };
        let ours: UnixStream = theirs.try_clone_to_owned().unwrap().into();
        let backend = Backend::from_stream(ours);
        backend.set_reply_ack_flag(true);
        backend.set_shmem_flag(true);
        backend.set_shared_object_flag(true);
        device.set_backend_req_fd(backend);
        device.acked_features(0);
        let file = tempfile::tempfile().unwrap();
        file.set_len(SIZE).unwrap();
        Self { device: Arc::new(device), window, notes, vmm, file }
    }

    fn map(&self) -> thread::JoinHandle<Result<(), i32>> {
        let (window, file) = (self.window.clone(), self.file.try_clone().unwrap());
        thread::spawn(move || {
            let mapping = Mapping {
                file: file.as_fd(),
                file_offset: PAGE,
                window_offset: 3 * PAGE,
                len: 2 * PAGE,
                writable: false,
                held: None,
            };
            window.map(&mapping).map_err(|error| errno::number(&error))
        })
    }
}

#[test]
fn the_vmm_is_asked_to_map_and_unmap() {
    let mut rig = Rig::new();
    let mapping = rig.map();
    rig.vmm.handle_request().unwrap();
    assert!(!mapping.is_finished(), "it has answered, and may not have done it");
    rig.vmm.handle_request().unwrap();
    assert_eq!(mapping.join().unwrap(), Ok(()));
    let window = rig.window.clone();
    let unmapping = thread::spawn(move || window.unmap(0, SIZE).unwrap());
    rig.vmm.handle_request().unwrap();
    unmapping.join().unwrap();
    let flags = Some(VhostUserMMapFlags::WRITABLE.bits());
    let mapped = (0, PAGE, 3 * PAGE, 2 * PAGE, flags);
    let expected = [mapped, NOTHING, (0, 0, 3 * PAGE, 2 * PAGE, None)];
    assert_eq!(*rig.notes.0.lock(), expected);
}

#[test]
fn who_waits_for_the_vmm_goes_home_when_the_vmm_waits_for_us() {
    for stop in
        [|device: &Device| device.stop_vring(0).unwrap(), Device::reset_device, Device::hang_up]
    {
        let rig = Rig::new();
        let mapping = rig.map();
        // It may have begun to wait or not: it ends in either case, though nobody reads what it sends.
        stop(&rig.device);
        assert_eq!(mapping.join().unwrap(), Err(libc::ECANCELED));
        assert_eq!(rig.map().join().unwrap(), Err(libc::ECANCELED), "the device is stopped");
    }
}

#[test]
fn a_driver_that_begins_anew_maps_anew() {
    let mut rig = Rig::new();
    rig.device.stop_vring(0).unwrap();
    assert!(rig.map().join().unwrap().is_err());
    rig.device.acked_features(0);
    let mapping = rig.map();
    rig.vmm.handle_request().unwrap();
    rig.vmm.handle_request().unwrap();
    assert_eq!(mapping.join().unwrap(), Ok(()));
}

#[test]
fn the_window_is_announced_beside_a_file() {
    let window = Arc::new(Window::new("2M".parse().unwrap()).unwrap());
    let table = tempfile::tempfile().unwrap();
    let region = SharedRegion { id: 1, file: Arc::new(table), size: 1 << 20 };
    let sizes = |options: &Options| {
        let handler: Arc<dyn RequestHandler> = Arc::new(Script::echo());
        let device = Device::new(options, handler, Arc::default()).unwrap();
        let offered = device.protocol_features().contains(VhostUserProtocolFeatures::SHMEM);
        let config = device.get_shmem_config();
        assert_eq!(offered, config.is_ok());
        config.ok().map(|config| (config.nregions, config.memory_sizes[0], config.memory_sizes[1]))
    };
    let mut options = options(&window);
    assert_eq!(sizes(&options), Some((1, SIZE, 0)));
    options.region = Some(region);
    assert_eq!(sizes(&options), Some((2, SIZE, 1 << 20)));
    options.window = None;
    assert_eq!(sizes(&options), Some((1, 0, 1 << 20)));
    options.region = None;
    assert_eq!(sizes(&options), None);
}

/// A device, and a driver whose memory has pages of a file behind its end.
fn with_a_file() -> (Device, Driver, File) {
    let window = Arc::new(Window::new("2M".parse().unwrap()).unwrap());
    let handler: Arc<dyn RequestHandler> = Arc::new(Script::echo());
    let device = Device::new(&options(&window), handler, Arc::default()).unwrap();
    let driver = Driver::new(&device.memory());
    let file = tempfile::tempfile().unwrap();
    file.set_len(4 * PAGE).unwrap();
    let place = FileOffset::new(file.try_clone().unwrap(), 0);
    let region = MmapRegion::from_file(place, 4 * PAGE as usize).unwrap();
    let region = Arc::new(GuestRegionMmap::new(region, GuestAddress(END)).unwrap());
    let memory = device.memory().memory().insert_region(region).unwrap();
    device.memory().lock().unwrap().replace(memory);
    device.update_memory(device.memory()).unwrap();
    (device, driver, file)
}

fn kick(device: &Device, driver: &Driver) {
    device.handle_event(0, EventSet::IN, std::slice::from_ref(&driver.ring), 1).unwrap();
}

#[test]
fn pages_of_a_file_that_was_cut_short_stop_a_queue_and_not_the_daemon() {
    let request = |at| [readable(at, 8), writable(BUFFERS + 64, 8)];
    let reply = |at| [readable(BUFFERS, 8), writable(at, 8)];
    let bad: [fn(u64) -> [virtio_queue::desc::split::Descriptor; 2]; 2] = [request, reply];
    for chain in bad {
        let (device, mut driver, file) = with_a_file();
        driver.offer(&chain(END + 3 * PAGE));
        kick(&device, &driver);
        assert_eq!(driver.used().len(), 1, "as long as the page is there, it is memory like any");
        file.set_len(PAGE).unwrap();
        driver.offer(&chain(END + 2 * PAGE));
        kick(&device, &driver);
        assert!(driver.ring.is_stopped());
        assert_eq!(driver.used().len(), 1, "what was lost is answered by nobody");
    }
}

#[test]
fn a_ring_in_a_file_that_was_cut_short_stops() {
    let (device, driver, file) = with_a_file();
    driver.ring.set_queue_info(END, END + PAGE, END + 2 * PAGE).unwrap();
    file.set_len(0).unwrap();
    kick(&device, &driver);
    assert!(driver.ring.is_stopped());
}

#[test]
fn memory_that_has_gone_is_guarded_until_its_requests_have_ended() {
    let (device, mut driver, file) = with_a_file();
    driver.offer(&[readable(END + PAGE, 8), writable(BUFFERS + 64, 8)]);
    let Taken::Request(request) = driver.ring.take(1).unwrap() else { panic!("no request") };
    let without = crate::transport::testing::memory();
    device.memory().lock().unwrap().replace(without);
    device.update_memory(device.memory()).unwrap();
    file.set_len(0).unwrap();
    assert!(matches!(
        request.serve(&Script::echo(), &Arc::default(), None, None),
        Err(RequestError::MemoryGone)
    ));
}
