//! Rules that tests can break, to see that they notice. Nothing here is in a daemon that was built without the feature
//! `fault-injection`.

#[cfg(not(feature = "fault-injection"))]
use coherence::{Change, Published, SlotSet};

#[cfg(not(feature = "fault-injection"))]
#[inline]
pub(super) fn announced(slots: SlotSet) -> SlotSet {
    slots
}

#[cfg(not(feature = "fault-injection"))]
#[inline]
pub(super) fn finish<T>(change: Change<'_>, act: impl FnOnce() -> T) -> (T, Published) {
    change.finish(act)
}

#[cfg(feature = "fault-injection")]
pub(super) use broken::{announced, finish};

#[cfg(feature = "fault-injection")]
mod broken {
    use std::sync::LazyLock;
    use std::time::Duration;

    use coherence::{Change, Published, SlotSet};

    /// How long a change that was published early is not made.
    const LINGER: Duration = Duration::from_millis(3);

    /// The rule that `SAMEPAGE_FAULT` breaks.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Fault {
        /// Changes are announced on no slot.
        NoAnnounce,
        /// Changes are published before they are made.
        PublishEarly,
    }

    static FAULT: LazyLock<Option<Fault>> = LazyLock::new(|| {
        let fault = match std::env::var("SAMEPAGE_FAULT").ok()?.as_str() {
            "no-announce" => Fault::NoAnnounce,
            "publish-early" => Fault::PublishEarly,
            other => panic!("SAMEPAGE_FAULT={other}: there is no-announce and publish-early"),
        };
        tracing::error!("this daemon breaks a rule on purpose: {fault:?}");
        Some(fault)
    });

    pub(in super::super) fn announced(slots: SlotSet) -> SlotSet {
        if *FAULT == Some(Fault::NoAnnounce) { SlotSet::EMPTY } else { slots }
    }

    pub(in super::super) fn finish<T>(
        change: Change<'_>,
        act: impl FnOnce() -> T,
    ) -> (T, Published) {
        if *FAULT != Some(Fault::PublishEarly) {
            return change.finish(act);
        }
        let ((), published) = change.finish(|| ());
        // Another guest that looks now keeps what it sees for good. Left alone it hardly ever comes in time.
        std::thread::sleep(LINGER);
        (act(), published)
    }
}
