//! A waker for the driver of a connection, which stays silent while the driver runs.
//!
//! The two halves of hyper's client wake each other at every step. One task polls both, one after the
//! other, so most wakes would only run the task again for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;

const DRIVING: u8 = 1;
const RANG: u8 = 2;

/// The waker of a connection.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    state: AtomicU8,
    driver: AtomicWaker,
}

impl Alarm {
    /// From here on only [`Alarm::rang`] reports it.
    pub(super) fn mute(&self) {
        self.state.store(DRIVING, Ordering::SeqCst);
    }

    /// From here on it wakes this driver. Returns whether it rang since it was [muted](Self::mute).
    pub(super) fn rang(&self, driver: &Waker) -> bool {
        self.driver.register(driver);
        self.state.swap(0, Ordering::SeqCst) & RANG != 0
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(RANG, Ordering::SeqCst) & DRIVING == 0 {
            self.driver.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn it_wakes_the_driver_except_while_they_drive_and_tells_afterwards() {
        let (count, alarm) = (Arc::new(Count::default()), Arc::new(Alarm::default()));
        let (driver, bell) = (Waker::from(count.clone()), Waker::from(alarm.clone()));
        alarm.mute();
        assert!(!alarm.rang(&driver));
        alarm.mute();
        bell.wake_by_ref();
        assert!(alarm.rang(&driver));
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        bell.wake_by_ref();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        alarm.mute();
        assert!(!alarm.rang(&driver));
    }
}
