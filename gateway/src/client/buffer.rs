//! Bytes of bodies in the memory of a worker.
//!
//! Bodies are held so that a slow client holds no permit: the beginning of a request until it is worth a permit, and
//! an answer that its client does not take. Each worker counts its own bytes, so nothing here is shared or locked.

use std::cell::Cell;
use std::rc::Rc;

/// The bytes held by a worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers(Rc<Cell<usize>>);

impl Buffers {
    pub(crate) fn held(&self) -> usize {
        self.0.get()
    }

    /// Nothing held yet.
    pub(crate) fn charge(&self) -> Charge {
        Charge { buffers: self.clone(), bytes: 0 }
    }
}

/// Held bytes; counted until dropped.
#[derive(Debug)]
pub struct Charge {
    buffers: Buffers,
    bytes: usize,
}

impl Charge {
    /// Holds `bytes` more if the worker stays within `most`.
    pub(crate) fn grow(&mut self, bytes: usize, most: usize) -> bool {
        let held = self.buffers.held() + bytes;
        if held <= most {
            self.buffers.0.set(held);
            self.bytes += bytes;
        }
        held <= most
    }

    /// Holds `bytes` less.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.buffers.0.set(self.buffers.held() - bytes);
    }

    /// Moves all of it out, and leaves none.
    pub(crate) fn split(&mut self) -> Self {
        Self { buffers: self.buffers.clone(), bytes: std::mem::take(&mut self.bytes) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_stays_within_the_bound_and_is_given_back() {
        let buffers = Buffers::default();
        let (mut one, mut other) = (buffers.charge(), buffers.charge());
        assert!(one.grow(60, 100) && !other.grow(50, 100) && other.grow(40, 100));
        one.shrink(20);
        assert_eq!((buffers.held(), one.bytes()), (80, 40));
        drop((one, other));
        assert_eq!(buffers.held(), 0);
    }
}
