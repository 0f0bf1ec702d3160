//! Permits in use, counted without a lock.
//!
//! Out of scope: how many there are, and waiting for one (`permit`).

use std::sync::atomic::{AtomicU64, Ordering};

/// The class of permits that a request may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// All of them.
    Reserved,
    /// All but the reserve.
    Open,
}

/// Bounds on permits in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// By both classes.
    pub(super) all: usize,
    /// By the open class.
    pub(super) open: usize,
}

/// A permit of the open class, in the upper half of the counter; each permit counts in the lower half.
const OPEN: u64 = 1 << 32;

/// Counts permits in use. Shared by all threads, without a lock.
#[derive(Debug, Default)]
pub(super) struct Limiter(AtomicU64);

impl Limiter {
    /// Takes a permit if that keeps within the bounds.
    pub(super) fn try_acquire(&self, class: Class, bounds: Bounds) -> bool {
        let take = |used: u64| {
            let fits = all(used) < bounds.all && (class == Class::Reserved || open(used) < bounds.open);
            fits.then_some(used + unit(class))
        };
        self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, take).is_ok()
    }

    /// Gives back a permit of this class.
    pub(super) fn release(&self, class: Class) {
        let give = |used: u64| used.checked_sub(unit(class));
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, give);
    }

    /// Permits in use.
    pub(super) fn in_flight(&self) -> usize {
        all(self.0.load(Ordering::Relaxed))
    }

    /// Permits in use by this class.
    pub(super) fn used_by(&self, class: Class) -> usize {
        let used = self.0.load(Ordering::Relaxed);
        match class {
            Class::Reserved => all(used).saturating_sub(open(used)),
            Class::Open => open(used),
        }
    }
}

fn unit(class: Class) -> u64 {
    match class {
        Class::Reserved => 1,
        Class::Open => OPEN + 1,
    }
}

fn all(used: u64) -> usize {
    (used % OPEN) as usize
}

fn open(used: u64) -> usize {
    (used / OPEN) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_permits_than_the_limit() {
        let limiter = Limiter::default();
        let bounds = Bounds { all: 2, open: 2 };
        assert!(limiter.try_acquire(Class::Open, bounds) && limiter.try_acquire(Class::Reserved, bounds));
        assert!(!limiter.try_acquire(Class::Reserved, bounds));
        limiter.release(Class::Open);
        assert!(limiter.try_acquire(Class::Open, bounds));
        assert_eq!(limiter.in_flight(), 2);
    }

    #[test]
    fn the_open_class_leaves_the_reserve_alone_and_the_other_may_use_all() {
        let limiter = Limiter::default();
        let bounds = Bounds { all: 3, open: 2 };
        let try_acquire = |class| limiter.try_acquire(class, bounds);
        assert!(try_acquire(Class::Open) && try_acquire(Class::Open) && !try_acquire(Class::Open));
        assert!(try_acquire(Class::Reserved) && !try_acquire(Class::Reserved));
        assert_eq!((limiter.used_by(Class::Open), limiter.used_by(Class::Reserved)), (2, 1));
        limiter.release(Class::Open);
        assert!(try_acquire(Class::Reserved));
        assert_eq!(limiter.in_flight(), 3);
    }
}
